// Sends a client to the same URL with another scheme, and perhaps on another port. Source: Traefik documentation, redirectScheme.

import { STATUS_CODES } from 'node:http';
import type { RedirectSchemeConfiguration } from '../config/dynamic.ts';
import { ProxyError } from '../errors.ts';
import type { Answer } from '../http1/answer.ts';
import type { Request } from '../http1/request.ts';

const DEFAULT_PORTS: Readonly<Record<string, string>> = { http: '80', https: '443' };
/** What may not stand in a URL as it is, of what a request target may hold. Source: RFC 3986 §2. */
const UNSAFE = /["<>\\^`{|}]/g;
const HOST = /^(\[[^\]]*\]|[^:]*)(?::([0-9]*))?$/;

/** Redirects what has not come by the scheme and the port that are wanted. */
export interface RedirectScheme {
  readonly kind: 'redirectScheme';
  /** `scheme`: the one the client used, `http` or `https`. Undefined: it is where it should be. */
  redirect(request: Request, scheme: string): Answer | undefined;
}

/** Throws ProxyError JTP_ERR_CONFIG_INVALID for a scheme or a port that is none. */
export function createRedirectScheme(options: RedirectSchemeConfiguration): RedirectScheme {
  const { scheme, port = '', permanent } = options;
  if (scheme !== 'http' && scheme !== 'https')
    throw invalid(
      scheme === '' ? 'you must provide a target scheme' : `expected scheme https or http, found "${scheme}"`,
    );
  if (port !== '' && !(/^[0-9]{1,5}$/.test(port) && Number(port) > 0 && Number(port) < 65_536))
    throw invalid(`expected a port from 1 to 65535, found "${port}"`);
  const wanted = port === '' || port === DEFAULT_PORTS[scheme] ? '' : `:${port}`;
  return {
    kind: 'redirectScheme',
    redirect(request, from) {
      const [, host = '', given = ''] = HOST.exec(request.host) ?? [];
      const before = given === '' || given === DEFAULT_PORTS[from] ? '' : `:${given}`;
      if (from === scheme && before === wanted) return undefined;
      // An HTTP/1.0 client that names no host cannot be told where to go.
      if (host === '') return NO_HOST;
      const status = statusOf(request.method, permanent);
      const path = request.target.replace(UNSAFE, (character) => encodeURIComponent(character));
      return {
        status,
        body: STATUS_CODES[status] ?? '',
        headers: `Location: ${scheme}://${host}${wanted}${path}\r\n`,
      };
    },
  };
}

const NO_HOST: Answer = {
  status: 400,
  body: 'A request without a Host header cannot be redirected.\n',
  headers: 'Content-Type: text/plain; charset=utf-8\r\n',
};

/** A GET may become another GET; anything else has to stay what it is. Source: RFC 9110 §15.4. */
function statusOf(method: string, permanent: boolean): number {
  if (method === 'GET') return permanent ? 301 : 302;
  return permanent ? 308 : 307;
}

function invalid(message: string): ProxyError {
  return new ProxyError('JTP_ERR_CONFIG_INVALID', { message });
}
