// Responses that the proxy itself makes. Statuses and bodies are Traefik's, so that nobody has to learn new ones.

import { STATUS_CODES } from 'node:http';

/** A whole response of the proxy. */
export interface Answer {
  readonly status: number;
  readonly body: string;
  /** Complete header lines beside Content-Length, Date and Connection. */
  readonly headers: string;
}

const PLAIN_TEXT = 'Content-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n';

/** Source: Traefik documentation and its observed answers: text answers of the Go library carry a type, those of its proxy do not. */
const BODIES = new Map<number, Answer>([
  [404, { status: 404, body: '404 page not found\n', headers: PLAIN_TEXT }],
  [503, { status: 503, body: 'no available server\n', headers: PLAIN_TEXT }],
  [421, { status: 421, body: 'Misdirected Request\n', headers: PLAIN_TEXT }],
  // What asks for coffee gets no explanation.
  [418, { status: 418, body: '', headers: '' }],
  [499, { status: 499, body: 'Client Closed Request', headers: '' }],
]);

/** The answer for a status that an error of the table in errors.ts asks for. */
export function answerFor(status: number): Answer {
  return BODIES.get(status) ?? { status, body: STATUS_CODES[status] ?? '', headers: '' };
}

/** The answer to a message that is not acceptable; the connection ends with it. Bodies are those of Go's HTTP server. */
export function refusalFor(status: number, detail: string): Answer {
  const text = `${String(status)} ${STATUS_CODES[status] ?? ''}`;
  return {
    status,
    body: detail === '' ? text : `${text}: ${detail}`,
    headers: 'Content-Type: text/plain; charset=utf-8\r\n',
  };
}

/** 401 with its challenge. Source: RFC 7617 §2; the body is Traefik's. */
export function unauthorizedAnswer(realm: string): Answer {
  // As bytes of UTF-8, one character per byte like everything in a head.
  const quoted = Buffer.from(realm.replace(/["\\]/g, '\\$&'), 'utf8').toString('latin1');
  return {
    status: 401,
    body: '401 Unauthorized\n',
    headers: `Content-Type: text/plain\r\nWww-Authenticate: Basic realm="${quoted}"\r\n`,
  };
}

let dateText = '';
let dateSecond = 0;

/** The value of a Date header; formatted once a second. Source: RFC 9110 §6.6.1. */
export function httpDate(): string {
  const second = Math.trunc(Date.now() / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateText = new Date(second * 1000).toUTCString();
  }
  return dateText;
}

/** The usual text of a status. */
export function reasonFor(status: number): string {
  return status === 418 ? "I'm a teapot" : (STATUS_CODES[status] ?? 'Unknown');
}

/** The head of an answer up to what depends on the connection: whether it ends, and the empty line. */
export function answerHead({ status, headers, body }: Answer): string {
  return (
    `HTTP/1.1 ${String(status)} ${reasonFor(status)}\r\n${headers}Content-Length: ${String(body.length)}\r\n` +
    `Date: ${httpDate()}\r\n`
  );
}
