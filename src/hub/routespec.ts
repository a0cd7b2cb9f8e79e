// From a routespec, as JupyterHub writes it, to the names and the rule of its router. Names and rules are those of the Python
// jupyterhub-traefik-proxy, where that one's rules are right; where a name has reserved characters, the rule has every form in which
// a client may send them, because Traefik from 3.4.1 on compares those as they arrive and older ones compare them decoded.

import { domainToASCII } from 'node:url';
import { ProxyError } from '../errors.ts';

/** A rule, and the priority it needs when its text does not have the length that JupyterHub's precedence is built on. */
export interface RouteRule {
  readonly rule: string;
  readonly priority?: number;
}

/** RFC 3986 §2.3, and what is neither reserved nor special: Traefik decodes these before it compares. */
const PLAIN = /^[A-Za-z0-9\-._~ "<>\\^`{|}]$/;
/** Most routespecs: nothing to decode, one form. */
const PLAIN_PATH = /^\/(?:[A-Za-z0-9\-._~]+\/)+$/;
/** Reserved, but harmless inside a segment: clients send some of them raw and some escaped. */
const AMBIGUOUS = ":[]@!$&'()*+,;=";
/** `encodeURIComponent` leaves these alone. */
const LEFT_RAW_BY_BROWSERS = "!'()*";
/** More kinds of ambiguous characters in one routespec than this, and only the usual forms are listed. */
const MAX_KINDS = 3;

/** Part of a path: text as it stands in the rule, or one character that may arrive raw or escaped. */
type Part = { readonly text: string } | { readonly ambiguous: string };

/** The routespec with its trailing slash; throws ProxyError JTP_ERR_ROUTE_INVALID when it cannot be one. */
export function normalizeRoutespec(routespec: string): string {
  if (PLAIN_PATH.test(routespec)) return routespec;
  const normalized = routespec.endsWith('/') ? routespec : `${routespec}/`;
  if (routespec === '') throw invalid(routespec, 'it is empty');

  if (/[\u0000-\u001f\u007f]|\p{Surrogate}/u.test(routespec))
    throw invalid(routespec, 'it has control characters: percent-encode them');
  const { host, path } = splitRoutespec(normalized);
  if (/[?#]/.test(path)) throw invalid(routespec, 'it has a raw "?" or "#": percent-encode them');
  const escape = /%(?![0-9A-Fa-f]{2}).{0,2}/.exec(path)?.[0];
  if (escape !== undefined) throw invalid(routespec, `"${escape}" is not percent-encoding`);
  if (host !== undefined) asciiHost(routespec, host);
  return normalized;
}

/** `host.example.org/path/` and `/path/`. */
function splitRoutespec(routespec: string): { readonly host: string | undefined; readonly path: string } {
  if (routespec.startsWith('/')) return { host: undefined, path: routespec };
  const slash = routespec.indexOf('/');
  return { host: routespec.slice(0, slash), path: routespec.slice(slash) };
}

function invalid(routespec: string, reason: string): ProxyError {
  return new ProxyError('JTP_ERR_ROUTE_INVALID', {
    message: `routespec ${JSON.stringify(routespec)}: ${reason}`,
  });
}

/** Rules take host names in their ASCII form only. */
function asciiHost(routespec: string, host: string): string {
  const ascii = /^[\u0000-\u007f]*$/.test(host) ? host.toLowerCase() : domainToASCII(host);
  if (!/^(?:\*\.)?[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?\.?$/.test(ascii) && !/^\[[0-9a-f:.]+\]$/.test(ascii))
    throw invalid(
      routespec,
      `"${host}" is not a host name without scheme and port, and a path starts with a slash`,
    );
  return ascii;
}

/**
 * Name of the router or service of a routespec: everything but letters, digits and `-` as `_` and the bytes in hexadecimal. Source:
 * the alias of the Python jupyterhub-traefik-proxy.
 */
export function routeName(kind: 'router' | 'service', routespec: string): string {
  let name = `${kind}_`;
  let plainFrom = 0;
  for (let at = 0; at < routespec.length; at++) {
    const code = routespec.charCodeAt(at);
    if (code >= 0x80) return name + escapedName(routespec.slice(plainFrom));
    if (NAME_CODES[code] === 1) continue;
    name += `${routespec.slice(plainFrom, at)}_${code.toString(16).toUpperCase()}`;
    plainFrom = at + 1;
  }
  return name + routespec.slice(plainFrom);
}

/** Which ASCII characters a name has as they are. */
const NAME_CODES = Uint8Array.from({ length: 0x80 }, (_, code) =>
  /^[A-Za-z0-9-]$/.test(String.fromCharCode(code)) ? 1 : 0,
);

/** The same, byte by byte, for what is not ASCII. */
function escapedName(text: string): string {
  let name = '';
  for (const byte of Buffer.from(text, 'utf8'))
    name += NAME_CODES[byte] === 1 ? String.fromCharCode(byte) : `_${byte.toString(16).toUpperCase()}`;
  return name;
}

/** The routespec that a router's name was made from; undefined for names that `routeName` does not make. */
export function routespecOfRouter(name: string): string | undefined {
  if (!name.startsWith('router_')) return undefined;
  return name
    .slice('router_'.length)
    .replace(/(?:_[0-9A-F]{2})+/g, (bytes) => Buffer.from(bytes.replaceAll('_', ''), 'hex').toString('utf8'));
}

/** The rule of a normalized routespec. */
export function routeRule(routespec: string): RouteRule {
  if (PLAIN_PATH.test(routespec))
    return { rule: `( PathPrefix(\`${routespec}\`) || Path(\`${routespec.slice(0, -1)}\`) )` };
  const { host, path } = splitRoutespec(routespec);
  const parts = splitPath(path);
  const forms = pathForms(parts);
  const [decoded = ''] = forms;
  const rule = withHost(routespec, host, anyOf(forms, literal));
  // What the rule would be with one form: precedence is decided by that text's length, so that a longer path always wins.
  const usual = withHost(
    routespec,
    host,
    anyOf([decoded], (text) => `\`${text}\``),
  );
  return rule === usual ? { rule } : { rule, priority: Buffer.byteLength(usual, 'utf8') };
}

function withHost(routespec: string, host: string | undefined, paths: string): string {
  return host === undefined ? paths : `Host(\`${asciiHost(routespec, host)}\`) && ${paths}`;
}

function anyOf(forms: readonly string[], quote: (text: string) => string): string {
  if (forms.length === 1 && forms[0] === '/') return 'PathPrefix(`/`)';
  const matchers = forms.map((form) => `PathPrefix(${quote(form)}) || Path(${quote(form.slice(0, -1))})`);
  return `( ${matchers.join(' || ')} )`;
}

/** A Go string literal: raw where possible, quoted where a raw one could be ended from inside. */
function literal(text: string): string {
  if (!/[`\u0000-\u001f\u007f\ufeff]/.test(text)) return `\`${text}\``;

  const escaped = text.replace(/[\\"\u0000-\u001f\u007f\ufeff]/g, (character) =>
    character === '\\' || character === '"'
      ? `\\${character}`
      : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return `"${escaped}"`;
}

/** The path decoded as far as that cannot change what it means: `/`, `%`, `?` and `#` stay escaped. */
function splitPath(path: string): readonly Part[] {
  const parts: Part[] = [];
  const add = (text: string): void => {
    const last = parts.at(-1);
    if (last !== undefined && 'text' in last) parts[parts.length - 1] = { text: last.text + text };
    else parts.push({ text });
  };
  for (const piece of path.match(/(?:%[0-9A-Fa-f]{2})+|[^%]/gu) ?? []) {
    if (!piece.startsWith('%')) {
      if (AMBIGUOUS.includes(piece)) parts.push({ ambiguous: piece });
      else add(piece);
      continue;
    }
    const bytes = Buffer.from(piece.replaceAll('%', ''), 'hex');
    for (let at = 0; at < bytes.length;) {
      const byte = bytes[at] ?? 0;
      const character = String.fromCharCode(byte);
      if (byte >= 0x80) {
        const { text, length } = decodeCharacter(bytes.subarray(at));
        add(text);
        at += length;
        continue;
      }
      if (AMBIGUOUS.includes(character)) parts.push({ ambiguous: character });
      else add(PLAIN.test(character) || byte < 0x20 || byte === 0x7f ? character : escapeByte(byte));
      at++;
    }
  }
  return parts;
}

/** The first character of UTF-8 bytes; a byte that starts none stays escaped. */
function decodeCharacter(bytes: Buffer): { readonly text: string; readonly length: number } {
  const first = bytes[0] ?? 0;
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes.subarray(0, length));
    return { text, length: Math.min(length, bytes.length) };
  } catch {
    // Not UTF-8: no rule could have it decoded.
    return { text: escapeByte(first), length: 1 };
  }
}

function escapeByte(byte: number): string {
  return `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
}

/** Every form in which the path may arrive, the decoded one first. */
function pathForms(parts: readonly Part[]): readonly string[] {
  const kinds = [...new Set(parts.flatMap((part) => ('ambiguous' in part ? [part.ambiguous] : [])))];
  const forms = new Set<string>();
  for (const raw of rawKinds(kinds))
    forms.add(
      parts
        .map((part) =>
          'text' in part
            ? part.text
            : raw.includes(part.ambiguous)
              ? part.ambiguous
              : escapeByte(part.ambiguous.charCodeAt(0)),
        )
        .join(''),
    );
  return [...forms];
}

/** Which kinds of characters arrive raw together. */
function rawKinds(kinds: readonly string[]): readonly (readonly string[])[] {
  if (kinds.length > MAX_KINDS)
    return [
      kinds,
      // JupyterHub itself.
      kinds.filter((kind) => kind === '@'),
      [],
      kinds.filter((kind) => LEFT_RAW_BY_BROWSERS.includes(kind)),
      // Clients that keep only the plus, which some servers take for a space.
      kinds.filter((kind) => kind !== '+'),
      kinds.filter((kind) => kind === '@' || LEFT_RAW_BY_BROWSERS.includes(kind)),
    ];
  let subsets: readonly (readonly string[])[] = [kinds];
  for (const kind of kinds)
    subsets = subsets.flatMap((subset) => [subset, subset.filter((other) => other !== kind)]);
  return subsets;
}
