// The body of the request that is being read: where its pieces lie in what arrives, and where it ends.

import type { Framing } from './framing.ts';
import { NEED_MORE } from './parser.ts';
import type { HttpParser, Trailers } from './parser.ts';

const NO_TRAILERS: Trailers = [];

/** One body that has been announced, by a length or in chunks. */
export class RequestBody {
  /** Of the last read: the beginnings and ends of the pieces, in turn. Valid until the next one. */
  pieces: readonly number[] = [];
  /** Present once the body is complete. */
  trailers: Trailers | undefined;
  /** Some of it has arrived. */
  hasBegun = false;
  readonly #parser: HttpParser;
  /** Bytes to come; undefined when that is not known. */
  #remaining: number | undefined;

  constructor(framing: Framing, parser: HttpParser) {
    this.#parser = parser;
    this.#remaining = framing.name === 'length' ? framing.length : undefined;
  }

  /** The least that is still to come. */
  get announced(): number {
    return this.#remaining ?? 0;
  }

  /** Reads from `at`; returns where it stopped. Throws ProxyError for chunks that cannot be understood. */
  read(chunk: Buffer, at: number): number {
    this.hasBegun = true;
    if (this.#remaining !== undefined) {
      const end = Math.min(chunk.length, at + this.#remaining);
      this.#remaining -= end - at;
      this.pieces = [at, end];
      if (this.#remaining === 0) this.trailers = NO_TRAILERS;
      return end;
    }
    const parser = this.#parser;
    const end = parser.readChunks(chunk, at);
    this.pieces = parser.pieces;
    if (end === NEED_MORE) return chunk.length;
    this.trailers = parser.trailers;
    return end;
  }
}
