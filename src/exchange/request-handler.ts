// Where a request becomes an exchange: the entry point's routes are asked, and a request that none of them takes is answered here.

import { ProxyError } from '../errors.ts';
import { answerFor } from '../http1/answer.ts';
import type { Answer } from '../http1/answer.ts';
import type { Downstream, RequestHandler } from '../http1/downstream.ts';
import type { MessageHead } from '../http1/head.ts';
import type { Request } from '../http1/request.ts';
import { Exchange } from './exchange.ts';
import type { ExchangeContext } from './exchange.ts';
import type { Route, RouteFinder } from './route.ts';

/** The answer to `OPTIONS *`, which asks about the proxy and not about anything behind it. Source: RFC 9110 §9.3.7. */
const OPTIONS_ANSWER = { status: 200, body: '', headers: '' };

/** No router takes the request. */
const NOT_FOUND_ANSWER = answerFor(new ProxyError('JTP_ERR_ROUTER_NOT_FOUND').status ?? 404);

/** A router takes it, but not over this connection. */
const MISDIRECTED_ANSWER = answerFor(new ProxyError('JTP_ERR_TLS_MISDIRECTED').status ?? 421);

/** Routes the requests of one entry point. */
export class RoutingHandler implements RequestHandler {
  readonly #routes: RouteFinder;
  readonly #context: ExchangeContext;

  constructor(routes: RouteFinder, context: ExchangeContext) {
    this.#routes = routes;
    this.#context = context;
  }

  onRequest(client: Downstream, request: Request, head: MessageHead): void {
    if (request.target === '*') {
      client.answer(OPTIONS_ANSWER);
      return;
    }
    const { metrics } = this.#context;
    if (metrics === undefined) {
      this.#route(client, request, head, this.#find(client, request, head));
      return;
    }
    if (request.upgrade === undefined) metrics.web++;
    else metrics.ws++;
    const begun = performance.now();
    const route = this.#find(client, request, head);
    metrics.lookUps.note(performance.now() - begun);
    this.#route(client, request, head, route);
  }

  #find(client: Downstream, request: Request, head: MessageHead): Route | undefined {
    return this.#routes.find({
      method: request.method,
      host: request.host,
      target: request.target,
      isTls: client.isTls,
      remoteAddress: client.remoteAddress,
      headerValues: (name) => head.values(name),
    });
  }

  #route(client: Downstream, request: Request, head: MessageHead, route: Route | undefined): void {
    if (route === undefined) this.#refuse(client, request, head, NOT_FOUND_ANSWER);
    // A client that shook hands for one name and asks for another could get around the other's client certificates.
    else if (route.tlsOptions !== client.tlsOptions) this.#refuse(client, request, head, MISDIRECTED_ANSWER);
    else
      new Exchange(client, request, head, this.#context).start(
        route,
        this.#context.measuring?.begin(client, request, head, route),
      );
  }

  #refuse(client: Downstream, request: Request, head: MessageHead, answer: Answer): void {
    const { errorPages, measuring } = this.#context;
    if (errorPages === undefined && measuring === undefined) client.answer(answer);
    else {
      const measurement = measuring?.begin(client, request, head, undefined);
      new Exchange(client, request, head, this.#context).refuse(answer.status, measurement);
    }
  }
}
