// A server that has the pages for errors, as JupyterHub does: `/hub/error/503?url=…`. Source: configurable-http-proxy's `--error-target`.

import type { Agent } from 'undici';
import type { Answer } from '../http1/answer.ts';
import { parseTargetUrl } from '../upstream/target-address.ts';
import type { TargetAddress } from '../upstream/target-address.ts';

/** Whoever sees an error has waited already. */
const TIMEOUT_MS = 5000;
const MAX_PAGE_BYTES = 1024 * 1024;

/** Where pages come from. */
export interface ErrorTargetOptions {
  /** To which `/503?url=…` is appended; `http+unix:` and `unix+http:` name a socket. */
  readonly url: string;
  /** For a server with TLS, in PEM. */
  readonly tls: {
    readonly rootCAs: readonly string[];
    readonly certificates: readonly { readonly cert: string; readonly key: string }[];
    readonly insecureSkipVerify: boolean;
  };
}

/** Asks one server for pages. */
export class ErrorTarget {
  readonly #options: ErrorTargetOptions;
  #agent: Promise<Agent> | undefined;

  constructor(options: ErrorTargetOptions) {
    this.#options = options;
  }

  /** The page for `code` when `url` was asked for; undefined when the server does not answer, or not with a page. */
  async page(code: number, url: string): Promise<Pick<Answer, 'body' | 'headers'> | undefined> {
    const target = this.#options.url.replace(/^unix\+http:/i, 'http+unix:');
    try {
      const { scheme, connect, path, hostHeader } = parseTargetUrl(target);
      this.#agent ??= this.#connectTo(connect);
      const agent = await this.#agent;
      const response = await agent.request({
        origin: `${scheme}://${hostHeader}`,
        method: 'GET',
        path: `${path}/${String(code)}?url=${encodeURIComponent(Buffer.from(url, 'latin1').toString('utf8'))}`,
        headersTimeout: TIMEOUT_MS,
        bodyTimeout: TIMEOUT_MS,
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      const body = Buffer.from(await response.body.arrayBuffer()).toString('latin1');
      let headers = '';
      for (const name of ['content-type', 'content-encoding']) {
        const value = response.headers[name];
        if (typeof value === 'string') headers += `${name}: ${value}\r\n`;
      }
      return { body, headers };
    } catch {
      // The server that makes the pages may be the one that is down.
      return undefined;
    }
  }

  close(): void {
    void this.#agent?.then((agent) => agent.destroy());
  }

  /** The client is only loaded by whoever needs it: every worker would pay for it. */
  async #connectTo(connect: TargetAddress['connect']): Promise<Agent> {
    const { Agent } = await import('undici');
    const { rootCAs, certificates, insecureSkipVerify } = this.#options.tls;
    return new Agent({
      connections: 8,
      maxResponseSize: MAX_PAGE_BYTES,
      connect: {
        timeout: TIMEOUT_MS,
        rejectUnauthorized: !insecureSkipVerify,
        ...('path' in connect ? { socketPath: connect.path } : {}),
        ...(rootCAs.length === 0 ? {} : { ca: [...rootCAs] }),
        ...(certificates.length === 0
          ? {}
          : { cert: certificates.map(({ cert }) => cert), key: certificates.map(({ key }) => key) }),
      },
    });
  }
}
