// The headers of WebSocket frames in one direction, read as the bytes pass: what kind they are, and where one ends. Payloads are skipped by
// their length and never looked at. Source: RFC 6455 §5.2.

import { randomBytes } from 'node:crypto';

const CLOSE = 0x8;
const PING = 0x9;
const PONG = 0xa;

/** Bytes of the longest header: two, eight for the length, four for the mask. */
const MAX_HEADER_BYTES = 14;

/** A header, or part of one. */
const NOT_YET = -1;
/** What passes is no sequence of frames. */
const NONSENSE = -2;

/** Follows the frames of one direction. */
export class FrameReader {
  /** Frames that carry data (text, binary, their continuations). */
  dataFrames = 0;
  /** Pings and pongs. */
  controlFrames = 0;
  /** The sender has said goodbye: it sends nothing more. */
  hasClosed = false;
  /** The sender's bytes make no sense as frames; they are passed on all the same. */
  isLost = false;
  /** Payload still to come. */
  #left = 0;
  #isData = false;
  /** The beginning of a header that did not arrive in one piece. */
  #partial: Buffer | undefined;

  /** All frames so far are complete: another one may be put in. */
  get isBetweenFrames(): boolean {
    return !this.isLost && this.#left === 0 && this.#partial === undefined;
  }

  /**
   * Reads on; returns true when data was among what passed. With `toBoundary` it stops at the first end of a frame, which `boundary` names.
   */
  read(chunk: Buffer, toBoundary = false): boolean {
    let sawData = this.#left > 0 && this.#isData;
    let at = 0;
    this.boundary = NOT_YET;
    while (!this.isLost) {
      if (this.#left > 0) {
        const taken = Math.min(this.#left, chunk.length - at);
        this.#left -= taken;
        at += taken;
      }
      if (this.#left > 0) break;
      if (toBoundary && this.#partial === undefined && at > 0) {
        this.boundary = at;
        break;
      }
      if (at >= chunk.length) break;
      at = this.#readHeader(chunk, at);
      if (at < 0) break;
      sawData ||= this.#isData;
    }
    return sawData || this.isLost;
  }

  /** After `read(chunk, true)`: where the first frame that ends in the chunk ends; -1 when none does. */
  boundary = NOT_YET;

  /** Returns where the payload begins, or -1. */
  #readHeader(chunk: Buffer, at: number): number {
    const partial = this.#partial;
    if (partial === undefined) {
      const size = headerSize(chunk, at);
      if (size === NONSENSE) return this.#loseTrack();
      if (size !== NOT_YET && at + size <= chunk.length) {
        this.#begin(chunk, at, size);
        return at + size;
      }
      this.#partial = Buffer.from(chunk.subarray(at));
      return NOT_YET;
    }
    const joined = Buffer.concat([partial, chunk.subarray(at, at + MAX_HEADER_BYTES)]);
    const size = headerSize(joined, 0);
    if (size === NONSENSE) return this.#loseTrack();
    if (size === NOT_YET || size > joined.length) {
      this.#partial = joined;
      return NOT_YET;
    }
    this.#partial = undefined;
    this.#begin(joined, 0, size);
    return at + size - partial.length;
  }

  #loseTrack(): number {
    this.isLost = true;
    this.#partial = undefined;
    return NOT_YET;
  }

  #begin(bytes: Buffer, at: number, size: number): void {
    const opcode = (bytes[at] ?? 0) & 0x0f;
    const second = bytes[at + 1] ?? 0;
    const short = second & 0x7f;
    const maskSize = second >= 0x80 ? 4 : 0;
    this.#left =
      short < 126
        ? short
        : size - maskSize === 4
          ? bytes.readUInt16BE(at + 2)
          : Number(bytes.readBigUInt64BE(at + 2));
    this.#isData = opcode < CLOSE;
    if (this.#isData) this.dataFrames++;
    else if (opcode === CLOSE) this.hasClosed = true;
    else this.controlFrames++;
  }
}

/** How long the header at `at` is; -1 while that cannot be told, -2 for what is no header. */
function headerSize(bytes: Buffer, at: number): number {
  const first = bytes[at];
  if (first === undefined) return NOT_YET;
  const opcode = first & 0x0f;
  const isKnown = opcode <= 2 || opcode === CLOSE || opcode === PING || opcode === PONG;
  if (!isKnown) return NONSENSE;
  const second = bytes[at + 1];
  if (second === undefined) return NOT_YET;
  const maskSize = second >= 0x80 ? 4 : 0;
  const short = second & 0x7f;
  if (short < 126) return 2 + maskSize;
  // RFC 6455 §5.5: control frames are short and whole.
  if (opcode >= CLOSE) return NONSENSE;
  if (short === 126) return 4 + maskSize;
  const high = bytes[at + 2];
  // More than 2^53 bytes are no frame that anybody means.
  return high !== undefined && (high !== 0 || (bytes[at + 3] ?? 0) >= 0x20) ? NONSENSE : 10 + maskSize;
}

/** A close frame; masked, as a client must send it (RFC 6455 §5.3), or not. */
export function closeFrame(code: number, isMasked: boolean): Buffer {
  const payload = Buffer.from([code >> 8, code & 0xff]);
  if (!isMasked) return Buffer.concat([Buffer.from([0x80 | CLOSE, payload.length]), payload]);
  const mask = randomBytes(4);
  const masked = payload.map((byte, index) => byte ^ (mask[index % 4] ?? 0));
  return Buffer.concat([Buffer.from([0x80 | CLOSE, 0x80 | payload.length]), mask, masked]);
}
