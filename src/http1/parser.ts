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
  /** Bytes that chunk sizes and extensions of one message may take, beside CHUNK_OVERHEAD_PER_BYTE for each byte of the body. */
  readonly maxChunkOverheadBytes: number;
}

/** A body in chunks of one byte each has an honest overhead of five bytes per byte. */
const CHUNK_OVERHEAD_PER_BYTE = 8;

/** Trailer fields as received. */
export type Trailers = readonly (readonly [name: string, value: string])[];
const NO_TRAILERS: Trailers = [];

/** All parts of heads that wait for the rest of them may take this much memory before large ones are refused; small ones never are. */
const MAX_HELD_BYTES = 128 * 1024 * 1024;
let heldBytes = 0;

const FRAMING_NAME = /^(?:transfer-encoding|content-length)$/i;

/** Copying a long body into the parser only to find the end of the head would be a waste. */
const FIRST_SLICE = 8192;

/** One direction of one connection. */
export class HttpParser implements LlhttpEvents {
  readonly head = new MessageHead();
  /** Filled by `readChunks`: where the body stands inside the chunk that was read, as start and end; empty when there is none. */
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
  /** Bytes of the chunked stream that earlier calls of `readChunks` took, and where the present call began. */
  #streamBytes = 0;
  #streamAt = 0;
  #bodyBytes = 0;
  #isOverheadExceeded = false;
  #trailers: [string, string][] | undefined;
  #trailerBytes = 0;
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
    this.#streamBytes = 0;
    this.#bodyBytes = 0;
    this.#isOverheadExceeded = false;
    this.#trailers = undefined;
    this.#trailerBytes = 0;
    this.#isInTrailerValue = true;
    this.#bytes = undefined;
    this.rest();
  }

  /** Lets go of the message: neither its bytes nor what an unusually large head took stay in memory. */
  rest(): void {
    if (this.#store !== undefined && this.#store.length > INPUT_BYTES) this.#dropStore();
    this.head.begin();
  }

  /** Gives its memory back; the object must not be used again. */
  free(): void {
    this.#dropStore();
    this.#llhttp.free();
  }

  #dropStore(): void {
    heldBytes -= this.#store?.length ?? 0;
    this.#store = undefined;
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
   * Reads chunked coding from `chunk[at…]`, moving the pieces of body together inside `chunk`: a sender of tiny chunks costs the other
   * side no more than one of large ones. Returns where the message ends, or NEED_MORE. Throws ProxyError JTP_ERR_HTTP_PARSE,
   * JTP_ERR_HTTP_CHUNK_OVERFLOW, or JTP_ERR_HTTP_HEADER_OVERFLOW for trailers.
   */
  readChunks(chunk: Buffer, at: number): number {
    this.pieces.length = 0;
    if (this.#mode === 'head') {
      this.#mode = 'chunks';
      this.#llhttp.resume();
    }
    this.#bytes = chunk;
    this.#streamAt = at;
    let position = at;
    while (position < chunk.length) {
      const end = Math.min(chunk.length, position + INPUT_BYTES);
      this.#origin = position;
      const result = this.#llhttp.execute(this, chunk, position, end);
      const used = result === LLHTTP_OK ? end - position : this.#llhttp.consumed();
      if (result !== LLHTTP_OK && result !== LLHTTP_PAUSED) throw this.#parseError(result, chunk, at);
      position += used;
      if (result === LLHTTP_PAUSED) {
        this.#endRead(chunk, position);
        return position;
      }
    }
    this.#endRead(chunk, position);
    return NEED_MORE;
  }

  #endRead(chunk: Buffer, end: number): void {
    this.#bytes = undefined;
    this.#checkOverhead(end);
    this.#streamBytes += end - this.#streamAt;
    if (this.#isOverheadExceeded) throw new ProxyError('JTP_ERR_HTTP_CHUNK_OVERFLOW');
    const { maxHeaders, maxHeadBytes } = this.#limits;
    if ((this.#trailers?.length ?? 0) > maxHeaders || this.#trailerBytes > maxHeadBytes)
      throw new ProxyError('JTP_ERR_HTTP_HEADER_OVERFLOW', { message: 'the trailer section is too large' });
    // llhttp refuses them in requests only.
    if (this.#trailers?.some(([name]) => FRAMING_NAME.test(name)) === true)
      throw new ProxyError('JTP_ERR_HTTP_PARSE', {
        message: 'the message speaks of its framing in a trailer',
      });
    if (this.pieces.length > 2) this.#joinPieces(chunk);
  }

  /**
   * Everything of the stream up to `end` that is no body. Looked at before each piece of body and at the end of each read, where the
   * answer is the same for every way to split the stream.
   */
  #checkOverhead(end: number): void {
    const overhead = this.#streamBytes + (end - this.#streamAt) - this.#bodyBytes;
    if (overhead > this.#limits.maxChunkOverheadBytes + CHUNK_OVERHEAD_PER_BYTE * this.#bodyBytes)
      this.#isOverheadExceeded = true;
  }

  #joinPieces(chunk: Buffer): void {
    const { pieces } = this;
    const first = pieces[0] ?? 0;
    let joined = pieces[1] ?? 0;
    for (let index = 2; index < pieces.length; index += 2) {
      const start = pieces[index] ?? 0;
      const end = pieces[index + 1] ?? 0;
      chunk.copyWithin(joined, start, end);
      joined += end - start;
    }
    pieces.length = 0;
    pieces.push(first, joined);
  }

  onUrl(start: number, length: number): void {
    this.head.addTarget(this.#origin + start, length);
  }

  onStatus(): void {
    // The reason phrase is read off the block when the head is complete.
  }

  onHeaderField(start: number, length: number): void {
    if (this.#mode === 'head') {
      // One too many is enough to know: the rest of the read must not make the head grow.
      if (this.head.count <= this.#limits.maxHeaders) this.head.addName(this.#origin + start, length);
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
    this.#checkOverhead(this.#origin + start);
    this.pieces.push(this.#origin + start, this.#origin + start + length);
    this.#bodyBytes += length;
  }

  #appendTrailer(part: 0 | 1, start: number, length: number): void {
    const last = this.#trailers?.at(-1);
    this.#trailerBytes += length;
    if (last === undefined || this.#bytes === undefined || this.#trailerBytes > this.#limits.maxHeadBytes)
      return;
    last[part] += this.#bytes.latin1Slice(this.#origin + start, this.#origin + start + length);
  }

  #completeHead(chunk: Buffer, at: number, end: number): void {
    const length = this.#consumed + (end - at);
    this.#assertHeadLimits(length);
    const { head } = this;
    if (this.#isRequest) head.method = this.#llhttp.method();
    head.version = this.#llhttp.version();
    if (this.#consumed === 0) head.complete(chunk, at, length);
    else head.complete(this.#keep(chunk, at, end), 0, length);
    if (!(this.#isRequest ? head.hasStrictRequestLine() : head.hasStrictStatusLine()))
      throw new ProxyError('JTP_ERR_HTTP_PARSE', {
        message: 'the message is not valid HTTP/1.1: malformed first line',
      });
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
      const size = Math.min(Math.max(1024, needed * 2), Math.max(needed, this.#limits.maxHeadBytes));
      // Senders of many large heads that never end must not take the memory of everybody else.
      if (size > INPUT_BYTES && heldBytes + size > MAX_HELD_BYTES)
        throw new ProxyError('JTP_ERR_HTTP_HEADER_OVERFLOW', {
          message: 'too many large header sections at once',
        });
      const larger = Buffer.allocUnsafeSlow(size);
      store?.copy(larger, 0, 0, this.#consumed);
      this.#dropStore();
      this.#store = larger;
      heldBytes += size;
      store = larger;
    }
    chunk.copy(store, this.#consumed, at, end);
    this.#consumed = needed;
    return store;
  }

  #parseError(result: number, chunk: Buffer, at: number): ProxyError {
    if (result === LLHTTP_INVALID_METHOD) {
      // llhttp stops at the first byte that no method has there. Capitals up to it are a method that it has never heard of; what
      // follows may not have arrived yet and must not make a difference.
      const stop = at + (this.#origin - this.#consumed) + this.#llhttp.consumed();
      const kept = this.#store?.latin1Slice(0, this.#consumed) ?? '';
      if (/^(?:\r\n)*[A-Z][A-Z-]{0,30}$/.test(kept + chunk.latin1Slice(at, Math.min(chunk.length, stop + 1))))
        return new ProxyError('JTP_ERR_HTTP_METHOD');
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
  if (spare[kind].length >= SPARE_PARSERS) {
    parser.free();
    return;
  }
  parser.rest();
  spare[kind].push(parser);
}
