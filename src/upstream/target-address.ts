// Server URLs: what may stand in `servers.url`, and where it leads.

import { ProxyError } from '../errors.ts';
import { parseUrl } from '../url.ts';

/** Where a target listens. */
export interface TargetAddress {
  readonly scheme: 'http' | 'https';
  readonly connect: { readonly host: string; readonly port: number } | { readonly path: string };
  /** For the Host header when the client's is not passed on. */
  readonly hostHeader: string;
  /** Without a slash at its end; used only with `preservePath`. */
  readonly path: string;
  /** Without its question mark; used only by exchange/rewriting.ts. */
  readonly query: string;
}

/** `host:port`, or the path of a Unix socket; for log lines. */
export function describeAddress({ connect }: TargetAddress): string {
  if ('path' in connect) return connect.path;
  return `${connect.host.includes(':') ? `[${connect.host}]` : connect.host}:${String(connect.port)}`;
}

const SCHEMES = /^(https?|unix|http\+unix):/i;

/**
 * Nearly all: nothing that the URL standard would change, which takes several times as long to find out. No port that a URL leaves out, no
 * number that is no address, no name in Punycode, which could be wrong.
 */
const USUAL =
  /^http:\/\/((?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(?:\.(?!:)|(?=:))){4}|(?:(?!xn--)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)*(?!xn--)[a-z](?:[a-z0-9-]*[a-z0-9])?):([1-9][0-9]{3,4})\/?$/;

/** Reads a server URL; throws ProxyError JTP_ERR_ROUTE_INVALID. Source: Traefik documentation, servers load balancer. */
export function parseTargetUrl(url: string): TargetAddress {
  const usual = USUAL.exec(url);
  if (usual !== null && Number(usual[2]) < 65_536) {
    const [, host = '', port = ''] = usual;
    return {
      scheme: 'http',
      connect: { host, port: Number(port) },
      hostHeader: `${host}:${port}`,
      path: '',
      query: '',
    };
  }
  const scheme = SCHEMES.exec(url)?.[1]?.toLowerCase();
  if (scheme === 'unix' || scheme === 'http+unix') return parseUnixUrl(url);
  const parsed = scheme === undefined ? undefined : parseUrl(url);
  if (parsed === undefined || parsed.hostname === '')
    throw new ProxyError('JTP_ERR_ROUTE_INVALID', {
      message: `server URL "${url}": expected http://host:port, https://host:port or unix:/path`,
    });
  const isTls = parsed.protocol === 'https:';
  return {
    scheme: isTls ? 'https' : 'http',
    connect: {
      host: parsed.hostname.replace(/^\[|\]$/g, ''),
      port: parsed.port === '' ? (isTls ? 443 : 80) : Number(parsed.port),
    },
    hostHeader: parsed.host,
    path: parsed.pathname.replace(/\/+$/, ''),
    query: parsed.search.slice(1),
  };
}

/** `unix:/path`, `unix:///path`, and `http+unix://%2Fpath/prefix` as JupyterHub writes it. */
function parseUnixUrl(url: string): TargetAddress {
  const rest = url.slice(url.indexOf(':') + 1);
  if (url.toLowerCase().startsWith('unix')) {
    const path = rest.startsWith('//') ? rest.slice(2) : rest;
    if (!path.startsWith('/'))
      throw new ProxyError('JTP_ERR_ROUTE_INVALID', {
        message: `server URL "${url}": the path of a Unix socket must be absolute`,
      });
    return { scheme: 'http', connect: { path }, hostHeader: 'localhost', path: '', query: '' };
  }
  const [address = '', query = ''] = rest.replace(/^\/\//, '').split(/\?(.*)/s);
  const [socket = '', ...prefix] = address.split('/');
  let path: string;
  try {
    path = decodeURIComponent(socket);
  } catch (cause) {
    throw new ProxyError('JTP_ERR_ROUTE_INVALID', {
      message: `server URL "${url}": the socket's path is not valid percent-encoding`,
      cause,
    });
  }
  return {
    scheme: 'http',
    connect: { path },
    hostHeader: 'localhost',
    path: prefix.length === 0 ? '' : `/${prefix.join('/')}`.replace(/\/+$/, ''),
    query,
  };
}
