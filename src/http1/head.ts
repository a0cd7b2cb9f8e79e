// The head of one message as spans into the bytes it arrived in. Lines that may pass are forwarded as these bytes; strings are made only
// of what the proxy itself has to read. One object serves all messages of a parser: it is valid until the next head is read.

import { HeaderKind, headerKindAt } from './header-kind.ts';

const SPACE = 0x20;
const TAB = 0x09;
const CR = 0x0d;
const LF = 0x0a;

/** Offsets inside `#spans` of one header. */
const NAME_START = 0;
const NAME_END = 1;
const VALUE_START = 2;
const VALUE_END = 3;
const SPAN_FIELDS = 4;
const INITIAL_HEADERS = 32;
/** A head with more headers than this gives the memory back. */
const KEPT_HEADERS = 256;

const UPPER_H = 0x48;
const DEL = 0x7f;
/** ` HTTP/1.1` and its line end. */
const VERSION_BYTES = 11;
/** `HTTP/1.1 200`. */
const STATUS_BYTES = 12;

const EMPTY = Buffer.alloc(0);

/** A parsed head. Offsets are kept relative to the head's first byte and shifted to where the block has them. */
export class MessageHead {
  method = '';
  status = 0;
  /** 10 or 11. */
  version = 11;
  /** True when Content-Length or Transfer-Encoding is among the headers. */
  hasFraming = false;
  /** True when Connection or Keep-Alive is among the headers. */
  hasPersistence = false;
  count = 0;
  #block: Buffer = EMPTY;
  #shift = 0;
  #length = 0;
  #targetStart = 0;
  #targetEnd = 0;
  /** Set: stands in the place of the one in the block. */
  #otherTarget: string | undefined;
  #spans: Int32Array;
  #kinds: Uint8Array;
  #isInValue = true;

  /** `like`: everything but the target is that complete head's, which must not be read into again; nor must this one. */
  constructor(like?: { readonly head: MessageHead; readonly target: string }) {
    if (like === undefined) {
      this.#spans = new Int32Array(INITIAL_HEADERS * SPAN_FIELDS);
      this.#kinds = new Uint8Array(INITIAL_HEADERS);
      return;
    }
    const { head, target } = like;
    this.method = head.method;
    this.version = head.version;
    this.hasFraming = head.hasFraming;
    this.hasPersistence = head.hasPersistence;
    this.count = head.count;
    this.#block = head.#block;
    this.#shift = head.#shift;
    this.#length = head.#length;
    this.#otherTarget = target;
    this.#spans = head.#spans;
    this.#kinds = head.#kinds;
  }

  // What the parser tells.

  /** Forgets the message before, and does not hold on to its bytes. */
  begin(): void {
    this.count = 0;
    this.#block = EMPTY;
    if (this.#kinds.length > KEPT_HEADERS) {
      this.#spans = new Int32Array(INITIAL_HEADERS * SPAN_FIELDS);
      this.#kinds = new Uint8Array(INITIAL_HEADERS);
    }
    this.#targetStart = 0;
    this.#targetEnd = 0;
    this.#isInValue = true;
    this.hasFraming = false;
    this.hasPersistence = false;
  }

