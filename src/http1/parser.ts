// Reads messages off a connection, wherever the network happened to split them: a head, then, if the caller decides so, a chunked
// body. Bodies with a length, or until the connection closes, never come here: their bytes need no parsing.
//
//   readHead ──complete──► (caller decides) ──► readChunks ──complete──► reset ──► readHead …
//      │ └─more─► readHead                          └─more─► readChunks
//      └─ throws ProxyError: the connection is of no further use

import { ProxyError } from '../errors.ts';
import { MessageHead } from './head.ts';
import {
  INPUT_BYTES,
  Llhttp,
  LLHTTP_INVALID_METHOD,
  LLHTTP_OK,
  LLHTTP_PAUSED,
  LLHTTP_REQUEST,
  LLHTTP_RESPONSE,
} from './llhttp.ts';
import type { LlhttpEvents } from './llhttp.ts';

/** What `readHead` and `readChunks` return when the bytes ran out before the end. */
export const NEED_MORE = -1;

/** Bounds on what one message may cost before it is refused. */
export interface ParserLimits {
  /** Bytes of the whole head. */
  readonly maxHeadBytes: number;
  /** Number of headers. */
  readonly maxHeaders: number;
  /** Bytes of the request target. */
  readonly maxTargetBytes: number;
}

/** Chunk sizes, extensions and trailers of one message may take this many bytes, plus eight for each byte of the body. */
const CHUNK_OVERHEAD_BYTES = 16384;

/** Trailer fields as received. */
export type Trailers = readonly (readonly [name: string, value: string])[];
const NO_TRAILERS: Trailers = [];

/** Copying a long body into the parser only to find the end of the head would be a waste. */
const FIRST_SLICE = 8192;

/** One direction of one connection. */
export class HttpParser implements LlhttpEvents {
  readonly head = new MessageHead();
  /** Filled by `readChunks`: start and end, in turn, of each piece of body inside the chunk that was read. */
  readonly pieces: number[] = [];
  readonly #llhttp: Llhttp;
  readonly #isRequest: boolean;
  #limits: ParserLimits;
  /** Bytes of the head that earlier reads brought; they stand in #store. */
  #consumed = 0;
  #store: Buffer | undefined;
  /** Where the bytes given to llhttp stood: for a head relative to its first byte, for a body inside the chunk. */
  #origin = 0;
  #mode: 'head' | 'chunks' = 'head';
  #bytes: Buffer | undefined;
  #overhead = 0;
  #bodyBytes = 0;
  #trailers: [string, string][] | undefined;
  #isInTrailerValue = true;

  constructor(kind: 'request' | 'response', limits: ParserLimits) {
    this.#isRequest = kind === 'request';
    this.#llhttp = new Llhttp(this.#isRequest ? LLHTTP_REQUEST : LLHTTP_RESPONSE);
    this.#limits = limits;
  }

