// The heads that are sent on: to the server and back to the client. Lines that may pass go as the bytes they came in, in their order;
// hop-by-hop fields stay behind and framing is always written anew (RFC 9110 §7.6.1, RFC 9112 §6).

import { httpDate, reasonFor } from '../http1/answer.ts';
import type { MessageHead } from '../http1/head.ts';
import { HeaderKind } from '../http1/header-kind.ts';
import { assertFewOptions, connectionOptions } from '../http1/request.ts';
import type { Request } from '../http1/request.ts';

const KINDS = 32;

function kindSet(kinds: readonly number[]): Uint8Array {
  const set = new Uint8Array(KINDS);
  for (const kind of kinds) set[kind] = 1;
  return set;
}

const HOP_BY_HOP = [
  HeaderKind.connection,
  HeaderKind.keepAlive,
  HeaderKind.hopByHop,
  HeaderKind.te,
  HeaderKind.transferEncoding,
  HeaderKind.upgrade,
  HeaderKind.contentLength,
];
const FORWARDED = [
  HeaderKind.forwardedFor,
  HeaderKind.realIp,
  HeaderKind.forwardedProto,
  HeaderKind.forwardedHost,
  HeaderKind.forwardedPort,
  HeaderKind.forwardedServer,
];

/** What a proxy that appends to such headers writes anew. */
const APPENDED = [
  HeaderKind.forwardedFor,
  HeaderKind.forwardedProto,
  HeaderKind.forwardedHost,
  HeaderKind.forwardedPort,
];

/** What becomes of the headers in which a client speaks about itself, or a proxy before us about it. */
export type ForwardedTreatment = 'fresh' | 'trusted' | 'appended' | 'untouched';

const REQUEST_DROPS: Readonly<Record<ForwardedTreatment, Uint8Array>> = {
  fresh: kindSet([...HOP_BY_HOP, ...FORWARDED, HeaderKind.forwardedOther]),
  trusted: kindSet([...HOP_BY_HOP, ...FORWARDED]),
  appended: kindSet([...HOP_BY_HOP, ...APPENDED]),
  untouched: kindSet(HOP_BY_HOP),
};
const RESPONSE_DROPS = kindSet(HOP_BY_HOP);
/** The length in an answer to HEAD, or in a 304, describes a body that is not there. */
const RESPONSE_DROPS_BODILESS = kindSet(HOP_BY_HOP.filter((kind) => kind !== HeaderKind.contentLength));
/** Connection cannot take away what the proxy itself vouches for. */
const NOT_FOR_CONNECTION = kindSet([...FORWARDED, HeaderKind.forwardedOther, HeaderKind.host]);

/** What is left out beside the hop-by-hop fields. */
export interface RequestEdits {
  readonly forwarded: ForwardedTreatment;
  /** Lower-case names to leave out, but for those that Connection cannot take away. */
  readonly without: readonly string[];
  /** Lower-case names that are written anew, whatever they are. */
  readonly replaced?: ReadonlySet<string> | undefined;
  /** Complete lines to add. */
  readonly additions: string;
  /** Replaces the client's Host when present. */
  readonly host: string | undefined;
  /** The target to ask for. */
  readonly target: string;
}

function linesWithout(
  head: MessageHead,
  drops: Uint8Array,
  names: readonly string[],
  replaced?: ReadonlySet<string>,
): string {
  let lines = '';
  let from = 0;
  const { count } = head;
  for (let index = 0; index < count; index++) {
    const kind = head.kind(index);
    if (
      drops[kind] !== 1 &&
      (names.length === 0 || !isNamed(head, index, kind, names)) &&
      (replaced === undefined || !replaced.has(head.name(index).toLowerCase()))
    )
      continue;
    if (from < index) lines += head.lines(from, index);
    from = index + 1;
  }
  if (from < count) lines += head.lines(from, count);
  return lines;
}

function isNamed(head: MessageHead, index: number, kind: number, names: readonly string[]): boolean {
  return NOT_FOR_CONNECTION[kind] !== 1 && names.includes(head.name(index).toLowerCase());
}

/** The head sent to the server. */
export function requestHead(request: Request, head: MessageHead, edits: RequestEdits): string {
  let drops = REQUEST_DROPS[edits.forwarded];
  if (edits.host !== undefined) {
    drops = Uint8Array.from(drops);
    drops[HeaderKind.host] = 1;
  }
  const host = edits.host === undefined ? '' : `Host: ${edits.host}\r\n`;
  return (
    `${request.method} ${edits.target} HTTP/1.1\r\n${host}${linesWithout(head, drops, edits.without, edits.replaced)}` +
    `${edits.additions}${requestFramingLines(request)}\r\n`
  );
}

function requestFramingLines(request: Request): string {
  if (request.upgrade !== undefined) return `Connection: Upgrade\r\nUpgrade: ${request.upgrade}\r\n`;
  switch (request.framing.name) {
    case 'length':
      return `Content-Length: ${String(request.framing.length)}\r\n`;
    case 'chunked':
      return 'Transfer-Encoding: chunked\r\n';
    case 'none':
    case 'until-close':
      // RFC 9110 §8.6: methods that usually carry content announce its absence.
      return request.method === 'POST' || request.method === 'PUT' || request.method === 'PATCH'
        ? 'Content-Length: 0\r\n'
        : '';
  }
}

/** The lines that go to the client, beside framing and persistence, which are its connection's business. */
export function responseLines(head: MessageHead, request: Request): string {
  const isBodiless = request.method === 'HEAD' || head.status === 304;
  const names = head.hasPersistence ? connectionNames(head) : NO_NAMES;
  const lines = linesWithout(head, isBodiless ? RESPONSE_DROPS_BODILESS : RESPONSE_DROPS, names);
  return head.indexOf(HeaderKind.date) < 0 ? `${lines}Date: ${httpDate()}\r\n` : lines;
}

const NO_NAMES: readonly string[] = [];

/** The reason with a space before it. Some clients stumble over a status line without one, although nothing obliges a server to give one. */
export function reasonOf(head: MessageHead): string {
  const reason = head.reason();
  return reason.length > 1 ? reason : ` ${reasonFor(head.status)}`;
}

/** The names a response's Connection declares hop-by-hop, beside the ones that always are. */
function connectionNames(head: MessageHead): readonly string[] {
  let names: Set<string> | undefined;
  for (let index = 0; index < head.count; index++) {
    if (head.kind(index) !== HeaderKind.connection) continue;
    for (const name of connectionOptions(head.value(index)))
      if (name !== 'close' && name !== 'keep-alive') (names ??= new Set()).add(name);
    if (names !== undefined) assertFewOptions(names);
  }
  return names === undefined ? NO_NAMES : [...names];
}

/** The lines of an interim response (1xx), and of the 101 that opens a tunnel. */
export function interimLines(head: MessageHead): string {
  return linesWithout(head, RESPONSE_DROPS, NO_NAMES);
}

/** The protocol that a 101 switches to; empty when it does not say. */
export function upgradeOf(head: MessageHead): string {
  const upgrade = head.indexOf(HeaderKind.upgrade);
  return upgrade < 0 ? '' : head.value(upgrade);
}