  addTarget(start: number, length: number): void {
    if (this.#targetEnd === 0) this.#targetStart = start;
    this.#targetEnd = start + length;
  }

  addName(start: number, length: number): void {
    const base = this.count * SPAN_FIELDS;
    // A name split between two reads arrives in two pieces that touch.
    if (!this.#isInValue && this.#spans[base - SPAN_FIELDS + NAME_END] === start) {
      this.#spans[base - SPAN_FIELDS + NAME_END] = start + length;
      return;
    }
    if (base === this.#spans.length) this.#grow();
    this.#spans[base + NAME_START] = start;
    this.#spans[base + NAME_END] = start + length;
    this.#spans[base + VALUE_START] = start + length;
    this.#spans[base + VALUE_END] = start + length;
    this.#isInValue = false;
    this.count++;
  }

  addValue(start: number, length: number): void {
    const base = (this.count - 1) * SPAN_FIELDS;
    if (!this.#isInValue) this.#spans[base + VALUE_START] = start;
    this.#spans[base + VALUE_END] = start + length;
    this.#isInValue = true;
  }

  /** All spans are known: `block[shift, shift + length)` is the head. */
  complete(block: Buffer, shift: number, length: number): void {
    this.#block = block;
    this.#shift = shift;
    this.#length = length;
    const spans = this.#spans;
    for (let index = 0, base = 0; index < this.count; index++, base += SPAN_FIELDS) {
      const start = spans[base + NAME_START] ?? 0;
      const kind = headerKindAt(block, shift + start, (spans[base + NAME_END] ?? 0) - start);
      this.#kinds[index] = kind;
      if (kind === HeaderKind.contentLength || kind === HeaderKind.transferEncoding) this.hasFraming = true;
      else if (kind === HeaderKind.connection || kind === HeaderKind.keepAlive) this.hasPersistence = true;
    }
  }

  /** Where the first line begins: an empty line or two before it are tolerated (RFC 9112 §2.2); -1 for a lone CR or LF. */
  #firstLine(): number {
    const block = this.#block;
    let at = this.#shift;
    while (block[at] === CR && block[at + 1] === LF) at += 2;
    return block[at] === CR || block[at] === LF ? -1 : at - this.#shift;
  }

  /** RFC 9112 §3: single spaces, HTTP and no other protocol, CRLF. llhttp is more lenient, and other parsers differ from it there. */
  hasStrictRequestLine(): boolean {
    const lineEnd = this.count > 0 ? (this.#spans[NAME_START] ?? 0) : this.#length - 2;
    return (
      this.#firstLine() + this.method.length + 1 === this.#targetStart &&
      this.#targetEnd + VERSION_BYTES === lineEnd &&
      this.#block[this.#shift + this.#targetEnd + 1] === UPPER_H
    );
  }

  /** RFC 9112 §4, §15: a status from 100 up, and no control characters in what is said about it. */
  hasStrictStatusLine(): boolean {
    const block = this.#block;
    const first = this.#firstLine();
    if (first < 0 || this.status < 100 || block[this.#shift + first] !== UPPER_H) return false;
    let at = this.#shift + first + STATUS_BYTES;
    for (let byte = block[at]; byte !== CR; byte = block[++at])
      if (byte === undefined || (byte < SPACE && byte !== TAB) || byte === DEL) return false;
    return true;
  }

  #grow(): void {
    const spans = new Int32Array(this.#spans.length * 2);
    spans.set(this.#spans);
    this.#spans = spans;
    const kinds = new Uint8Array(this.#kinds.length * 2);
    kinds.set(this.#kinds);
    this.#kinds = kinds;
  }

  // What its readers ask.

  /** The request target as received, one character per byte. */
  target(): string {
    if (this.#otherTarget !== undefined) return this.#otherTarget;
    return this.#block.latin1Slice(this.#shift + this.#targetStart, this.#shift + this.#targetEnd);
  }

  /** Bytes of the whole head. */
  get length(): number {
    return this.#length;
  }

  get targetLength(): number {
    return this.#targetEnd - this.#targetStart;
  }

  /** A value of HeaderKind. */
  kind(index: number): number {
    return this.#kinds[index] ?? HeaderKind.other;
  }

  /** The name as received. */
  name(index: number): string {
    const base = index * SPAN_FIELDS;
    return this.#block.latin1Slice(
      this.#shift + (this.#spans[base + NAME_START] ?? 0),
      this.#shift + (this.#spans[base + NAME_END] ?? 0),
    );
  }

  /** The value without surrounding white space, one character per byte. */
  value(index: number): string {
    const base = index * SPAN_FIELDS;
    let start = this.#shift + (this.#spans[base + VALUE_START] ?? 0);
    let end = this.#shift + (this.#spans[base + VALUE_END] ?? 0);
    while (end > start && isBlank(this.#block[end - 1])) end--;
    while (start < end && isBlank(this.#block[start])) start++;
    return this.#block.latin1Slice(start, end);
  }

  /** The value with the white space around it that llhttp has left there. */
  rawValue(index: number): string {
    const base = index * SPAN_FIELDS;
    return this.#block.latin1Slice(
      this.#shift + (this.#spans[base + VALUE_START] ?? 0),
      this.#shift + (this.#spans[base + VALUE_END] ?? 0),
    );
  }

  /** The index of the first header of a kind, or -1. */
  indexOf(kind: number): number {
    for (let index = 0; index < this.count; index++) if (this.#kinds[index] === kind) return index;
    return -1;
  }

  /** All values of a name, for rules and middlewares; `name` in lower case. */
  values(name: string): string[] {
    const found: string[] = [];
    for (let index = 0; index < this.count; index++) {
      const base = index * SPAN_FIELDS;
      const length = (this.#spans[base + NAME_END] ?? 0) - (this.#spans[base + NAME_START] ?? 0);
      if (length === name.length && this.name(index).toLowerCase() === name) found.push(this.value(index));
    }
    return found;
  }

  /** Whole lines from header `from` up to, not including, header `to`, with their line ends. */
  lines(from: number, to: number): string {
    const start = this.#spans[from * SPAN_FIELDS + NAME_START] ?? 0;
    // The head ends with an empty line of two bytes (strict parsing: always CRLF).
    const end = to < this.count ? (this.#spans[to * SPAN_FIELDS + NAME_START] ?? 0) : this.#length - 2;
    return this.#block.latin1Slice(this.#shift + start, this.#shift + end);
  }

  /** What stands after the status code, with the space before it: ` OK`, or nothing. Source: RFC 9112 §4. */
  reason(): string {
    let start = this.#shift;
    while (this.#block[start] === CR || this.#block[start] === LF) start++;
    start += 'HTTP/1.1 200'.length;
    const end = this.#block.indexOf(CR, start);
    return end < 0 ? '' : this.#block.latin1Slice(start, end);
  }
}

function isBlank(byte: number | undefined): boolean {
  return byte === SPACE || byte === TAB;
}
