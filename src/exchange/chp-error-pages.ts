// Error pages of the configurable-http-proxy command: from a server (`--error-target`), from a folder (`--error-path`), or built in.
// Source: its command line reference. What that program asks its server for at every failure is asked once here for everybody who waits,
// and remembered for a moment; scripts, which cannot show a page, are answered without asking.

import { readFile } from 'node:fs/promises';
import { STATUS_CODES } from 'node:http';
import { join } from 'node:path';
import type { Answer } from '../http1/answer.ts';
import type { ErrorPages, Failure } from './error-pages.ts';
import type { ErrorTarget } from './error-target.ts';
import { wantsPage } from './wants-page.ts';

/** Where pages come from. */
export interface ChpErrorPagesOptions {
  readonly folder: string | undefined;
  readonly target: ErrorTarget | undefined;
}

/** A page that somebody has just seen is good for the next one. */
const FRESH_MS = 2000;
const MAX_PAGES = 200;

const HTML = 'Content-Type: text/html; charset=utf-8\r\n';

interface Page {
  readonly answer: Promise<Answer>;
  readonly until: number;
}

/** See the head of this file. */
export class ChpErrorPages implements ErrorPages {
  readonly #options: ChpErrorPagesOptions;
  readonly #pages = new Map<string, Page>();

  constructor(options: ChpErrorPagesOptions) {
    this.#options = options;
  }

  answer({ status, error, request, head }: Failure): Answer | Promise<Answer> {
    const code = error === undefined ? status : error.source === 'upstream' ? 503 : 500;
    if (request.upgrade !== undefined) return { status: code, body: '', headers: '' };
    if (!wantsPage(request.method, request.target, head)) return messageFor(code);
    const { folder, target } = this.#options;
    if (target !== undefined)
      return this.#remembered(`${String(code)} ${request.target}`, async () => {
        const page = await target.page(code, request.target);
        return page === undefined ? plainAnswer(code) : { status: code, ...page };
      });
    if (folder !== undefined) return this.#remembered(String(code), () => readPage(folder, code));
    return builtInPage(code);
  }

  close(): void {
    this.#options.target?.close();
  }

  #remembered(key: string, make: () => Promise<Answer>): Promise<Answer> {
    const now = Date.now();
    const known = this.#pages.get(key);
    if (known !== undefined && known.until > now) return known.answer;
    // The oldest is first.
    this.#pages.delete(key);
    for (const [other, page] of this.#pages) {
      if (page.until > now && this.#pages.size < MAX_PAGES) break;
      this.#pages.delete(other);
    }
    const answer = make();
    this.#pages.set(key, { answer, until: now + FRESH_MS });
    return answer;
  }
}

function messageFor(code: number): Answer {
  const message = STATUS_CODES[code] ?? '';
  return {
    status: code,
    body: JSON.stringify({ message, status: code }),
    headers: 'Content-Type: application/json\r\n',
  };
}

function plainAnswer(code: number): Answer {
  return {
    status: code,
    body: STATUS_CODES[code] ?? '',
    headers: 'Content-Type: text/plain; charset=utf-8\r\n',
  };
}

/** `503.html`, else `error.html`, else words. */
async function readPage(folder: string, code: number): Promise<Answer> {
  for (const name of [String(code), 'error'])
    try {
      const body = await readFile(join(folder, `${name}.html`), 'latin1');
      return { status: code, body, headers: 'Content-Type: text/html\r\n' };
    } catch {
      // There is no such page.
    }
  return plainAnswer(code);
}

const TEXTS = new Map([
  [404, 'There is nothing at this address. If you expected your server here, it may have been stopped.'],
  [503, 'The server behind this address does not answer. It may be starting, or it may have been stopped.'],
]);

function builtInPage(code: number): Answer {
  const title = `${String(code)} ${STATUS_CODES[code] ?? ''}`;
  const text = TEXTS.get(code) ?? 'Something went wrong on the way to the server.';
  return {
    status: code,
    body:
      `<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>${title}</title>` +
      '<style>body{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem;color:#333}h1{font-size:1.4rem}</style>' +
      `</head><body><h1>${title}</h1><p>${text}</p></body></html>\n`,
    headers: HTML,
  };
}
