// What configurable-http-proxy can change about requests and answers beyond routing them: which path the server is asked for, headers of
// the operator's own, and where redirects lead. Source: its command line reference.

import type { Logger } from '../log.ts';
import type { Request } from '../http1/request.ts';
import type { TargetAddress } from '../upstream/target-address.ts';
import { parseUrl } from '../url.ts';
import type { Route } from './route.ts';

/** What is to be changed. */
export interface RewritingOptions {
  /** False: the route's own prefix is cut off. */
  readonly includePrefix: boolean;
  /** False: path and query of the target's URL are ignored. */
  readonly prependPath: boolean;
  /** Set on every request, in the client's place. */
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  /** Redirects to the target's own address lead to the address that the client asked for. */
  readonly autoRewrite: boolean;
  /** The scheme of such redirects. */
  readonly protocolRewrite?: string;
}

/** Redirects whose Location names the target. */
const REDIRECTS = new Set([201, 301, 302, 303, 307, 308]);
const DOT_SEGMENT = /\/(?:\.|%2e){1,2}(?:\/|$)/i;
const LOCATION_LINE = /(^|\r\n)(location:[ \t]*)(https?:\/\/[^/?#\r\n]*)/i;

/** One set of changes, applied to every exchange of a worker. */
export class Rewriting {
  /** Complete lines to add to every request. */
  readonly lines: string;
  /** Lower-case names of those lines. */
  readonly replaced: ReadonlySet<string> | undefined;
  /** Replaces the client's Host. */
  readonly host: string | undefined;
  readonly #options: RewritingOptions;
  readonly #log: Logger | undefined;

  /** `log`: present where each request is to be named. */
  constructor(options: RewritingOptions, log?: Logger) {
    this.#options = options;
    this.#log = log;
    const others = options.headers.filter(({ name }) => name.toLowerCase() !== 'host');
    this.host = options.headers.find(({ name }) => name.toLowerCase() === 'host')?.value;
    this.lines = others.map(({ name, value }) => `${name}: ${value}\r\n`).join('');
    this.replaced = others.length === 0 ? undefined : new Set(others.map(({ name }) => name.toLowerCase()));
  }

  /** What the server is asked for, from what the client asked for. */
  target({ target, upgrade }: Request, route: Route | undefined, address: TargetAddress): string {
    const { includePrefix, prependPath } = this.#options;
    const mark = target.indexOf('?');
    let path = mark < 0 ? target : target.slice(0, mark);
    // In the words of that program. What follows the question mark may be a token.
    this.#log?.debug(`PROXY ${upgrade === undefined ? 'WEB' : 'WS'} ${path} to ${urlOf(address)}`);
    let query = mark < 0 ? '' : target.slice(mark + 1);
    if (DOT_SEGMENT.test(path)) path = resolveDots(path);
    if (!includePrefix) path = withoutPrefix(path, route?.prefixDepth ?? 0);
    if (prependPath) {
      path = address.path + path;
      if (address.query !== '') query = query === '' ? address.query : `${address.query}&${query}`;
    }
    return `${path === '' ? '/' : path}${query === '' && mark < 0 ? '' : `?${query}`}`;
  }

  /** Whether the Location of such an answer may have to be changed. */
  concerns(status: number): boolean {
    const { autoRewrite, protocolRewrite } = this.#options;
    return (autoRewrite || protocolRewrite !== undefined) && REDIRECTS.has(status);
  }

  /** The header lines of an answer with the Location that the client can use. */
  redirect(lines: string, request: Request, address: TargetAddress): string {
    return lines.replace(LOCATION_LINE, (line, before: string, name: string, origin: string) => {
      if (parseUrl(origin)?.host !== address.hostHeader) return line;
      const { autoRewrite, protocolRewrite } = this.#options;
      const scheme = protocolRewrite ?? origin.slice(0, origin.indexOf(':'));
      const host = autoRewrite && request.host !== '' ? request.host : address.hostHeader;
      return `${before}${name}${scheme}://${host}`;
    });
  }
}

function urlOf({ scheme, connect, hostHeader, path }: TargetAddress): string {
  return 'path' in connect ? `unix:${connect.path}${path}` : `${scheme}://${hostHeader}${path}`;
}

/** Cuts off as many segments as the route's prefix has; whatever spelling the client used for them. Empty ones do not count. */
function withoutPrefix(path: string, depth: number): string {
  let at = 0;
  for (let segment = 0; segment < depth; segment++) {
    while (path.charAt(at + 1) === '/') at++;
    at = path.indexOf('/', at + 1);
    if (at < 0) return '';
  }
  return path.slice(at);
}

/**
 * With `.` and `..` resolved, escaped ones, too: the path was routed by what it leads to, and behind another one it could lead elsewhere.
 * Empty segments stay.
 */
function resolveDots(path: string): string {
  const kept: string[] = [];
  let isFolder = false;
  for (const segment of path.slice(1).split('/')) {
    const decoded = segment.replace(/%2e/gi, '.');
    isFolder = decoded === '.' || decoded === '..';
    if (decoded === '..') {
      while (kept.pop() === '');
    } else if (decoded !== '.') kept.push(segment);
  }
  return `/${kept.join('/')}${isFolder && kept.length > 0 ? '/' : ''}`;
}
