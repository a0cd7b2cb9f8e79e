// Bounds of a client's HTTP/1.1 connection that nobody can set.

/** How long a refused or finished client may take to close its side. */
export const LINGER_MS = 5000;
/** Unread input that is thrown away while lingering. */
export const LINGER_BYTES = 64 * 1024 * 1024;
/** How much longer it may take over what has not been sent yet, as long as it takes some of it. */
export const LAST_BYTES_MS = 60_000;
/** A rest of a request body that is read to keep the connection. */
export const DISCARD_BYTES = 256 * 1024;
/** What nobody wants yet is read up to here, so that a client that leaves is noticed; TCP holds back the rest. */
export const AHEAD_BYTES = 65536;
/** The reset of a client that is not read is not reported: this often it is looked after. */
export const PROBE_MS = 1000;
