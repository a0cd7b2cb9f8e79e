// From JupyterHub's routespec (`/user/zoe/`, `host/user/zoe/`, percent-encoded, with a slash at its end) to Traefik's names and rules.
// Source: JupyterHub documentation, Proxy; names as the Python jupyterhub-traefik-proxy makes them.

import { ProxyError } from '../errors.ts';

/** A route of the hub. */
export interface HubRoute {
  readonly routespec: string;
  /** `http://host:port`, https, or a Unix socket; a path in it is put before the request's. */
  readonly target: string;
  /** The hub's own, given back as it came. */
  readonly data: Readonly<Record<string, unknown>>;
}

/** Checks and completes a routespec; throws ProxyError JTP_ERR_ROUTE_INVALID. */
export function normalizeRoutespec(text: string): string {
  const routespec = text.endsWith('/') ? text : `${text}/`;
  if (/[\s\u0000-\u001f\u007f?#]/.test(routespec) || routespec.includes('//'))
    throw new ProxyError('JTP_ERR_ROUTE_INVALID', {
      message: `routespec ${JSON.stringify(text)}: expected a percent-encoded prefix such as "/user/zoe/"`,
    });
  return routespec;
}

/** `router__2Fuser_2Fzoe_2F`: letters, digits and `-` stay, every other byte becomes `_` and two hexadecimal digits. */
export function aliasOf(kind: 'router' | 'service', routespec: string): string {
  let alias = '';
  for (const byte of Buffer.from(routespec, 'utf8')) {
    const character = String.fromCharCode(byte);
    alias += /[A-Za-z0-9-]/.test(character)
      ? character
      : `_${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return `${kind}_${alias}`;
}

/** Escapes that are never decoded: they would change the path's structure. */
const STRUCTURAL = new Set(['/', '%', '?', '#']);
const RESERVED = new Set(":/?#[]@!$&'()*+,;=%");

/**
 * The rule of a routespec, which matches the prefix with and without its slash. Traefik from 3.4.1 on leaves escaped reserved characters
 * escaped when it matches, older ones decode them: a routespec with such characters gets both forms.
 */
export function ruleOf(routespec: string): string {
  const slash = routespec.indexOf('/');
  const host = routespec.slice(0, slash);
  const terms = pathForms(routespec.slice(slash)).flatMap((path) =>
    path === '/' ? ['PathPrefix(`/`)'] : [`PathPrefix(${quote(path)})`, `Path(${quote(path.slice(0, -1))})`],
  );
  const path = terms.length === 1 ? (terms[0] ?? '') : `( ${terms.join(' || ')} )`;
  return host === '' ? path : `Host(${quote(host)}) && ${path}`;
}

function pathForms(path: string): readonly string[] {
  const kept = decode(path, (character) => RESERVED.has(character));
  const decoded = decode(path, (character) => STRUCTURAL.has(character));
  // JupyterHub leaves `@` as it is; some clients escape it.
  const escaped = kept.replaceAll('@', '%40');
  return [...new Set([kept, decoded, escaped])];
}

/** Percent-decodes what is valid UTF-8 and neither a control character nor kept; kept escapes get upper-case digits. */
function decode(path: string, isKept: (character: string) => boolean): string {
  return path.replace(/(?:%[0-9A-Fa-f]{2})+/g, (run) => {
    const bytes = Buffer.from(run.replaceAll('%', ''), 'hex');
    const text = bytes.toString('utf8');
    if (!Buffer.from(text, 'utf8').equals(bytes)) return run.toUpperCase();
    return [...text]
      .map((character) => {
        const code = character.codePointAt(0) ?? 0;
        return code < 0x20 || code === 0x7f || isKept(character) ? encodeBytes(character) : character;
      })
      .join('');
  });
}

function encodeBytes(character: string): string {
  return [...Buffer.from(character, 'utf8')]
    .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
    .join('');
}

/** A Go string literal that no content can end early. */
function quote(text: string): string {
  if (!text.includes('`')) return `\`${text}\``;
  return `"${text.replace(/[\\"]/g, '\\$&')}"`;
}

/** A target as it is stored; throws ProxyError JTP_ERR_ROUTE_INVALID. */
export function assertTarget(target: unknown): string {
  if (typeof target === 'string') {
    if (/^(?:unix:|http\+unix:\/\/)/i.test(target)) return target;
    if (/^https?:\/\//i.test(target) && URL.canParse(target) && new URL(target).hostname !== '')
      return target;
  }
  throw new ProxyError('JTP_ERR_ROUTE_INVALID', {
    message: `target ${JSON.stringify(target)}: expected a URL such as "http://127.0.0.1:8888"`,
  });
}

/** A target with a path needs the server's `preservePath`, without which Traefik ignores it. */
export function hasPath(target: string): boolean {
  if (/^unix:/i.test(target)) return false;
  if (/^http\+unix:\/\//i.test(target)) return /^http\+unix:\/\/[^/]+\/./i.test(target);
  return new URL(target).pathname.replace(/\/+$/, '') !== '';
}
