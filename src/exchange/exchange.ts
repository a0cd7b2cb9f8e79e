// One request and its response in flight. The exchange owns nothing but the pairing: the client's connection and the server's each
// look after their own socket, and it carries bytes, back pressure and failures from one to the other.
//
//   found ──middlewares──► sent ──response head──► answering ──both ends complete──► done
//     │         │            │ └─101──► done (tunnel)   │
//     └─ 404 …  └─ 401       └─ failed: repeated, or 502 / 504 / 500; once answering: the client's connection is cut

import { ProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { answerFor, unauthorizedAnswer } from '../http1/answer.ts';
import type { Answer } from '../http1/answer.ts';
import type { Deadlines } from '../http1/deadlines.ts';
import type { ClientSideOfExchange, Downstream } from '../http1/downstream.ts';
import type { Framing } from '../http1/framing.ts';
import type { MessageHead } from '../http1/head.ts';
import type { Trailers } from '../http1/parser.ts';
import type { Request } from '../http1/request.ts';
import { Tunnel } from '../tunnel/tunnel.ts';
import type { ServerSideOfExchange, UpstreamConnection } from '../upstream/upstream-connection.ts';
import type { Target } from '../upstream/target.ts';
import type { ErrorPages } from './error-pages.ts';
import { forwardedLines, forwardedTreatment } from './forwarded.ts';
import type { ForwardedPolicy } from './forwarded.ts';
import { interimLines, reasonOf, requestHead, responseLines, upgradeOf } from './heads.ts';
import type { Rewriting } from './rewriting.ts';
import type { Route } from './route.ts';

/** What all exchanges of one entry point share. */
export interface ExchangeContext {
  readonly log: Logger;
  readonly deadlines: Deadlines;
  readonly forwarded: ForwardedPolicy;
  /** Keeps count of the open tunnels, so that a draining worker can end them. */
  readonly tunnels: Set<Tunnel>;
  /** Absent: requests and answers are only routed. */
  readonly rewriting?: Rewriting | undefined;
  /** Absent: failures get the plain answers. */
  readonly errorPages?: ErrorPages | undefined;
}

/** Requests with these methods may be sent twice. Source: RFC 9110 §9.2.2. */
const IDEMPOTENT = new Set([
  'GET',
  'HEAD',
  'OPTIONS',
  'PUT',
  'DELETE',
  'TRACE',
  'PROPFIND',
  'REPORT',
  'SEARCH',
]);

/** A request that cannot be repeated only takes a connection that was in use this recently. */
const FRESH_MS = 1000;

/** Connections a request may go through before its failure is the client's. */
const ATTEMPTS = 3;

const NO_NAMES: readonly string[] = [];

/** Tells the controller which of its services is meant. */
export const CONTROLLER_HEADER = 'x-jtp-service';

/** One request in flight. */
export class Exchange implements ClientSideOfExchange, ServerSideOfExchange {
  readonly #client: Downstream;
  readonly #request: Request;
  readonly #head: MessageHead;
  readonly #context: ExchangeContext;
  #route: Route | undefined;
  #target: Target | undefined;
  #server: UpstreamConnection | undefined;
  #text = '';
  #attempts = 0;
  #bodySent = false;
  #requestTrailers: Trailers | undefined;
  #isDone = false;

  constructor(client: Downstream, request: Request, head: MessageHead, context: ExchangeContext) {
    this.#client = client;
    this.#request = request;
    this.#head = head;
    this.#context = context;
  }

  /** Goes through the route's middlewares and on to its service. */
  start(route: Route): void {
    this.#route = route;
    this.#client.exchange = this;
    this.#pass(0, NO_NAMES, '');
  }

  /** `without`, `additions`: what the middlewares before number `index` changed about the headers. */
  #pass(index: number, without: readonly string[], additions: string): void {
    const auth = this.#route?.chain[index];
    if (auth === undefined) {
      this.#send(without, additions);
      return;
    }
    const credentials = this.#authorization();
    const user = auth.checkCached(credentials);
    if (user !== undefined) {
      this.#authenticated(index, user, without, additions);
      return;
    }
    if (this.#request.framing.name !== 'none') this.#client.pauseBody();
    auth.check(credentials).then(
      (name) => {
        if (this.#isDone) return;
        if (name === undefined) {
          this.#finish(() => {
            this.#client.answer(unauthorizedAnswer(auth.realm));
          });
          return;
        }
        this.#authenticated(index, name, without, additions);
        this.#client.resumeBody();
      },
      (error: unknown) => {
        this.#context.log.error({ err: error, router: this.#route?.name }, 'checking a password failed');
        this.#answer(500);
      },
    );
  }

  #authenticated(index: number, user: string, without: readonly string[], additions: string): void {
    const auth = this.#route?.chain[index];
    let names = without;
    let lines = additions;
    if (auth?.removeHeader === true) names = [...names, 'authorization'];
    if (auth?.headerField !== undefined) {
      // The name is ours to tell: whatever the client says under it is dropped.
      names = [...names, auth.headerField.toLowerCase()];
      lines += `${auth.headerField}: ${user}\r\n`;
    }
    this.#pass(index + 1, names, lines);
  }

  /** Several Authorization headers are nobody's. */
  #authorization(): string | undefined {
    const values = this.#head.values('authorization');
    return values.length === 1 ? values[0] : undefined;
  }

  #send(without: readonly string[], additions: string): void {
    const service = this.#route?.service;
    if (service === undefined) {
      this.#answer(503);
      return;
    }
    if (service.kind === 'noop') {
      this.#answer(418);
      return;
    }
    const { forwarded, rewriting } = this.#context;
    let host = this.#request.replacesHost ? this.#request.host : undefined;
    let { target } = this.#request;
    let lines = additions;
    let dropped = without;
    if (service.kind === 'controller') {
      this.#target = service.target;
      dropped = [...without, CONTROLLER_HEADER];
      lines += `${CONTROLLER_HEADER}: ${service.name}\r\n`;
    } else {
      const server = service.balancer.pick();
      if (server === undefined) {
        this.#answer(503);
        return;
      }
      this.#target = server.target;
      const { address } = server.target;
      if (!service.balancer.passHostHeader || this.#request.host === '') host = address.hostHeader;
      if (rewriting !== undefined) {
        target = rewriting.target(target, this.#route, address);
        lines += rewriting.lines;
        host = rewriting.host ?? host;
      } else if (server.preservePath) target = address.path + target;
    }
    const { hopByHop } = this.#request;
    let names = dropped;
    if (hopByHop !== undefined)
      names = [...names, ...hopByHop.filter((name) => !forwarded.keptConnectionNames.has(name))];
    this.#text = requestHead(this.#request, this.#head, {
      forwarded: forwardedTreatment(forwarded, this.#client.remoteAddress),
      without: names,
      replaced: rewriting?.replaced,
      additions: lines + forwardedLines(this.#client, this.#request, this.#head, forwarded),
      host,
      target,
    });
    const repeatable = this.#isRepeatable();
    this.#begin(this.#target.acquire(repeatable ? Infinity : FRESH_MS));
  }

  #begin(server: UpstreamConnection): void {
    this.#attempts++;
    this.#server = server;
    server.begin(this, this.#request.method, this.#text, this.#request.framing.name === 'chunked');
    if (this.#requestTrailers !== undefined) server.end(this.#requestTrailers);
  }

  #isRepeatable(): boolean {
    return this.#request.framing.name === 'none' && IDEMPOTENT.has(this.#request.method);
  }

  // From the client.

  onRequestBody(chunk: Buffer, start: number, end: number): void {
    this.#bodySent = true;
    if (this.#server?.write(chunk, start, end) === false) this.#client.pauseBody();
  }

  onRequestEnd(trailers: Trailers): void {
    this.#requestTrailers = trailers;
    this.#server?.end(trailers);
  }

  onRequestFlush(): void {
    this.#server?.flush();
  }

  onClientDrain(): void {
    this.#server?.resume();
  }

  onClientGone(error: ProxyError): void {
    if (this.#isDone) return;
    this.#finish(() => {
      this.#context.log.debug({ router: this.#route?.name, code: error.code }, 'the client went away');
      this.#server?.abandon();
    });
  }

  // From the server.

  onInterim(head: MessageHead): void {
    // A server could send them without end.
    if (this.#client.interim(head.status, head.reason(), interimLines(head))) return;
    this.#server?.pause();
    this.#client.awaitDrain();
  }

  onResponse(head: MessageHead, framing: Framing): void {
    if (head.status === 101) {
      this.#upgrade(head);
      return;
    }
    const { rewriting } = this.#context;
    const address = this.#target?.address;
    let lines = responseLines(head, this.#request);
    if (rewriting?.concerns(head.status) === true && address !== undefined)
      lines = rewriting.redirect(lines, this.#request, address);
    this.#client.begin(head.status, reasonOf(head), lines, framing);
  }

  onResponseBody(chunk: Buffer, start: number, end: number): void {
    if (this.#isDone) return;
    if (this.#client.write(chunk, start, end)) return;
    this.#server?.pause();
    this.#client.awaitDrain();
  }

  onResponseEnd(trailers: Trailers): void {
    if (this.#isDone) return;
    this.#finish(() => {
      this.#client.finishResponse(trailers);
    });
  }

  onResponseFlush(): void {
    this.#client.flush();
  }

  onServerDrain(): void {
    this.#client.resumeBody();
  }

  onServerFailed(error: ProxyError, anyBytes: boolean): void {
    if (this.#isDone) return;
    const server = this.#server;
    if (!anyBytes && this.#mayRepeat(error, server)) {
      // The pool may hold more connections that the server has closed: only a new one is certain.
      if (this.#target !== undefined) this.#begin(this.#target.connect());
      return;
    }
    this.#report(error, server);
    if (this.#client.hasBegun) {
      this.#finish(() => {
        this.#client.destroy();
      });
      return;
    }
    this.#answer(error.status ?? 502, error);
  }

  #mayRepeat(error: ProxyError, server: UpstreamConnection | undefined): boolean {
    if (this.#attempts >= ATTEMPTS || this.#bodySent || !this.#isRepeatable()) return false;
    return error.retry === 'if-reused' && server?.isReused === true;
  }

  #report(error: ProxyError, server: UpstreamConnection | undefined): void {
    const { log } = this.#context;
    const fields = {
      code: error.code,
      router: this.#route?.name,
      server: server === undefined ? undefined : describe(server.target),
      reason: error.message,
    };
    const isNoteworthy = error.code === 'JTP_ERR_UPSTREAM_PROTOCOL' || error.code === 'JTP_ERR_UPSTREAM_TLS';
    if (isNoteworthy) log.warn(fields, 'a server failed');
    else log.debug(fields, 'a server failed');
  }

  /** After 101 the two sockets belong to a tunnel. */
  #upgrade(head: MessageHead): void {
    const server = this.#server;
    if (server === undefined || !isSameProtocol(this.#request.upgrade, upgradeOf(head))) {
      this.onServerFailed(
        new ProxyError('JTP_ERR_UPSTREAM_PROTOCOL', {
          message: 'the server switched to a protocol that was not asked for',
        }),
        true,
      );
      server?.abandon();
      return;
    }
    const { tunnels, deadlines } = this.#context;
    const protocol = upgradeOf(head);
    const lines = interimLines(head);
    this.#finish(() => {
      const { socket, early } = this.#client.pass(head.reason(), lines, protocol);
      const tunnel = new Tunnel({ client: socket, server: server.pass() }, deadlines, (closed) => {
        tunnels.delete(closed);
      });
      tunnels.add(tunnel);
      tunnel.start(early);
    });
  }

  /** Answers a request that no router takes. */
  refuse(status: number): void {
    this.#client.exchange = this;
    this.#answer(status);
  }

  /** Answers in the server's place. */
  #answer(status: number, error?: ProxyError): void {
    this.#server = undefined;
    const answer = this.#context.errorPages?.answer({
      status,
      error,
      request: this.#request,
      head: this.#head,
      isTls: this.#client.isTls,
      router: this.#route?.name,
    });
    if (answer instanceof Promise)
      answer.then(
        (page) => {
          this.#finishWith(page);
        },
        (reason: unknown) => {
          this.#context.log.error({ err: reason }, 'an error page could not be made');
          this.#finishWith(answerFor(status));
        },
      );
    else this.#finishWith(answer ?? answerFor(status));
  }

  #finishWith(answer: Answer): void {
    this.#finish(() => {
      this.#client.answer(answer);
    });
  }

  #finish(last: () => void): void {
    if (this.#isDone) return;
    this.#isDone = true;
    if (this.#client.exchange === this) this.#client.exchange = undefined;
    last();
    this.#server = undefined;
  }
}

function isSameProtocol(asked: string | undefined, given: string): boolean {
  return asked !== undefined && asked.toLowerCase() === given.toLowerCase();
}

function describe(target: Target): string {
  const { connect } = target.address;
  return 'path' in connect ? connect.path : `${connect.host}:${String(connect.port)}`;
}
