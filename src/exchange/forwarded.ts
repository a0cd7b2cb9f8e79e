// What the server is told about the client. Source: Traefik documentation, forwardedHeaders; the order of the rules is Traefik's.

import { hostname } from 'node:os';
import type { Downstream } from '../http1/downstream.ts';
import type { MessageHead } from '../http1/head.ts';
import { HeaderKind } from '../http1/header-kind.ts';
import type { Request } from '../http1/request.ts';
import type { ForwardedTreatment } from './heads.ts';

const SERVER_NAME = hostname();

/** What an entry point makes of such headers that a client sends. */
export interface ForwardedPolicy {
  /** Headers of this peer are passed on; of any other they are dropped. */
  readonly isTrusted: (address: string) => boolean;
  /** Lower-case names that stay although Connection lists them. */
  readonly keptConnectionNames: ReadonlySet<string>;
  readonly appendsForwardedFor: boolean;
  /** Present: not as Traefik does it. See `appendedLines`. */
  readonly manner?: 'appended' | 'untouched';
  /** Lower-case names that somebody else writes. */
  readonly replaced?: ReadonlySet<string>;
}

/** What has to be left out of the head that `forwardedLines` are added to. */
export function forwardedTreatment(policy: ForwardedPolicy, address: string): ForwardedTreatment {
  return policy.manner ?? (policy.isTrusted(address) ? 'trusted' : 'fresh');
}

/** The header lines to add to a request; the incoming ones of the same names must have been left out. */
export function forwardedLines(
  client: Downstream,
  request: Request,
  head: MessageHead,
  policy: ForwardedPolicy,
): string {
  if (policy.manner !== undefined)
    return policy.manner === 'appended' ? appendedLines(client, request, head, policy) : '';
  if (policy.isTrusted(client.remoteAddress)) return trustedLines(client, request, head, policy);
  const { host } = request;
  if (isWebSocket(request)) return freshLines(client, host, true, policy);
  const memo = client.forwarded;
  if (memo.host !== host) {
    memo.host = host;
    memo.lines = freshLines(client, host, false, policy);
  }
  return memo.lines;
}

/** What the client has used in front of trusted proxies: `http` or `https`. */
export function schemeOf(client: Downstream, head: MessageHead, policy: ForwardedPolicy): string {
  const told = policy.isTrusted(client.remoteAddress) ? valueOf(head, HeaderKind.forwardedProto) : undefined;
  if (told !== undefined && /^(?:http|ws)s?$/i.test(told))
    return /^(?:https|wss)$/i.test(told) ? 'https' : 'http';
  return protoOf(client.isTls, false);
}

/** Only a WebSocket has schemes of its own. */
function isWebSocket(request: Request): boolean {
  return request.upgrade !== undefined && /^websocket$/i.test(request.upgrade);
}

function freshLines(client: Downstream, host: string, isUpgrade: boolean, policy: ForwardedPolicy): string {
  const address = client.remoteAddress;
  const proto = protoOf(client.isTls, isUpgrade);
  return (
    (policy.appendsForwardedFor ? `X-Forwarded-For: ${address}\r\n` : '') +
    (host === '' ? '' : `X-Forwarded-Host: ${host}\r\n`) +
    `X-Forwarded-Port: ${portOf(host, proto)}\r\nX-Forwarded-Proto: ${proto}\r\n` +
    `X-Forwarded-Server: ${SERVER_NAME}\r\nX-Real-Ip: ${address}\r\n`
  );
}

function trustedLines(
  client: Downstream,
  request: Request,
  head: MessageHead,
  policy: ForwardedPolicy,
): string {
  const address = client.remoteAddress;
  const chain = valuesOf(head, HeaderKind.forwardedFor);
  if (policy.appendsForwardedFor) chain.push(address);
  const proto = valueOf(head, HeaderKind.forwardedProto) ?? protoOf(client.isTls, isWebSocket(request));
  const port = valueOf(head, HeaderKind.forwardedPort) ?? portOf(request.host, proto, client.isTls);
  const host = valueOf(head, HeaderKind.forwardedHost) ?? request.host;
  const realIp = valueOf(head, HeaderKind.realIp) ?? address;
  return (
    (chain.length === 0 ? '' : `X-Forwarded-For: ${chain.join(', ')}\r\n`) +
    (host === '' ? '' : `X-Forwarded-Host: ${host}\r\n`) +
    `X-Forwarded-Port: ${port}\r\nX-Forwarded-Proto: ${proto}\r\n` +
    `X-Forwarded-Server: ${SERVER_NAME}\r\nX-Real-Ip: ${realIp}\r\n`
  );
}

/**
 * configurable-http-proxy's manner: everybody is believed, address and port are appended. Unlike there, the scheme that a proxy before us
 * has told stays alone, since servers take the last one; a WebSocket has the scheme of its handshake; a Unix socket has no address.
 */
function appendedLines(
  client: Downstream,
  request: Request,
  head: MessageHead,
  policy: ForwardedPolicy,
): string {
  const { host } = request;
  const proto = valueOf(head, HeaderKind.forwardedProto) ?? protoOf(client.isTls, false);
  const addresses = valuesOf(head, HeaderKind.forwardedFor);
  if (client.remoteAddress !== '') addresses.push(client.remoteAddress);
  const ports = [...valuesOf(head, HeaderKind.forwardedPort), portOf(host, '', client.isTls)];
  const forwardedHost = valueOf(head, HeaderKind.forwardedHost) ?? host;
  return (
    line(policy, 'X-Forwarded-For', addresses.join(',')) +
    line(policy, 'X-Forwarded-Port', ports.join(',')) +
    line(policy, 'X-Forwarded-Proto', proto) +
    line(policy, 'X-Forwarded-Host', forwardedHost)
  );
}

function line({ replaced }: ForwardedPolicy, name: string, value: string): string {
  return value === '' || replaced?.has(name.toLowerCase()) === true ? '' : `${name}: ${value}\r\n`;
}

function protoOf(isTls: boolean, isUpgrade: boolean): string {
  if (isUpgrade) return isTls ? 'wss' : 'ws';
  return isTls ? 'https' : 'http';
}

function portOf(host: string, proto: string, isTls = false): string {
  const port = /:([0-9]+)$/.exec(host)?.[1];
  if (port !== undefined) return port;
  return isTls || proto === 'https' || proto === 'wss' ? '443' : '80';
}

/** The first value that is not empty. */
function valueOf(head: MessageHead, kind: number): string | undefined {
  return valuesOf(head, kind)[0];
}

function valuesOf(head: MessageHead, kind: number): string[] {
  const values: string[] = [];
  for (let index = 0; index < head.count; index++) {
    if (head.kind(index) !== kind) continue;
    const value = head.value(index);
    if (value !== '') values.push(value);
  }
  return values;
}
