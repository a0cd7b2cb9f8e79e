// One server that requests are sent to, with its pool of idle connections. A target lives as long as some service names it; its
// connections in use outlive it.

import net from 'node:net';
import type { Socket } from 'node:net';
import tls from 'node:tls';
import { ProxyError } from '../errors.ts';
import type { Deadlines } from '../http1/deadlines.ts';
import type { ParserLimits } from '../http1/parser.ts';
import { UpstreamConnection } from './upstream-connection.ts';

/** How servers are connected to; the static configuration's `serversTransport`, with certificates read. */
export interface TransportOptions {
  readonly insecureSkipVerify: boolean;
  /** PEM texts; empty means the system's. */
  readonly rootCAs: readonly string[];
  readonly maxIdleConnsPerHost: number;
  /** 0 = off. */
  readonly dialTimeoutMs: number;
  readonly responseHeaderTimeoutMs: number;
  readonly idleConnTimeoutMs: number;
}

/** What all targets of a worker share. */
export interface UpstreamContext {
  readonly deadlines: Deadlines;
  readonly transport: TransportOptions;
  readonly limits: ParserLimits;
}

/** Where a target listens. */
export interface TargetAddress {
  readonly scheme: 'http' | 'https';
  readonly connect: { readonly host: string; readonly port: number } | { readonly path: string };
  /** For the Host header when the client's is not passed on. */
  readonly hostHeader: string;
  /** Without a slash at its end; used only with `preservePath`. */
  readonly path: string;
}

const SCHEMES = /^(https?|unix|http\+unix):/i;

/** Reads a server URL; throws ProxyError JTP_ERR_ROUTE_INVALID. Source: Traefik documentation, servers load balancer. */
export function parseTargetUrl(url: string): TargetAddress {
  const scheme = SCHEMES.exec(url)?.[1]?.toLowerCase();
  if (scheme === 'unix' || scheme === 'http+unix') return parseUnixUrl(url);
  let parsed: URL | undefined;
  if (scheme !== undefined && URL.canParse(url)) parsed = new URL(url);
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
    return { scheme: 'http', connect: { path }, hostHeader: 'localhost', path: '' };
  }
  const [socket = '', ...prefix] = rest.replace(/^\/\//, '').split('/');
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
  };
}

/** A pooled server. */
export class Target {
  readonly address: TargetAddress;
  readonly context: UpstreamContext;
  /** Tells it from all other targets of the worker. */
  readonly key: string;
  /** Services that name it. */
  references = 0;
  /** The most recently used is last: it is the least likely to be closed by the server. */
  readonly #idle: UpstreamConnection[] = [];

  constructor(address: TargetAddress, context: UpstreamContext, key: string) {
    this.address = address;
    this.key = key;
    this.context = context;
  }

  get idleCount(): number {
    return this.#idle.length;
  }

  /**
   * A connection for one exchange: an idle one, else a new one (writing may begin at once, Node holds the bytes until it is connected).
   * `maxIdleMs` bounds how long it may have been idle: an exchange that cannot be repeated does not bet on an old connection.
   */
  acquire(maxIdleMs: number): UpstreamConnection {
    const { deadlines } = this.context;
    const connection = this.#idle.at(-1);
    if (connection !== undefined && deadlines.now - connection.idleSince <= maxIdleMs) {
      this.#idle.pop();
      return connection;
    }
    return this.connect();
  }

  /** A new connection, whatever the pool has. */
  connect(): UpstreamConnection {
    return new UpstreamConnection(this, this.#open());
  }

  /** Takes a connection back after a complete exchange; returns false when it should be closed instead. */
  release(connection: UpstreamConnection): boolean {
    if (this.references === 0 || this.#idle.length >= this.context.transport.maxIdleConnsPerHost)
      return false;
    this.#idle.push(connection);
    return true;
  }

  /** An idle connection has ended. */
  forget(connection: UpstreamConnection): void {
    const index = this.#idle.lastIndexOf(connection);
    if (index >= 0) this.#idle.splice(index, 1);
  }

  /** Closes what is idle; called when no service names the target any more. */
  close(): void {
    for (const connection of this.#idle.splice(0)) connection.destroy();
  }

  #open(): Socket {
    const { scheme, connect } = this.address;
    if (scheme === 'http')
      return net.connect({ ...connect, noDelay: true, keepAlive: true, allowHalfOpen: true });
    const { insecureSkipVerify, rootCAs } = this.context.transport;
    const host = 'host' in connect ? connect.host : undefined;
    return tls.connect({
      ...connect,
      ALPNProtocols: ['http/1.1'],
      rejectUnauthorized: !insecureSkipVerify,
      ...(rootCAs.length === 0 ? {} : { ca: [...rootCAs] }),
      ...(host === undefined || net.isIP(host) > 0 ? {} : { servername: host }),
    });
  }
}
