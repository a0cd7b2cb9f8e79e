// Bounds of a client's HTTP/1.1 connection that nobody can set.

/** A rest of a request body that is read to keep the connection. */
export const DISCARD_BYTES = 256 * 1024;
/** What nobody wants yet is read up to here, so that a client that leaves is noticed; TCP holds back the rest. */
export const AHEAD_BYTES = 65536;
/** The reset of a client that is not read is not reported: this often it is looked after. */
export const PROBE_MS = 1000;
