// Writes one response after the other to a client. The head waits for the first piece of body of the same read, so that a small response
// leaves in one write; whoever feeds the writer calls `flush` when its read is used up.

import type { Socket } from 'node:net';
import type { Trailers } from './parser.ts';
import { sendInput } from './shared-input.ts';

/** `plain`: bytes as they are (a length, or nothing, was announced); `until-close` also announces the end by closing. */
export type BodyCoding = 'plain' | 'chunked' | 'until-close';

/** A piece of body up to this size is joined with the head into one string; copying more costs more than a second buffer. */
const JOIN_BYTES = 16384;

/** Fields that would change the framing or the routing if a trailer could set them. Source: RFC 9110 §6.5.1. */
const FORBIDDEN_TRAILERS =
  /^(?:transfer-encoding|content-length|content-encoding|content-type|content-range|trailer|host|connection|upgrade|keep-alive|proxy-.*|te|authorization|cookie|set-cookie|cache-control|expect|range|x-forwarded-.*|x-real-ip)$/i;

/** Whether a field may stand behind a body, in either direction. */
export function isAllowedTrailer(name: string): boolean {
  return !FORBIDDEN_TRAILERS.test(name);
}

/** The chunk that ends a body, with its trailers. Source: RFC 9112 §7.1.2. */
export function lastChunk(trailers: Trailers): string {
  if (trailers.length === 0) return '0\r\n\r\n';
  const lines = trailers
    .filter(([name]) => isAllowedTrailer(name))
    .map(([name, value]) => `${name}: ${value.trim()}\r\n`);
  return `0\r\n${lines.join('')}\r\n`;
}

/** The response side of a client connection. */
export class ResponseWriter {
  readonly #socket: Socket;
  #head = '';
  #coding: BodyCoding = 'plain';
  #hasBegun = false;
  #isCorked = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** True once a final response has begun: an error can no longer be told in words. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** The end of the body is the end of the connection. */
  get closes(): boolean {
    return this.#coding === 'until-close';
  }

  /** A whole interim response (1xx). Returns false when the client should be given time. */
  interim(head: string): boolean {
    return this.#socket.write(head, 'latin1');
  }

  /** `head` is complete, with its empty line (a short body may follow it in the same string). */
  begin(head: string, coding: BodyCoding): void {
    this.#head = head;
    this.#coding = coding;
    this.#hasBegun = true;
  }

  /** Returns false when the client should be given time: `drain` follows. */
  write(chunk: Buffer, start: number, end: number): boolean {
    const head = this.#head;
    this.#head = '';
    if (this.#coding === 'chunked') return this.#writeChunk(head, chunk, start, end);
    if (head === '') return sendInput(this.#socket, chunk, start, end);
    if (end - start <= JOIN_BYTES) return this.#socket.write(head + chunk.latin1Slice(start, end), 'latin1');
    this.#cork();
    this.#socket.write(head, 'latin1');
    return sendInput(this.#socket, chunk, start, end);
  }

  #writeChunk(head: string, chunk: Buffer, start: number, end: number): boolean {
    const prefix = `${head}${(end - start).toString(16)}\r\n`;
    this.#cork();
    if (end - start <= JOIN_BYTES)
      return this.#socket.write(`${prefix}${chunk.latin1Slice(start, end)}\r\n`, 'latin1');
    this.#socket.write(prefix, 'latin1');
    sendInput(this.#socket, chunk, start, end);
    return this.#socket.write('\r\n', 'latin1');
  }

  /** Sends whatever was held back. */
  flush(): void {
    if (this.#head !== '') {
      const head = this.#head;
      this.#head = '';
      this.#socket.write(head, 'latin1');
    }
    if (this.#isCorked) {
      this.#isCorked = false;
      this.#socket.uncork();
    }
  }

  /** The body is complete. */
  end(trailers: Trailers): void {
    if (this.#coding === 'chunked') this.#socket.write(this.#head + lastChunk(trailers), 'latin1');
    else if (this.#head !== '') this.#socket.write(this.#head, 'latin1');
    this.#head = '';
    this.flush();
  }

  /** Ready for the next response. */
  reset(): void {
    this.#hasBegun = false;
    this.#coding = 'plain';
  }

  #cork(): void {
    if (this.#isCorked) return;
    this.#isCorked = true;
    this.#socket.cork();
  }
}
