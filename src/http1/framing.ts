// How the end of a body is found, as a value that carries its own counter: "chunked, but with a length left over" cannot be written down.

import { ProxyError } from '../errors.ts';
import { HeaderKind } from './header-kind.ts';
import type { MessageHead } from './head.ts';

/** RFC 9112 §6. */
export type Framing =
  | { readonly name: 'none' }
  | { readonly name: 'length'; readonly length: number }
  | { readonly name: 'chunked' }
  | { readonly name: 'until-close' };

export const NO_BODY: Framing = { name: 'none' };
export const CHUNKED_BODY: Framing = { name: 'chunked' };
export const BODY_UNTIL_CLOSE: Framing = { name: 'until-close' };

/** The one length or transfer coding a message announces; throws JTP_ERR_HTTP_FRAMING when there is any doubt. */
function announcedFraming(head: MessageHead): Framing | undefined {
  let length: number | undefined;
  let isChunked = false;
  for (let index = 0; index < head.count; index++) {
    const kind = head.kind(index);
    if (kind === HeaderKind.contentLength) {
      // RFC 9112 §6.3 would allow identical repetitions; no honest client sends them.
      if (length !== undefined || isChunked) throw framingError('two lengths');
      length = parseContentLength(head.value(index));
    } else if (kind === HeaderKind.transferEncoding) {
      if (length !== undefined || isChunked) throw framingError('two lengths');
      // Not `value`: a tab after the word makes llhttp (and others) see another coding.
      if (!/^ *chunked *$/i.test(head.rawValue(index)))
        throw framingError('a transfer coding other than chunked');
      isChunked = true;
    }
  }
  if (isChunked) {
    // RFC 9112 §6.1: a transfer coding in an HTTP/1.0 message is faulty framing.
    if (head.version < 11) throw framingError('a transfer coding in HTTP/1.0');
    return CHUNKED_BODY;
  }
  return length === undefined ? undefined : lengthFraming(length);
}

/** `Content-Length` as a number; digits only, exactly representable. */
function parseContentLength(text: string): number {
  if (!/^[0-9]{1,15}$/.test(text)) throw framingError('a Content-Length that is not a number');
  return Number(text);
}

/** A body of `length` bytes; none at all for zero. */
function lengthFraming(length: number): Framing {
  return length === 0 ? NO_BODY : { name: 'length', length };
}

function framingError(what: string): ProxyError {
  return new ProxyError('JTP_ERR_HTTP_FRAMING', { message: `the length of the body is ambiguous: ${what}` });
}

/** RFC 9112 §6.3 for requests: without an announcement there is no body. */
export function requestFraming(head: MessageHead): Framing {
  if (!head.hasFraming) return NO_BODY;
  return announcedFraming(head) ?? NO_BODY;
}

/** RFC 9112 §6.3 for responses; `method` is that of the request. */
export function responseFraming(head: MessageHead, method: string): Framing {
  const { status } = head;
  const announced = head.hasFraming ? announcedFraming(head) : undefined;
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return NO_BODY;
  return announced ?? BODY_UNTIL_CLOSE;
}

/** Whether a response allows its connection to be used again, and for how long it may idle when the server says so. */
export function responsePersistence(head: MessageHead): {
  keepAlive: boolean;
  timeoutMs: number | undefined;
} {
  if (head.version === 11 && !head.hasPersistence) return PERSISTENT;
  let keepAlive = head.version === 11;
  let timeoutMs: number | undefined;
  for (let index = 0; index < head.count; index++) {
    const kind = head.kind(index);
    if (kind === HeaderKind.connection) {
      const options = head.value(index).toLowerCase();
      if (/(?:^|[\s,])close(?:$|[\s,])/.test(options)) keepAlive = false;
      else if (/(?:^|[\s,])keep-alive(?:$|[\s,])/.test(options)) keepAlive = true;
    } else if (kind === HeaderKind.keepAlive) {
      const seconds = /(?:^|[\s,])timeout=([0-9]{1,6})/i.exec(head.value(index))?.[1];
      // A second less than promised: our request must not cross the server's FIN.
      if (seconds !== undefined) timeoutMs = Math.max(0, Number(seconds) - 1) * 1000;
    }
  }
  return { keepAlive: keepAlive && timeoutMs !== 0, timeoutMs };
}

const PERSISTENT = { keepAlive: true, timeoutMs: undefined };
