// What users of a JupyterHub see when their server cannot answer: a page of its own for people, JSON for scripts, a bare status for
// WebSockets. Made here and kept: the hub hears nothing of any failure. Where it is asked for its own pages, it is asked once for each kind
// of failure and a while. Statuses stay those of the plain answers.

import { STATUS_CODES } from 'node:http';
import type { Answer } from '../http1/answer.ts';
import type { ErrorPages, Failure } from './error-pages.ts';
import type { ErrorTarget } from './error-target.ts';
import { wantsPage } from './wants-page.ts';

/** Hubs that pages lead to: one, unless somebody asks for many paths. */
const MAX_PAGES = 100;

/** A page of the hub is good for so long; a hub that had none is asked again sooner. */
const FRESH_MS = 10_000;
const ABSENT_MS = 2000;

type HubPage = Pick<Answer, 'body' | 'headers'>;

interface Words {
  readonly title: string;
  readonly text: string;
  /** The page looks again by itself. */
  readonly isPassing: boolean;
}

const UNREACHABLE: Words = {
  title: 'Your server does not answer',
  text: 'It may be starting, or it may have been stopped. This page looks again every ten seconds.',
  isPassing: true,
};

const WORDS = new Map<number, Words>([
  [
    404,
    {
      title: 'There is nothing here',
      text: 'If you expected your server at this address, it may have been stopped.',
      isPassing: false,
    },
  ],
  [
    424,
    {
      title: 'Your server is not running',
      text: 'It has been stopped. You can start it again from the home page.',
      isPassing: false,
    },
  ],
  [502, UNREACHABLE],
  [503, UNREACHABLE],
  [504, { ...UNREACHABLE, title: 'Your server takes too long to answer' }],
]);

const OTHER: Words = {
  title: 'Something went wrong',
  text: 'The proxy could not pass your request on.',
  isPassing: false,
};

/** See the head of this file. */
export class HubErrorPages implements ErrorPages {
  readonly #target: ErrorTarget | undefined;
  readonly #pages = new Map<string, Answer>();
  /** By the number that the hub was asked for. */
  readonly #hubPages = new Map<number, { readonly page: Promise<HubPage | undefined>; until: number }>();

  /** `target`: the hub, if its pages are wanted. */
  constructor(target?: ErrorTarget) {
    this.#target = target;
  }

  answer({ status, request, head }: Failure): Answer | Promise<Answer> {
    if (request.upgrade !== undefined) return { status, body: '', headers: '' };
    const words = WORDS.get(status) ?? OTHER;
    const { method, target } = request;
    if (!wantsPage(method, target, head)) return messageFor(status, words);
    return this.#target === undefined
      ? this.#pageOfOurs(status, words, target)
      : this.#pageOfHub(this.#target, { status, words, url: target });
  }

  close(): void {
    this.#target?.close();
  }

  #pageOfOurs(status: number, words: Words, url: string): Answer {
    const home = hubHome(url);
    const key = `${String(status)} ${home}`;
    const known = this.#pages.get(key);
    if (known !== undefined) return known;
    if (this.#pages.size >= MAX_PAGES) this.#pages.clear();
    const page = pageFor(status, words, home);
    this.#pages.set(key, page);
    return page;
  }

  async #pageOfHub(
    hub: ErrorTarget,
    { status, words, url }: { readonly status: number; readonly words: Words; readonly url: string },
  ): Promise<Answer> {
    // The pages that hubs have words for, and administrators templates: those that configurable-http-proxy asks for.
    const code = words.isPassing ? 503 : status;
    let known = this.#hubPages.get(code);
    if (known === undefined || known.until <= performance.now()) {
      const asked = { page: hub.page(code, url), until: Infinity };
      this.#hubPages.set(code, asked);
      known = asked;
      void asked.page.then((page) => {
        asked.until = performance.now() + (page === undefined ? ABSENT_MS : FRESH_MS);
      });
    }
    const page = await known.page;
    if (page === undefined) return this.#pageOfOurs(status, words, url);
    return { status, body: page.body, headers: `${page.headers}Cache-Control: no-store\r\n` };
  }
}

/** In the form that JupyterHub and Jupyter servers give to errors. */
function messageFor(status: number, { title }: Words): Answer {
  const message = `${STATUS_CODES[status] ?? ''}: ${title.toLowerCase()}`;
  return {
    status,
    body: JSON.stringify({ message, reason: null, status }),
    headers: 'Content-Type: application/json\r\nCache-Control: no-store\r\n',
  };
}

/** The hub's pages lie beside the first `user/` or `services/`, whatever its base URL; what follows is a user's to choose. */
function hubHome(target: string): string {
  const base = /^((?:\/[A-Za-z0-9._~-]+)*?)\/(?:user|services|hub)\//.exec(target)?.[1] ?? '';
  return `${base}/hub/home`;
}

const STYLE =
  'body{margin:0;font:16px/1.5 "Helvetica Neue",Helvetica,Arial,sans-serif;color:#333;background:#fff}' +
  'header{padding:12px 20px;border-bottom:1px solid #e7e7e7;background:#f8f8f8;font-size:18px}' +
  'header b{color:#f37626}main{max-width:38rem;margin:12vh auto 0;padding:0 20px;text-align:center}' +
  'h1{font-size:26px;font-weight:500}p{color:#555}' +
  'a{display:inline-block;margin-top:12px;padding:10px 18px;border-radius:4px;background:#f37626;color:#fff;text-decoration:none}' +
  '@media(prefers-color-scheme:dark){body{background:#1b1b1b;color:#ddd}header{background:#262626;border-color:#333}p{color:#aaa}}';

function pageFor(status: number, { title, text, isPassing }: Words, home: string): Answer {
  const reason = `${String(status)} ${STATUS_CODES[status] ?? ''}`;
  return {
    status,
    body:
      `<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>${reason}</title>` +
      '<meta name="viewport" content="width=device-width,initial-scale=1">' +
      (isPassing ? '<meta http-equiv="refresh" content="10">' : '') +
      `<style>${STYLE}</style></head><body><header>Jupyter<b>Hub</b></header>` +
      `<main><h1>${title}</h1><p>${text}</p><p>${reason}</p><a href="${home}">Home</a></main></body></html>\n`,
    headers: 'Content-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\n',
  };
}
