// The private socket speaks one JSON document per line. Lines are collected without ever searching the same bytes twice.

import { errorText, ProxyError } from '../errors.ts';

const LINE_FEED = 0x0a;

/** Longer lines are refused; a part of a snapshot is far below this. */
export const MAX_LINE_BYTES = 64 * 1024 * 1024;

/** Puts the pieces of a stream together to lines. */
export class LineReader {
  #pieces: Buffer[] = [];
  #length = 0;

  /** The documents completed by `chunk`; throws ProxyError JTP_ERR_CHANNEL_PROTOCOL. */
  read(chunk: Buffer): unknown[] {
    const documents: unknown[] = [];
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(LINE_FEED, start);
      if (end < 0) break;
      if (this.#length === 0 && end - start <= MAX_LINE_BYTES)
        documents.push(parse(chunk.toString('utf8', start, end)));
      else {
        this.#keep(chunk.subarray(start, end));
        documents.push(parse(Buffer.concat(this.#pieces).toString('utf8')));
        this.#pieces = [];
        this.#length = 0;
      }
      start = end + 1;
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start));
    return documents;
  }

  #keep(piece: Buffer): void {
    this.#length += piece.length;
    if (this.#length > MAX_LINE_BYTES)
      throw new ProxyError('JTP_ERR_CHANNEL_PROTOCOL', {
        message: 'a line on the private socket is too long',
      });
    this.#pieces.push(piece);
  }
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch (cause) {
    throw new ProxyError('JTP_ERR_CHANNEL_PROTOCOL', {
      message: `a line on the private socket is not JSON: ${errorText(cause)}`,
      cause,
    });
  }
}

/** A document as a line. */
export function toLine(document: unknown): string {
  return `${JSON.stringify(document)}\n`;
}
