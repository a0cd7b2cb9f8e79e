// What Traefik's metrics want to know about one request, from its head to the end of its response. Where nobody counts, no request has one.

import type { Answer } from '../http1/answer.ts';
import type { Downstream } from '../http1/downstream.ts';
import type { MessageHead } from '../http1/head.ts';
import type { Request } from '../http1/request.ts';
import { METHODS, PROTOCOLS } from '../observe/traffic.ts';
import type { Scope, Served, TrafficOptions } from '../observe/traffic.ts';
import type { Route, Service } from './route.ts';

const METHOD_INDEX = new Map(METHODS.map((method, index) => [method, index]));
const OTHER_METHOD = METHODS.length - 1;
const [HTTP, WEBSOCKET, SSE] = ['http', 'websocket', 'sse'].map((name) => PROTOCOLS.indexOf(name));

/** Longer values of headers are cut: each of them is a series of its own. */
const MAX_HEADER_VALUE = 128;

/** What the requests of one entry point are counted with. */
export class Measuring {
  readonly #scope: Scope | undefined;
  readonly #options: TrafficOptions;

  constructor(scope: Scope | undefined, options: TrafficOptions) {
    this.#scope = scope;
    this.#options = options;
  }

  /** A request begins; `route`: what takes it, if anything does. Undefined when it does not count. */
  begin(
    client: Downstream,
    request: Request,
    head: MessageHead,
    route: Route | undefined,
  ): Measurement | undefined {
    if (route?.isInternal === true && !this.#options.internals) return undefined;
    const { headers } = this.#options;
    return new Measurement({
      scopes: [this.#scope, route?.scope],
      method: METHOD_INDEX.get(request.method) ?? OTHER_METHOD,
      protocol: protocolOf(request, head),
      headers: headers.length === 0 ? undefined : headers.map((name) => headerValue(head, name)),
      handshake: client.handshake,
    });
  }
}

/** Source: Traefik's metrics: a list of types that has this one, and an upgrade to this protocol. */
function protocolOf(request: Request, head: MessageHead): number {
  if (request.upgrade !== undefined)
    return (request.upgrade.toLowerCase() === 'websocket' ? WEBSOCKET : HTTP) ?? 0;
  const [accept] = head.values('accept');
  const isSse =
    accept?.includes('text/event-stream') === true &&
    accept.split(',').some((type) => type.trim() === 'text/event-stream');
  return (isSse ? SSE : HTTP) ?? 0;
}

/** The first value as text. Traefik takes the host out of the headers before it counts. */
function headerValue(head: MessageHead, name: string): string {
  const [value = ''] = name === 'host' ? [] : head.values(name);
  return Buffer.from(value.slice(0, MAX_HEADER_VALUE), 'latin1').toString('utf8');
}

/** One request that counts. */
export class Measurement implements Served {
  readonly method: number;
  readonly protocol: number;
  readonly headers: readonly string[] | undefined;
  readonly handshake: string | undefined;
  status = 0;
  requestBytes = 0;
  responseBytes = 0;
  readonly #scopes: readonly (Scope | undefined)[];
  readonly #beganAt = performance.now();
  #service: Scope | undefined;
  #sentAt = 0;

  constructor(
    facts: Pick<Served, 'method' | 'protocol' | 'headers' | 'handshake'> & {
      readonly scopes: readonly (Scope | undefined)[];
    },
  ) {
    this.#scopes = facts.scopes;
    this.method = facts.method;
    this.protocol = facts.protocol;
    this.headers = facts.headers;
    this.handshake = facts.handshake;
  }

  /** The middlewares have let it through to its service, or to another server of it. */
  sent(service: Service): void {
    if (this.#sentAt > 0) return;
    this.#service = service.scope;
    this.#sentAt = performance.now();
  }

  /** The proxy itself has answered. */
  answered(answer: Answer): void {
    this.responseBytes += answer.body.length;
    this.done(answer.status);
  }

  /** For the end of the tunnel that it has become. */
  whenTunnelEnds(): () => void {
    return () => {
      this.done(101);
    };
  }

  /** It has ended: answered, given up, or with its tunnel. */
  done(status: number): void {
    this.status = status;
    const now = performance.now();
    for (const scope of this.#scopes) scope?.note(this, (now - this.#beganAt) / 1000);
    this.#service?.note(this, (now - this.#sentAt) / 1000);
  }
}
