// What a request head means once it has been parsed: everything that decides where the request goes and how its body ends. Whatever is
// ambiguous is refused here, after llhttp has refused what is malformed.

import { ProxyError } from '../errors.ts';
import { requestFraming } from './framing.ts';
import type { Framing } from './framing.ts';
import type { MessageHead } from './head.ts';
import { HeaderKind } from './header-kind.ts';

/** One request, without its body. */
export interface Request {
  readonly method: string;
  /** In origin form, or `*`; one character per byte. */
  readonly target: string;
  /** As in Host, or from an absolute-form target, which wins (RFC 9112 §3.2.2); empty when an HTTP/1.0 client sent none. */
  readonly host: string;
  /** The Host line must be written anew: absent, or overruled by the target. */
  readonly replacesHost: boolean;
  /** 10 or 11. */
  readonly version: number;
  readonly framing: Framing;
  readonly keepAlive: boolean;
  /** The client waits for 100 (Continue), or for a final response, before it sends the body. */
  readonly expectsContinue: boolean;
  /** The protocol asked for by an upgrade that may be attempted. */
  readonly upgrade: string | undefined;
  /** Lower-case names that Connection declares hop-by-hop, beside the ones that always are. */
  readonly hopByHop: readonly string[] | undefined;
}

const HOST = /^(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?$/;
const ABSOLUTE_FORM = /^https?:\/\/([^/?#@]*)([/?#][^]*)?$/i;

/** An honest message names a handful; each one is compared with every header. */
const MAX_CONNECTION_OPTIONS = 50;

interface ConnectionOptions {
  close: boolean;
  keepAlive: boolean;
  upgrade: boolean;
  others: string[] | undefined;
}

/** Reads the meaning off a complete head; throws ProxyError (400, 501, 505) when there is any doubt. */
export function readRequest(head: MessageHead): Request {
  const { method, version } = head;
  if (version !== 11 && version !== 10) throw new ProxyError('JTP_ERR_HTTP_VERSION');
  if (method === 'CONNECT' || method === 'PRI' || method === 'SOURCE')
    throw new ProxyError('JTP_ERR_HTTP_METHOD');
  const framing = requestFraming(head);
  const headers = readHeaders(head);
  const { connection } = headers;
  let target = head.target();
  let host = headers.host;
  let replacesHost = host === undefined;
  if (!target.startsWith('/') && !(target === '*' && method === 'OPTIONS')) {
    const parts = ABSOLUTE_FORM.exec(target);
    if (parts === null || parts[1] === '') throw new ProxyError('JTP_ERR_HTTP_TARGET');
    replacesHost = true;
    host = parts[1];
    target = parts[2] ?? '';
    if (!target.startsWith('/')) target = `/${target}`;
  }
  if (host === undefined) {
    if (version === 11)
      throw new ProxyError('JTP_ERR_HTTP_HOST', { message: 'missing required Host header' });
    host = '';
  }
  if (!HOST.test(host)) throw new ProxyError('JTP_ERR_HTTP_HOST', { message: 'malformed Host header' });
  return {
    method,
    target,
    host,
    replacesHost,
    version,
    framing,
    keepAlive: version === 11 ? !connection.close : connection.keepAlive && !connection.close,
    expectsContinue: headers.expectsContinue && version === 11 && framing.name !== 'none',
    upgrade: upgradeOf(headers, framing, version),
    // RFC 9110 §10.1.1: an expectation in HTTP/1.0 is to be ignored, so the server must not see it either.
    hopByHop:
      headers.expectsContinue && version < 11 ? [...(connection.others ?? []), 'expect'] : connection.others,
  };
}

interface HeaderFacts {
  host: string | undefined;
  upgrade: string | undefined;
  expectsContinue: boolean;
  connection: ConnectionOptions;
}

const NO_OPTIONS: ConnectionOptions = { close: false, keepAlive: false, upgrade: false, others: undefined };

function readHeaders(head: MessageHead): HeaderFacts {
  const facts: HeaderFacts = {
    host: undefined,
    upgrade: undefined,
    expectsContinue: false,
    connection: NO_OPTIONS,
  };
  for (let index = 0; index < head.count; index++) {
    switch (head.kind(index)) {
      case HeaderKind.host:
        if (facts.host !== undefined)
          throw new ProxyError('JTP_ERR_HTTP_HOST', { message: 'too many Host headers' });
        facts.host = head.value(index);
        break;
      case HeaderKind.connection:
        facts.connection = readConnection(head.value(index), facts.connection);
        break;
      case HeaderKind.upgrade:
        facts.upgrade = facts.upgrade === undefined ? head.value(index) : '';
        break;
      case HeaderKind.expect:
        // RFC 9110 §10.1.1: nothing else has ever been defined.
        if (head.value(index).toLowerCase() !== '100-continue')
          throw new ProxyError('JTP_ERR_HTTP_EXPECTATION');
        facts.expectsContinue = true;
        break;
      default:
        break;
    }
  }
  return facts;
}

/** RFC 9110 §7.6.1. */
function readConnection(value: string, before: ConnectionOptions): ConnectionOptions {
  if (value === 'keep-alive' && before === NO_OPTIONS) return KEEP_ALIVE_ONLY;
  const options = { ...before };
  const others = new Set(before.others);
  for (const token of connectionOptions(value)) {
    if (token === 'close') options.close = true;
    else if (token === 'keep-alive') options.keepAlive = true;
    else if (token === 'upgrade') options.upgrade = true;
    else others.add(token);
  }
  assertFewOptions(others);
  options.others = others.size === 0 ? undefined : [...others];
  return options;
}

/** The options in one Connection header, in lower case; throws JTP_ERR_HTTP_HEADER_OVERFLOW when there are unreasonably many. */
export function connectionOptions(value: string): string[] {
  const parts = value.split(',', MAX_CONNECTION_OPTIONS + 1);
  if (parts.length > MAX_CONNECTION_OPTIONS) throw tooManyOptions();
  return parts.map((part) => part.trim().toLowerCase()).filter((token) => token !== '');
}

/** The same for the options of all Connection headers of a message: each one is compared with every header. */
export function assertFewOptions(options: ReadonlySet<string>): void {
  if (options.size > MAX_CONNECTION_OPTIONS) throw tooManyOptions();
}

function tooManyOptions(): ProxyError {
  return new ProxyError('JTP_ERR_HTTP_HEADER_OVERFLOW', { message: 'too many connection options' });
}

const KEEP_ALIVE_ONLY: ConnectionOptions = { ...NO_OPTIONS, keepAlive: true };

/** Ignoring an Upgrade is always allowed (RFC 9110 §7.8): done with a body under way, in HTTP/1.0, and for cleartext HTTP/2. */
function upgradeOf(headers: HeaderFacts, framing: Framing, version: number): string | undefined {
  const { upgrade } = headers;
  if (upgrade === undefined || !headers.connection.upgrade) return undefined;
  if (version < 11 || framing.name !== 'none') return undefined;
  if (!/^[A-Za-z0-9!#$%&'*+.^_`|~/-]+$/.test(upgrade) || /^h2c?$/i.test(upgrade)) return undefined;
  return upgrade;
}