  /** Ready for a new message, perhaps on another connection. */
  reset(limits: ParserLimits): void {
    this.#limits = limits;
    this.#llhttp.reset();
    this.#mode = 'head';
    this.#consumed = 0;
    this.#overhead = 0;
    this.#bodyBytes = 0;
    this.#trailers = undefined;
    this.#isInTrailerValue = true;
    this.#bytes = undefined;
    // A head that was unusually large must not occupy memory for ever.
    if (this.#store !== undefined && this.#store.length > INPUT_BYTES) this.#store = undefined;
    this.head.begin();
  }

  /** Gives its WASM memory back. */
  free(): void {
    this.#llhttp.free();
  }

  /** True when part of a head has arrived. */
  get hasPartialHead(): boolean {
    return this.#consumed > 0;
  }

  /** Trailers of the chunked body that has just been read to its end. */
  get trailers(): Trailers {
    return this.#trailers ?? NO_TRAILERS;
  }

  /**
   * Reads a head from `chunk[at…]`. Returns where the head ends, with `head` filled in, or NEED_MORE when all bytes were taken. Throws
   * ProxyError (JTP_ERR_HTTP_*), whatever the side; the caller knows whose fault it is.
   */
  readHead(chunk: Buffer, at: number): number {
    let position = at;
    let step = FIRST_SLICE;
    while (position < chunk.length) {
      const end = Math.min(chunk.length, position + step);
      step = INPUT_BYTES;
      this.#origin = this.#consumed + (position - at);
      const result = this.#llhttp.execute(this, chunk, position, end);
      if (result === LLHTTP_PAUSED) {
        const headEnd = position + this.#llhttp.consumed();
        this.#completeHead(chunk, at, headEnd);
        return headEnd;
      }
      if (result !== LLHTTP_OK) throw this.#parseError(result, chunk, at);
      position = end;
      this.#assertHeadLimits(this.#consumed + (position - at));
    }
    this.#keep(chunk, at, chunk.length);
    return NEED_MORE;
  }

  /**
   * Reads chunked coding from `chunk[at…]`; the pieces of body are in `pieces`. Returns where the message ends, or NEED_MORE. Throws
   * ProxyError JTP_ERR_HTTP_PARSE or JTP_ERR_HTTP_CHUNK_OVERFLOW.
   */
  readChunks(chunk: Buffer, at: number): number {
    this.pieces.length = 0;
    if (this.#mode === 'head') {
      this.#mode = 'chunks';
      this.#llhttp.resume();
    }
    this.#bytes = chunk;
    const bodyBefore = this.#bodyBytes;
    let position = at;
    while (position < chunk.length) {
      const end = Math.min(chunk.length, position + INPUT_BYTES);
      this.#origin = position;
      const result = this.#llhttp.execute(this, chunk, position, end);
      const used = result === LLHTTP_OK ? end - position : this.#llhttp.consumed();
      if (result !== LLHTTP_OK && result !== LLHTTP_PAUSED) throw this.#parseError(result, chunk, at);
      position += used;
      if (result === LLHTTP_PAUSED) {
        this.#bytes = undefined;
        return position;
      }
    }
    this.#overhead += position - at - (this.#bodyBytes - bodyBefore);
    if (this.#overhead > CHUNK_OVERHEAD_BYTES + 8 * this.#bodyBytes)
      throw new ProxyError('JTP_ERR_HTTP_CHUNK_OVERFLOW');
    this.#bytes = undefined;
    return NEED_MORE;
  }

  onUrl(start: number, length: number): void {
    this.head.addTarget(this.#origin + start, length);
  }

  onStatus(): void {
    // The reason phrase is read off the block when the head is complete.
  }

  onHeaderField(start: number, length: number): void {
    if (this.#mode === 'head') {
      this.head.addName(this.#origin + start, length);
      return;
    }
    this.#trailers ??= [];
    if (this.#isInTrailerValue) this.#trailers.push(['', '']);
    this.#isInTrailerValue = false;
    this.#appendTrailer(0, start, length);
  }

  onHeaderValue(start: number, length: number): void {
    if (this.#mode === 'head') {
      this.head.addValue(this.#origin + start, length);
      return;
    }
    this.#isInTrailerValue = true;
    this.#appendTrailer(1, start, length);
  }

  onHeadersComplete(statusCode: number): void {
    this.head.status = statusCode;
  }

  onBody(start: number, length: number): void {
    this.pieces.push(this.#origin + start, this.#origin + start + length);
    this.#bodyBytes += length;
  }

  #appendTrailer(part: 0 | 1, start: number, length: number): void {
    const last = this.#trailers?.at(-1);
    if (last === undefined || this.#bytes === undefined) return;
    last[part] += this.#bytes.latin1Slice(this.#origin + start, this.#origin + start + length);
  }

  #completeHead(chunk: Buffer, at: number, end: number): void {
    const length = this.#consumed + (end - at);
    this.#assertHeadLimits(length);
    if (this.#isRequest) this.head.method = this.#llhttp.method();
    this.head.version = this.#llhttp.version();
    if (this.#consumed === 0) {
      this.head.complete(chunk, at, length);
      return;
    }
    const block = this.#keep(chunk, at, end);
    this.head.complete(block, 0, length);
  }

  #assertHeadLimits(bytes: number): void {
    if (bytes > this.#limits.maxHeadBytes || this.head.count > this.#limits.maxHeaders)
      throw new ProxyError('JTP_ERR_HTTP_HEADER_OVERFLOW');
    if (this.head.targetLength > this.#limits.maxTargetBytes)
      throw new ProxyError('JTP_ERR_HTTP_URI_OVERFLOW');
  }

  /** Copies part of a split head to where the rest of it stands. Doubling keeps the cost linear, however small the pieces. */
  #keep(chunk: Buffer, at: number, end: number): Buffer {
    const needed = this.#consumed + (end - at);
    let store = this.#store;
    if (store === undefined || store.length < needed) {
      const larger = Buffer.allocUnsafeSlow(Math.max(1024, needed * 2));
      store?.copy(larger, 0, 0, this.#consumed);
      this.#store = larger;
      store = larger;
    }
    chunk.copy(store, this.#consumed, at, end);
    this.#consumed = needed;
    return store;
  }

  #parseError(result: number, chunk: Buffer, at: number): ProxyError {
    if (result === LLHTTP_INVALID_METHOD && this.#consumed === 0) {
      const line = chunk.latin1Slice(at, Math.min(chunk.length, at + 64));
      // A well-formed method that llhttp has never heard of.
      if (/^[A-Z][A-Z_-]{0,30} \//.test(line)) return new ProxyError('JTP_ERR_HTTP_METHOD');
    }
    return new ProxyError('JTP_ERR_HTTP_PARSE', {
      message: `the message is not valid HTTP/1.1: ${this.#llhttp.reason()}`,
    });
  }
}

const SPARE_PARSERS = 256;
const spare = { request: [] as HttpParser[], response: [] as HttpParser[] };

/** A parser for one connection, usually a used one. Idle connections need none. */
export function takeParser(kind: 'request' | 'response', limits: ParserLimits): HttpParser {
  const parser = spare[kind].pop();
  if (parser === undefined) return new HttpParser(kind, limits);
  parser.reset(limits);
  return parser;
}

/** Gives a parser back; its head must not be read any more. */
export function returnParser(kind: 'request' | 'response', parser: HttpParser): void {
  if (spare[kind].length < SPARE_PARSERS) spare[kind].push(parser);
  else parser.free();
}
