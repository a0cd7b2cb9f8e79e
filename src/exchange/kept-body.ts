// The beginning of a request's body, kept for as long as it may have to be sent again.

/** How much is kept. */
const KEPT_BYTES = 64 * 1024;

const NOTHING: readonly Buffer[] = [];

/** Copies of the pieces of one body. */
export class KeptBody {
  #pieces: Buffer[] | undefined = [];
  #bytes = 0;

  /** False once there is more than was kept: the request cannot be sent again. */
  get isComplete(): boolean {
    return this.#pieces !== undefined;
  }

  get pieces(): readonly Buffer[] {
    return this.#pieces ?? NOTHING;
  }

  /** `isWanted`: what has been sent so far may have to be sent again. */
  add(chunk: Buffer, start: number, end: number, isWanted: boolean): void {
    this.#bytes += end - start;
    if (isWanted && this.#bytes <= KEPT_BYTES) this.#pieces?.push(Buffer.from(chunk.subarray(start, end)));
    else this.#pieces = undefined;
  }
}
