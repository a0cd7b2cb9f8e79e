// The end of a connection whose answer has been written: how much a client may still send, which is thrown away, and how long it may take
// over what it has not received yet.

/** How long a refused or finished client may take to close its side. */
export const LINGER_MS = 5000;
/** Unread input that is thrown away. */
const LINGER_BYTES = 64 * 1024 * 1024;
/** How much longer a client may take that still takes some of its answer. */
export const LAST_BYTES_MS = 60_000;

/** What one lingering connection has been granted. */
export class Lingering {
  #discarded = 0;
  /** Bytes that had not been sent when it was last looked at. */
  #unsent = Infinity;

  /** False when the client has sent too much. */
  admits(bytes: number): boolean {
    this.#discarded += bytes;
    return this.#discarded <= LINGER_BYTES;
  }

  /** Its time is over: how many milliseconds it gets on top, because some has been sent since it was asked last; 0 = none. */
  extension(unsent: number): number {
    if (unsent === 0 || unsent >= this.#unsent) return 0;
    this.#unsent = unsent;
    return LAST_BYTES_MS;
  }
}
