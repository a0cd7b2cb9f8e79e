// The head of an HTTP/2 request, written down as the head of an HTTP/1.1 request and then judged like one: whatever is refused there is
// refused here, and everything behind (rules, middlewares, the head for the server) reads it the same way. Nothing that HTTP/2 allows to
// stand in a field may end a line or a name here; nghttp2 checks that too, but two requests made of one are not left to a single check.

import { randomBytes } from 'node:crypto';
import { METHODS } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http2';
import { ProxyError } from '../errors.ts';
import { MessageHead } from '../http1/head.ts';
import type { ParserLimits, Trailers } from '../http1/parser.ts';
import { readRequest } from '../http1/request.ts';
import type { Request } from '../http1/request.ts';
import { CONNECTION_FIELDS } from './connection-fields.ts';

/** A request and its head. */
export interface Http2Request {
  readonly request: Request;
  readonly head: MessageHead;
}

/** `Request.version` of HTTP/2. */
const VERSION = 20;

const NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const TARGET = /^[\x21-\x7e\x80-\xff]+$/;
const KNOWN_METHODS = new Set(METHODS);

/** Names come back with every request: the ones that were checked are remembered, up to a bound. */
const CHECKED_NAMES = 1000;
const CHECKED_LENGTH = 64;
const checkedNames = new Set<string>();

function assertName(name: string): void {
  if (checkedNames.has(name)) return;
  if (!NAME.test(name)) throw malformed('a header name with characters that none may have');
  if (CONNECTION_FIELDS.has(name)) throw malformed(`the header "${name}"`);
  if (checkedNames.size < CHECKED_NAMES && name.length <= CHECKED_LENGTH) checkedNames.add(name);
}

function malformed(what: string): ProxyError {
  return new ProxyError('JTP_ERR_HTTP_PARSE', { message: `the message is not valid HTTP/2: ${what}` });
}

interface Pseudo {
  method: string | undefined;
  path: string | undefined;
  authority: string | undefined;
  protocol: string | undefined;
  scheme: string | undefined;
}

/** Collects lines and where each name and value stands. */
class HeadBuilder {
  readonly head = new MessageHead();
  #text: string;

  constructor(requestLine: string, methodLength: number, targetLength: number) {
    this.#text = requestLine;
    this.head.addTarget(methodLength + 1, targetLength);
  }

  get length(): number {
    return this.#text.length;
  }

  add(name: string, value: string): void {
    const at = this.#text.length;
    this.#text += `${name}: ${value}\r\n`;
    this.head.addName(at, name.length);
    this.head.addValue(at + name.length + 2, value.length);
  }

  complete(method: string): MessageHead {
    const block = Buffer.from(`${this.#text}\r\n`, 'latin1');
    this.head.method = method;
    this.head.version = 11;
    this.head.complete(block, 0, block.length);
    return this.head;
  }
}

/** A head of up to so many bytes is remembered: hardly more than the tables of header compression hold anyway. */
const REMEMBERED_BYTES = 4096;

interface Remembered extends Http2Request {
  readonly fields: readonly string[];
  /** Where in `fields` the path is. */
  readonly pathAt: number;
  readonly hasBody: boolean;
  /** Bytes of the head without the path. */
  readonly bytes: number;
}

/**
 * Reads the heads of one connection. A client says the same again and again but for the path: what has been judged and written down once
 * serves until it says something else.
 */
export class RequestReader {
  readonly #limits: ParserLimits;
  #last: Remembered | undefined;

  constructor(limits: ParserLimits) {
    this.#limits = limits;
  }

  /** As `readHttp2Request`. */
  read(fields: readonly string[], hasBody: boolean): Http2Request {
    const last = this.#last;
    if (last !== undefined && last.hasBody === hasBody && isAlike(last, fields)) {
      const target = fields[last.pathAt] ?? '';
      const { maxHeadBytes, maxTargetBytes } = this.#limits;
      const isFine =
        target.startsWith('/') &&
        target.length <= maxTargetBytes &&
        last.bytes + target.length <= maxHeadBytes;
      if (isFine && TARGET.test(target))
        return {
          request: { ...last.request, target },
          head: new MessageHead({ head: last.head, target }),
        };
    }
    const read = readHttp2Request(fields, hasBody, this.#limits);
    this.#remember(fields, hasBody, read);
    return read;
  }

  #remember(fields: readonly string[], hasBody: boolean, { request, head }: Http2Request): void {
    const bytes = head.length - head.targetLength;
    // Keys of WebSockets are made anew.
    if (bytes > REMEMBERED_BYTES || request.upgrade !== undefined || request.replacesHost) {
      this.#last = undefined;
      return;
    }
    let pathAt = 0;
    while (fields[pathAt] !== ':path') pathAt += 2;
    this.#last = { fields, pathAt: pathAt + 1, hasBody, bytes, request, head };
  }
}

/** All the same, but for the path. */
function isAlike({ fields: before, pathAt }: Remembered, fields: readonly string[]): boolean {
  if (before.length !== fields.length) return false;
  for (let index = 0; index < fields.length; index++)
    if (fields[index] !== before[index] && index !== pathAt) return false;
  return true;
}

/**
 * Reads a header list (names and values in turn). `hasBody`: the stream goes on after it. Throws ProxyError, as for HTTP/1.1 or
 * JTP_ERR_HTTP_PARSE for what RFC 9113 §8.3 forbids.
 */
