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
  [499, { status: 499, body: 'Client Closed Request', headers: '' }],
]);

/** The answer for a status that an error of the table in errors.ts asks for. */
export function answerFor(status: number): Answer {
  return BODIES.get(status) ?? { status, body: STATUS_CODES[status] ?? '', headers: '' };
}

/** 401 with its challenge. Source: RFC 7617 §2; the body is Traefik's. */
export function unauthorizedAnswer(realm: string): Answer {
  return {
    status: 401,
    body: '401 Unauthorized\n',
    headers: `${PLAIN_TEXT}Www-Authenticate: Basic realm="${realm.replace(/["\\]/g, '\\$&')}"\r\n`,
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

/** `HTTP/1.1 404 Not Found`, with its line end. */
export function statusLine(status: number): string {
  return `HTTP/1.1 ${String(status)} ${STATUS_CODES[status] ?? 'Unknown'}\r\n`;
}
