// Requests that the configurable-http-proxy command answers by itself, before or instead of routing.

import type { Answer } from '../http1/answer.ts';
import type { Downstream, RequestHandler } from '../http1/downstream.ts';
import type { MessageHead } from '../http1/head.ts';
import type { Request } from '../http1/request.ts';

const HEALTH_TARGET = '/_chp_healthz';
const HEALTHY: Answer = {
  status: 200,
  body: '{"status":"OK"}',
  headers: 'Content-Type: application/json\r\n',
};

/** Answers the health check, whatever its method; with a query it is a request like any other. */
export class HealthHandler implements RequestHandler {
  readonly #next: RequestHandler;

  constructor(next: RequestHandler) {
    this.#next = next;
  }

  onRequest(client: Downstream, request: Request, head: MessageHead): void {
    if (request.target === HEALTH_TARGET) client.answer(HEALTHY);
    else this.#next.onRequest(client, request, head);
  }
}

const NO_HOST: Answer = {
  status: 400,
  body: 'This server speaks HTTPS on another port, and a request without a Host header cannot be redirected there.\n',
  headers: 'Content-Type: text/plain; charset=utf-8\r\n',
};
const MOVED_BODY = 'This server is only reached by HTTPS.\n';

/** Redirects everything to the same URL with HTTPS, on another port. */
export class RedirectHandler implements RequestHandler {
  readonly #port: string;

  constructor(port: number) {
    this.#port = port === 443 ? '' : `:${String(port)}`;
  }

  onRequest(client: Downstream, request: Request): void {
    const host = request.host.replace(/:[0-9]*$/, '');
    if (host === '') client.answer(NO_HOST);
    else
      client.answer({
        status: 301,
        body: MOVED_BODY,
        headers:
          `Location: https://${host}${this.#port}${request.target}\r\n` +
          'Content-Type: text/plain; charset=utf-8\r\n',
      });
  }
}
