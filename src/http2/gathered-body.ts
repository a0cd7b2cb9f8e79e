// Pieces of a request's body that come in one turn of the event loop, passed on together: frames are small, and each write to a server costs as
// much as the bytes of several.

/** More than that is not gathered before it is passed on. */
const GATHERED_BYTES = 64 * 1024;
/** Pieces that are smaller than that on average are copied into one: each keeps the whole read that brought it in memory. */
const LEAST_BYTES = 2048;

/** What has come of one body and has not been passed on yet. */
export class GatheredBody {
  #pieces: Buffer[] = [];
  #bytes = 0;
  readonly #pass: (pieces: readonly Buffer[]) => void;

  /** `pass` gets everything, in order, at the end of the turn at the latest. */
  constructor(pass: (pieces: readonly Buffer[]) => void) {
    this.#pass = pass;
  }

  add(piece: Buffer): void {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    if (this.#bytes >= GATHERED_BYTES) this.flush();
    else if (this.#pieces.length === 1) setImmediate(passAll, this);
  }

  /** Passes on what there is. */
  flush(): void {
    const pieces = this.#pieces;
    if (pieces.length === 0) return;
    const isSmall = this.#bytes < pieces.length * LEAST_BYTES;
    this.#pieces = [];
    this.#bytes = 0;
    this.#pass(isSmall ? [Buffer.concat(pieces)] : pieces);
  }
}

function passAll(body: GatheredBody): void {
  body.flush();
}