export function readHttp2Request(
  fields: readonly string[],
  hasBody: boolean,
  limits: ParserLimits,
): Http2Request {
  const pseudo: Pseudo = { ...NO_PSEUDO };
  const from = readPseudo(fields, pseudo);
  const { method = '', authority } = pseudo;
  const isWebSocket = method === 'CONNECT' && pseudo.protocol !== undefined;
  if (isWebSocket && pseudo.protocol?.toLowerCase() !== 'websocket')
    throw new ProxyError('JTP_ERR_HTTP_METHOD');
  if (!KNOWN_METHODS.has(method)) throw unknownMethod(method);
  const path = pseudo.path ?? '';
  if (!TARGET.test(path)) throw new ProxyError('JTP_ERR_HTTP_TARGET');
  if (path.length > limits.maxTargetBytes) throw new ProxyError('JTP_ERR_HTTP_URI_OVERFLOW');
  // RFC 8441 §5: what HTTP/1.1 asks for with GET and Upgrade.
  const plainMethod = isWebSocket ? 'GET' : method;
  const builder = new HeadBuilder(`${plainMethod} ${path} HTTP/1.1\r\n`, plainMethod.length, path.length);
  if (authority !== undefined) {
    if (!VALUE.test(authority)) throw new ProxyError('JTP_ERR_HTTP_HOST');
    builder.add('Host', authority);
  }
  const length = addFields(builder, fields, from, authority);
  if (isWebSocket && !hasBody) throw malformed('a tunnel that ends with its head');
  if (isWebSocket) addWebSocketFields(builder, length);
  else if (length === undefined) {
    if (hasBody) builder.add('Transfer-Encoding', 'chunked');
  } else if (!hasBody && !/^0+$/.test(length)) throw malformed('a length without a body');
  if (builder.length + 2 > limits.maxHeadBytes || builder.head.count > limits.maxHeaders)
    throw new ProxyError('JTP_ERR_HTTP_HEADER_OVERFLOW');
  const head = builder.complete(plainMethod);
  const request = readRequest(head);
  if (request.target === '*' && method !== 'OPTIONS') throw new ProxyError('JTP_ERR_HTTP_TARGET');
  return { request: { ...request, version: VERSION }, head };
}

function unknownMethod(method: string): ProxyError {
  return NAME.test(method.toLowerCase()) ? new ProxyError('JTP_ERR_HTTP_METHOD') : malformed('the method');
}

const NO_PSEUDO: Pseudo = {
  method: undefined,
  path: undefined,
  authority: undefined,
  protocol: undefined,
  scheme: undefined,
};

/** RFC 9113 §8.3: pseudo-header fields come first, each once, and no others. Returns where the other fields begin. */
function readPseudo(fields: readonly string[], pseudo: Pseudo): number {
  let index = 0;
  for (; index < fields.length; index += 2) {
    const name = fields[index] ?? '';
    if (!name.startsWith(':')) break;
    const key = name.slice(1);
    if (!isPseudo(key) || pseudo[key] !== undefined) throw malformed(`the pseudo-header "${name}"`);
    pseudo[key] = fields[index + 1] ?? '';
  }
  // RFC 9113 §8.5: a CONNECT has neither scheme nor path.
  if (pseudo.method === 'CONNECT' && pseudo.protocol === undefined)
    throw new ProxyError('JTP_ERR_HTTP_METHOD');
  if (pseudo.method === undefined) throw malformed('no method');
  if (pseudo.scheme !== 'https' && pseudo.scheme !== 'http')
    throw malformed('a scheme other than http and https');
  return index;
}

function isPseudo(name: string): name is keyof Pseudo {
  return (
    name === 'method' || name === 'path' || name === 'authority' || name === 'protocol' || name === 'scheme'
  );
}

/** Adds all fields but the pseudo-headers; returns the length that is announced. */
function addFields(
  builder: HeadBuilder,
  fields: readonly string[],
  from: number,
  authority: string | undefined,
): string | undefined {
  let cookies: string | undefined;
  let length: string | undefined;
  for (let index = from; index < fields.length; index += 2) {
    const name = fields[index] ?? '';
    const value = fields[index + 1] ?? '';
    assertName(name);
    if (!VALUE.test(value)) throw malformed('a header value with control characters');
    switch (name) {
      case 'cookie':
        // RFC 9113 §8.2.3: crumbs are put together before they leave HTTP/2.
        cookies = cookies === undefined ? value : `${cookies}; ${value}`;
        break;
      case 'host':
        // RFC 9113 §8.3.1: the authority decides; a Host that says something else is an attack.
        if (authority === undefined) builder.add('Host', value);
        else if (value.toLowerCase() !== authority.toLowerCase())
          throw new ProxyError('JTP_ERR_HTTP_HOST', { message: 'Host and :authority differ' });
        break;
      case 'te':
        if (value.toLowerCase() !== 'trailers') throw malformed('the header "te"');
        builder.add(name, value);
        break;
      case 'content-length':
        length = value;
        builder.add(name, value);
        break;
      default:
        builder.add(name, value);
    }
  }
  if (cookies !== undefined) builder.add('cookie', cookies);
  return length;
}

/** What a WebSocket handshake of HTTP/1.1 has besides. Source: RFC 8441 §5: the key is the proxy's own business. */
function addWebSocketFields(builder: HeadBuilder, length: string | undefined): void {
  if (length !== undefined) throw malformed('a length of a tunnel');
  builder.add('Connection', 'Upgrade');
  builder.add('Upgrade', 'websocket');
  builder.add('Sec-WebSocket-Key', randomBytes(16).toString('base64'));
}

/** The trailers of a request; what could not stand in a head is left out. */
export function requestTrailers(fields: IncomingHttpHeaders): Trailers {
  const trailers: [string, string][] = [];
  for (const [name, values] of Object.entries(fields)) {
    if (values === undefined || !NAME.test(name)) continue;
    for (const value of typeof values === 'string' ? [values] : values)
      if (VALUE.test(value)) trailers.push([name, value]);
  }
  return trailers;
}
