// Pieces of a request's body that come in one turn of the event loop, put together: frames are small, and each write to a server costs as much
// as the bytes of several.

/** More than that is not gathered before it is passed on. */
const GATHERED_BYTES = 64 * 1024;

/** What has come of one body and has not been passed on yet. */
export class GatheredBody {
  #pieces: Buffer[] = [];
  #bytes = 0;
  readonly #pass: (bytes: Buffer) => void;

  /** `pass` gets everything, in order, at the end of the turn at the latest. */
  constructor(pass: (bytes: Buffer) => void) {
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
    const [first] = pieces;
    if (first === undefined) return;
    this.#pieces = [];
    this.#bytes = 0;
    this.#pass(pieces.length === 1 ? first : Buffer.concat(pieces));
  }
}

function passAll(body: GatheredBody): void {
  body.flush();
}
