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
  #spans = new Int32Array(INITIAL_HEADERS * SPAN_FIELDS);
  #kinds = new Uint8Array(INITIAL_HEADERS);
  #isInValue = true;

  // What the parser tells.

  /** Forgets the message before. */
  begin(): void {
    this.count = 0;
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
    return this.#block.latin1Slice(this.#shift + this.#targetStart, this.#shift + this.#targetEnd);
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
