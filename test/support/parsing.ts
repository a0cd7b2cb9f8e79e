// Runs the parser over a text that arrives in pieces, and says what came out in a form that two runs can be compared by.

import { ProxyError } from '../../src/errors.ts';
import { requestFraming, responseFraming } from '../../src/http1/framing.ts';
import type { MessageHead } from '../../src/http1/head.ts';
import { HttpParser, NEED_MORE } from '../../src/http1/parser.ts';
import type { ParserLimits } from '../../src/http1/parser.ts';

export const LIMITS: ParserLimits = {
  maxHeadBytes: 65536,
  maxHeaders: 100,
  maxTargetBytes: 8192,
  maxChunkOverheadBytes: 16384,
};

/** One message as a reader of the head and the body sees it. */
export interface ParsedMessage {
  readonly first: string;
  readonly headers: readonly string[];
  readonly lines: string;
  body: string;
  trailers: string;
  isComplete: boolean;
}

/** All messages of a stream, and the code of the error that ended it. */
export interface Parsed {
  readonly messages: readonly ParsedMessage[];
  readonly error: string | undefined;
}

function describe(head: MessageHead, kind: 'request' | 'response'): ParsedMessage {
  return {
    first:
      kind === 'request'
        ? `${head.method} ${head.target()} ${String(head.version)}`
        : `${String(head.version)} ${String(head.status)}${head.reason()}`,
    headers: Array.from(
      { length: head.count },
      (_, index) => `${head.name(index)}=${head.value(index)} (${String(head.kind(index))})`,
    ),
    lines: head.lines(0, head.count),
    body: '',
    trailers: '',
    isComplete: false,
  };
}

/** Cuts `text` at these places and reads it. Bodies with a length are taken as a connection takes them. */
export function parse(
  kind: 'request' | 'response',
  text: string,
  cuts: readonly number[] = [],
  limits: ParserLimits = LIMITS,
): Parsed {
  const messages: ParsedMessage[] = [];
  const reader = new StreamReader(kind, limits, messages);
  const bounds = [...new Set([0, ...cuts, text.length])].sort((a, b) => a - b);
  try {
    for (let index = 1; index < bounds.length; index++)
      reader.read(Buffer.from(text.slice(bounds[index - 1], bounds[index]), 'latin1'));
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error;
    // How much of a refused message had been passed on depends on how it arrived.
    const last = messages.at(-1);
    if (last?.isComplete === false) last.body = '';
    return { messages, error: error.code };
  } finally {
    reader.free();
  }
  return { messages, error: undefined };
}

class StreamReader {
  readonly #kind: 'request' | 'response';
  readonly #limits: ParserLimits;
  readonly #messages: ParsedMessage[];
  readonly #parser: HttpParser;
  #state: 'head' | 'length' | 'chunked' | 'until-close' = 'head';
  #remaining = 0;

  constructor(kind: 'request' | 'response', limits: ParserLimits, messages: ParsedMessage[]) {
    this.#kind = kind;
    this.#limits = limits;
    this.#messages = messages;
    this.#parser = new HttpParser(kind, limits);
  }

  free(): void {
    this.#parser.free();
  }

  read(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) at = this.#step(chunk, at);
  }

  #step(chunk: Buffer, at: number): number {
    const message = this.#messages.at(-1);
    if (this.#state === 'head' || message === undefined) return this.#readHead(chunk, at);
    if (this.#state === 'chunked') {
      const end = this.#parser.readChunks(chunk, at);
      const { pieces } = this.#parser;
      for (let index = 0; index < pieces.length; index += 2)
        message.body += chunk.latin1Slice(pieces[index] ?? 0, pieces[index + 1] ?? 0);
      if (end === NEED_MORE) return chunk.length;
      message.trailers = this.#parser.trailers.map(([name, value]) => `${name}=${value.trim()}`).join();
      this.#complete(message);
      return end;
    }
    const end = this.#state === 'length' ? Math.min(chunk.length, at + this.#remaining) : chunk.length;
    message.body += chunk.latin1Slice(at, end);
    this.#remaining -= end - at;
    if (this.#state === 'length' && this.#remaining === 0) this.#complete(message);
    return end;
  }

  #readHead(chunk: Buffer, at: number): number {
    const end = this.#parser.readHead(chunk, at);
    if (end === NEED_MORE) return chunk.length;
    const { head } = this.#parser;
    const message = describe(head, this.#kind);
    const framing = this.#kind === 'request' ? requestFraming(head) : responseFraming(head, 'GET');
    this.#messages.push(message);
    if (framing.name === 'none') this.#complete(message);
    else {
      this.#state = framing.name;
      this.#remaining = framing.name === 'length' ? framing.length : 0;
    }
    return end;
  }

  #complete(message: ParsedMessage): void {
    message.isComplete = true;
    this.#state = 'head';
    this.#parser.reset(this.#limits);
  }
}
