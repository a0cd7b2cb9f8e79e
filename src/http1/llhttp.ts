// llhttp, the HTTP/1 parser of Node itself, as the WASM build inside the pinned `undici` package. This file owns its memory and its
// eight callbacks; `parser.ts` is the only caller. Nothing here is re-entrant: one parser runs at a time, and never across an await.

import { createRequire } from 'node:module';

/** The callbacks of one parser; offsets count from the start of the bytes given to `execute`. */
export interface LlhttpEvents {
  onUrl(start: number, length: number): void;
  onStatus(start: number, length: number): void;
  onHeaderField(start: number, length: number): void;
  onHeaderValue(start: number, length: number): void;
  onHeadersComplete(statusCode: number): void;
  onBody(start: number, length: number): void;
}

interface LlhttpExports {
  readonly memory: WebAssembly.Memory;
  malloc(size: number): number;
  llhttp_alloc(type: number): number;
  llhttp_free(parser: number): void;
  llhttp_reset(parser: number): void;
  llhttp_resume(parser: number): void;
  llhttp_execute(parser: number, data: number, length: number): number;
  llhttp_get_error_pos(parser: number): number;
  llhttp_get_error_reason(parser: number): number;
  llhttp_get_method(parser: number): number;
  llhttp_method_name(method: number): number;
  llhttp_get_http_major(parser: number): number;
  llhttp_get_http_minor(parser: number): number;
  llhttp_get_status_code(parser: number): number;
}

/** Results of `execute` that have a meaning of their own; everything else is a violation of the protocol. Source: llhttp.h. */
export const LLHTTP_OK = 0;
export const LLHTTP_INVALID_METHOD = 6;
export const LLHTTP_PAUSED = 21;

export const LLHTTP_REQUEST = 1;
export const LLHTTP_RESPONSE = 2;

/** The most bytes one `execute` takes. */
export const INPUT_BYTES = 65536;

let current: LlhttpEvents | undefined;
let inputAt = 0;

const callbacks = {
  wasm_on_message_begin: () => 0,
  wasm_on_url(_parser: number, at: number, length: number): number {
    current?.onUrl(at - inputAt, length);
    return 0;
  },
  wasm_on_status(_parser: number, at: number, length: number): number {
    current?.onStatus(at - inputAt, length);
    return 0;
  },
  wasm_on_header_field(_parser: number, at: number, length: number): number {
    current?.onHeaderField(at - inputAt, length);
    return 0;
  },
  wasm_on_header_value(_parser: number, at: number, length: number): number {
    current?.onHeaderValue(at - inputAt, length);
    return 0;
  },
  // Stopping here lets the caller decide about the body before a byte of it is looked at.
  wasm_on_headers_complete(_parser: number, statusCode: number): number {
    current?.onHeadersComplete(statusCode);
    return LLHTTP_PAUSED;
  },
  wasm_on_body(_parser: number, at: number, length: number): number {
    current?.onBody(at - inputAt, length);
    return 0;
  },
  wasm_on_message_complete: () => LLHTTP_PAUSED,
};

function instantiate(): LlhttpExports {
  const binary: unknown = createRequire(import.meta.url)('undici/lib/llhttp/llhttp_simd-wasm.js');
  if (!(binary instanceof Uint8Array))
    throw new TypeError('undici no longer ships llhttp as bytes: check its pinned version');
  const module = new WebAssembly.Module(Uint8Array.from(binary));
  // The imports and exports are those of the pinned version; `test/http1/llhttp.test.ts` holds them to this interface.
  return new WebAssembly.Instance(module, { env: callbacks }).exports as unknown as LlhttpExports;
}

const llhttp = instantiate();
const inputPointer = llhttp.malloc(INPUT_BYTES);
let input = new Uint8Array(llhttp.memory.buffer, inputPointer, INPUT_BYTES);
inputAt = inputPointer;

/** The method numbers of llhttp as names, read out of the WASM build once. */
const METHOD_NAMES: readonly string[] = Array.from({ length: 64 }, (_, number) =>
  number < 47 ? cString(llhttp.llhttp_method_name(number)) : '',
);

function cString(at: number): string {
  if (at === 0) return '';
  const bytes = new Uint8Array(llhttp.memory.buffer, at, 256);
  return Buffer.from(bytes.subarray(0, bytes.indexOf(0))).toString('latin1');
}

/** One parser's state inside the WASM memory; it has to be given back with `free`. */
export class Llhttp {
  readonly #pointer: number;

  constructor(type: typeof LLHTTP_REQUEST | typeof LLHTTP_RESPONSE) {
    this.#pointer = llhttp.llhttp_alloc(type);
  }

  /** Parses `bytes[start, end)`, at most INPUT_BYTES; offsets given to `events` count from `start`. Returns an llhttp error number. */
  execute(events: LlhttpEvents, bytes: Uint8Array, start: number, end: number): number {
    // Growing the memory (llhttp_alloc) replaces its buffer.
    if (input.buffer !== llhttp.memory.buffer)
      input = new Uint8Array(llhttp.memory.buffer, inputPointer, INPUT_BYTES);
    input.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end));
    current = events;
    const result = llhttp.llhttp_execute(this.#pointer, inputPointer, end - start);
    current = undefined;
    return result;
  }

  /** After a pause or an error: how many bytes of the last `execute` were consumed. */
  consumed(): number {
    return llhttp.llhttp_get_error_pos(this.#pointer) - inputPointer;
  }

  /** Why the last `execute` failed, in llhttp's words. */
  reason(): string {
    return cString(llhttp.llhttp_get_error_reason(this.#pointer));
  }

  resume(): void {
    llhttp.llhttp_resume(this.#pointer);
  }

  /** Ready for a new message. */
  reset(): void {
    llhttp.llhttp_reset(this.#pointer);
  }

  /** Gives the memory back; the object must not be used again. */
  free(): void {
    llhttp.llhttp_free(this.#pointer);
  }

  method(): string {
    return METHOD_NAMES[llhttp.llhttp_get_method(this.#pointer)] ?? '';
  }

  /** 10 for HTTP/1.0, 11 for HTTP/1.1. */
  version(): number {
    return llhttp.llhttp_get_http_major(this.#pointer) * 10 + llhttp.llhttp_get_http_minor(this.#pointer);
  }
}
