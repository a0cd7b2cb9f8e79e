// The head of an HTTP/1.1 response as it is sent: what the server said, with framing and persistence of this connection.

import type { Framing } from './framing.ts';
import type { Request } from './request.ts';
import type { BodyCoding } from './response-writer.ts';

/** How the body has to be written for this client. Source: RFC 9112 §6. */
export function bodyCoding(framing: Framing, request: Request): BodyCoding {
  if (framing.name === 'length' || framing.name === 'none') return 'plain';
  return request.version < 11 ? 'until-close' : 'chunked';
}

/** The line that announces the framing, or nothing. An answer to HEAD and a 304 speak of a body that is not there, in lines that passed. */
export function framingLine(status: number, framing: Framing, coding: BodyCoding, request: Request): string {
  if (framing.name === 'length') return `Content-Length: ${String(framing.length)}\r\n`;
  if (framing.name === 'none')
    return request.method === 'HEAD' || status === 304 || status === 204 ? '' : 'Content-Length: 0\r\n';
  return coding === 'chunked' ? 'Transfer-Encoding: chunked\r\n' : '';
}

/** `close`: the connection ends with this response. */
export function persistenceLine(request: Request, close: boolean): string {
  if (close) return 'Connection: close\r\n';
  return request.version < 11 ? 'Connection: keep-alive\r\n' : '';
}
