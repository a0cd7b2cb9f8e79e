// One request and its response in flight. The exchange owns nothing but the pairing: the client's connection and the server's each
// look after their own socket, and it carries bytes, back pressure and failures from one to the other.
//
//   found ──middlewares──► sent ──response head──► answering ──both ends complete──► done
//     │         │            │ └─101──► done (tunnel)   │
//     └─ 404 …  └─ 401       └─ failed: repeated, or 502 / 504 / 500; once answering: the client's connection is cut

import { ProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { answerFor } from '../http1/answer.ts';
import type { Answer } from '../http1/answer.ts';
import type { ClientSideOfExchange, Downstream } from '../http1/downstream.ts';
import type { Framing } from '../http1/framing.ts';
import type { MessageHead } from '../http1/head.ts';
import type { Trailers } from '../http1/parser.ts';
import type { Request } from '../http1/request.ts';
import { ownBytes } from '../http1/shared-input.ts';
import type { RequestCounters } from '../observe/request-counters.ts';
import type { WeightedServer } from '../service/load-balancer.ts';
import type { Tunnels } from '../tunnel/tunnels.ts';
import type { ServerSideOfExchange, UpstreamConnection } from '../upstream/upstream-connection.ts';
import type { Target, UpstreamCounters, Waiting } from '../upstream/target.ts';
import type { ActivityRecorder } from './activity.ts';
import { passChain } from './chain.ts';
import type { Verdict } from './chain.ts';
import type { ErrorPages } from './error-pages.ts';
import { forwardedLines, forwardedTreatment, schemeOf } from './forwarded.ts';
import type { ForwardedPolicy } from './forwarded.ts';
import { interimLines, reasonOf, requestHead, responseLines, upgradeOf } from './heads.ts';
import { KeptBody } from './kept-body.ts';
import type { Measurement, Measuring } from './measurement.ts';
import { reportFailure } from './report.ts';
import type { Rewriting } from './rewriting.ts';
import type { BalancedService, Route } from './route.ts';

/** What all exchanges of one entry point share. */
export interface ExchangeContext {
  readonly log: Logger;
  readonly forwarded: ForwardedPolicy;
  readonly tunnels: Tunnels;
  readonly counters: UpstreamCounters;
  /** Absent: requests and answers are only routed. */
  readonly rewriting?: Rewriting | undefined;
  /** Absent: failures get the plain answers. */
  readonly errorPages?: ErrorPages | undefined;
  /** Absent: nobody asks when a route was used. */
  readonly activity?: ActivityRecorder | undefined;
  /** Absent: nobody asks how many there are. */
  readonly metrics?: RequestCounters | undefined;
  /** Absent: nobody asks what they were like. */
  readonly measuring?: Measuring | undefined;
}

/** Requests with these methods may be sent twice. Source: RFC 9110 §9.2.2. */
const IDEMPOTENT = new Set('GET HEAD OPTIONS PUT DELETE TRACE PROPFIND REPORT SEARCH'.split(' '));

/** Connections a request may go through before its failure is the client's. */
const ATTEMPTS = 3;

const NO_NAMES: readonly string[] = [];

/** What is counted for a client that did not wait for its answer. Source: Traefik. */
const CLIENT_GONE = 499;

/** With answers of our own to a state that passes soon. */
const RETRY_SOON = 'Retry-After: 1\r\n';

/** Tells the controller which of its services is meant. */
export const CONTROLLER_HEADER = 'x-jtp-service';

/** One request in flight. */
export class Exchange implements ClientSideOfExchange, ServerSideOfExchange, Waiting {
  readonly #client: Downstream;
  readonly #request: Request;
  readonly #head: MessageHead;
  readonly #context: ExchangeContext;
  #route: Route | undefined;
  #target: Target | undefined;
  #server: UpstreamConnection | undefined;
  /** What the middlewares changed about the headers. */
  #without = NO_NAMES;
  #additions = '';
  #text = '';
  #attempts = 0;
  /** Servers that could not be connected to. */
  #tried: WeightedServer[] | undefined;
  #current: WeightedServer | undefined;
  /** Undefined before the first piece of a body. */
  #kept: KeptBody | undefined;
  /** Why the request is not being sent yet: there is no connection for it, or it is not certain that the one there is is still alive. */
  #held: 'no' | 'queued' | 'looking' = 'no';
  #requestTrailers: Trailers | undefined;
  #status = 0;
  #measurement: Measurement | undefined;
  #isDone = false;

  constructor(client: Downstream, request: Request, head: MessageHead, context: ExchangeContext) {
    this.#client = client;
    this.#request = request;
    this.#head = head;
    this.#context = context;
  }

  /** Goes through the route's middlewares and on to its service. */
  start(route: Route, measurement: Measurement | undefined): void {
    this.#route = route;
    this.#client.exchange = this;
    this.#measurement = measurement;
    if (route.chain.length === 0) {
      this.#send(NO_NAMES, '');
      return;
    }
    const verdict = passChain(route.chain, {
      request: this.#request,
      head: this.#head,
      scheme: () => schemeOf(this.#client, this.#head, this.#context.forwarded),
    });
    if (!(verdict instanceof Promise)) {
      this.#onVerdict(verdict);
      return;
    }
    this.#holdBody();
    verdict
      .then((late) => {
        if (this.#isDone) return;
        this.#onVerdict(late);
        this.#goOn();
      })
      // Whatever goes wrong on the way, here or further down, must not end the process.
      .catch((error: unknown) => {
        this.#context.log.error(
          { err: error, router: route.name },
          'a request failed on its way through the middlewares',
        );
        this.#answer(500);
      });
  }

  #onVerdict(verdict: Verdict): void {
    if (verdict.name === 'passed') this.#send(verdict.without, verdict.additions);
    else this.#finishWith(verdict.answer, '');
  }

  #send(without: readonly string[], additions: string): void {
    const service = this.#route?.service;
    if (service === undefined) {
      this.#answer(503);
      return;
    }
    if (service.kind === 'noop' || service.kind === 'stopped') {
      this.#answer(service.kind === 'noop' ? 418 : 424);
      return;
    }
    this.#without = without;
    this.#additions = additions;
    if (service.kind === 'controller') {
      this.#without = [...without, CONTROLLER_HEADER];
      this.#additions += `${CONTROLLER_HEADER}: ${service.name}\r\n`;
      this.#aim(service.target, undefined, this.#request.target);
    } else this.#sendTo(service, service.balancer.pick());
  }

  #sendTo(service: BalancedService, server: WeightedServer | undefined): void {
    if (server === undefined) {
      this.#answer(503);
      return;
    }
    this.#current = server;
    this.#measurement?.sent(service);
    const { rewriting } = this.#context;
    const { address } = server.target;
    let host = !service.balancer.passHostHeader || this.#request.host === '' ? address.hostHeader : undefined;
    let { target } = this.#request;
    if (rewriting !== undefined) {
      target = rewriting.target(this.#request, this.#route, address);
      host = rewriting.host ?? host;
    } else if (server.preservePath) target = address.path + target;
    this.#aim(server.target, host, target);
  }

  /** Writes the head for a server. `host`: in the client's place. */
  #aim(target: Target, host: string | undefined, asked: string): void {
    this.#target = target;
    const { forwarded, rewriting } = this.#context;
    const { hopByHop } = this.#request;
    let names = this.#without;
    if (hopByHop !== undefined)
      names = [...names, ...hopByHop.filter((name) => !forwarded.keptConnectionNames.has(name))];
    const own = this.#current === undefined ? '' : (rewriting?.lines ?? '');
    this.#text = requestHead(this.#request, this.#head, {
      forwarded: forwardedTreatment(forwarded, this.#client.remoteAddress),
      without: names,
      replaced: rewriting?.replaced,
      additions: this.#additions + own + forwardedLines(this.#client, this.#request, this.#head, forwarded),
      host: host ?? (this.#request.replacesHost ? this.#request.host : undefined),
      target: asked,
    });
    this.#acquire(target);
  }

  /** Takes a connection, or waits for one. */
  #acquire(target: Target): void {
    const isRepeatable = this.#isRepeatable();
    const kept = target.take(isRepeatable);
    if (kept !== undefined) {
      if (isRepeatable) this.#begin(kept);
      else this.#lookAgain(target, kept);
      return;
    }
    const refusal = target.refusal();
    if (refusal !== undefined) {
      this.#context.counters.refusedDead++;
      this.#answer(refusal.status ?? 502, refusal, RETRY_SOON);
    } else if (target.makeRoom()) this.#begin(target.connect());
    else if (target.enqueue(this)) {
      this.#held = 'queued';
      this.#holdBody();
    } else this.onWaitedTooLong(new ProxyError('JTP_ERR_UPSTREAM_BUSY'));
  }

  /** Whatever had reached this machine before the request was to be written has been read two turns of the event loop later. */
  #lookAgain(target: Target, kept: UpstreamConnection): void {
    this.#server = kept;
    this.#held = 'looking';
    this.#holdBody();
    setImmediate(() => {
      setImmediate(() => {
        if (this.#isDone) return;
        this.#held = 'no';
        this.#begin(kept.isUsable ? kept : target.connect());
        this.#goOn();
      });
    });
  }

  onTurn(): void {
    this.#held = 'no';
    const target = this.#target;
    if (this.#isDone || target === undefined) return;
    this.#acquire(target);
    this.#goOn();
  }

  /** Unless there is still no connection: the body that was held back, or else the head alone, which may wait for an interim answer. */
  #goOn(): void {
    if (this.#isDone || this.#held !== 'no') return;
    this.#client.resumeBody();
    this.#server?.flush();
  }

  /** Without a body reading goes on, to notice a client that leaves. */
  #holdBody(): void {
    if (this.#request.framing.name !== 'none') this.#client.pauseBody();
  }

  onWaitedTooLong(error: ProxyError): void {
    if (this.#isDone) return;
    this.#held = 'no';
    this.#context.counters.refusedBusy++;
    this.#answer(error.status ?? 503, error, RETRY_SOON);
  }

  #begin(server: UpstreamConnection): void {
    this.#attempts++;
    this.#server = server;
    server.begin(this, this.#request.method, this.#text, this.#request.framing.name === 'chunked');
    if (this.#kept !== undefined) for (const piece of this.#kept.pieces) server.write(piece, 0, piece.length);
    if (this.#requestTrailers !== undefined) server.end(this.#requestTrailers);
  }

  /** Without a body, and harmless when it is executed twice. */
  #isRepeatable(): boolean {
    return this.#request.framing.name === 'none' && IDEMPOTENT.has(this.#request.method);
  }

  // From the client.

  onRequestBody(chunk: Buffer, start: number, end: number): void {
    const server = this.#server;
    if (server === undefined) return;
    if (this.#measurement !== undefined) this.#measurement.requestBytes += end - start;
    // Nothing has reached the server yet, or it may have closed the connection before.
    const isWanted = !server.isConnected || (server.isReused && IDEMPOTENT.has(this.#request.method));
    (this.#kept ??= new KeptBody()).add(chunk, start, end, isWanted);
    if (server.write(chunk, start, end)) return;
    this.#client.pauseBody();
    server.limitTaking(this.#client.bodyStallMs);
  }

  onRequestEnd(trailers: Trailers): void {
    this.#requestTrailers = trailers;
    if (this.#held !== 'no') return;
    this.#server?.end(trailers);
    if (this.#request.framing.name !== 'none') this.#server?.limitTaking(this.#client.bodyStallMs);
  }

  onRequestFlush(): void {
    if (this.#held === 'no') this.#server?.flush();
  }

  onClientDrain(): void {
    this.#server?.resume();
  }

  onClientGone(error: ProxyError): void {
    if (this.#isDone) return;
    this.#measurement?.done(this.#status === 0 ? CLIENT_GONE : this.#status);
    this.#finish(() => {
      this.#context.log.debug({ router: this.#route?.name, code: error.code }, 'the client went away');
      if (this.#held === 'queued') this.#target?.dequeue(this);
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
    this.#status = head.status;
    const { rewriting, metrics } = this.#context;
    // What a server answers instead of an upgrade does not count. Source: configurable-http-proxy.
    if (this.#request.upgrade === undefined) metrics?.answered(head.status);
    const address = this.#target?.address;
    let lines = responseLines(head, this.#request);
    if (rewriting?.concerns(head.status) === true && address !== undefined)
      lines = rewriting.redirect(lines, this.#request, address);
    this.#client.begin(head.status, reasonOf(head), lines, framing);
  }

  onResponseBody(chunk: Buffer, start: number, end: number): void {
    if (this.#isDone) return;
    if (this.#measurement !== undefined) this.#measurement.responseBytes += end - start;
    const client = this.#client;
    const isWritable =
      client.writesInPlace === true
        ? client.write(chunk, start, end)
        : client.write(ownBytes(chunk, start, end), 0, end - start);
    if (isWritable) return;
    this.#server?.pause();
    this.#client.awaitDrain();
  }

  onResponseEnd(trailers: Trailers): void {
    if (this.#isDone) return;
    this.#context.activity?.record(this.#route, this.#request, this.#status);
    this.#measurement?.done(this.#status);
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
    if (!anyBytes && server !== undefined && this.#kept?.isComplete !== false) {
      if (error.retry === 'safe' && this.#tryAnother()) return;
      if (error.retry === 'if-reused' && server.isReused && this.#repeat(server)) return;
    }
    const { log, counters } = this.#context;
    reportFailure(
      { error, request: this.#request, router: this.#route?.name, server, anyBytes },
      log,
      counters,
    );
    if (this.#client.hasBegun) {
      this.#measurement?.done(this.#status);
      this.#finish(() => {
        this.#client.destroy();
      });
      return;
    }
    // Asked again soon, a server that could not be reached costs nothing: the answer is the same whoever has tried.
    this.#answer(error.status ?? 502, error, server?.isConnected === false ? RETRY_SOON : '');
  }

  /** A kept connection turned out to be dead: again, if nothing is executed twice. */
  #repeat(server: UpstreamConnection): boolean {
    const { target } = server;
    if (this.#attempts >= ATTEMPTS || !IDEMPOTENT.has(this.#request.method)) return false;
    if (target.refusal() !== undefined) return false;
    this.#context.counters.repeated++;
    // The pool may hold more connections that the server has closed: only a new one is certain.
    this.#begin(target.connect());
    this.#server?.flush();
    return true;
  }

  /** No connection could be made, so nothing has been executed: another server of the service may be there. */
  #tryAnother(): boolean {
    const service = this.#route?.service;
    if (service?.kind !== 'loadBalancer' || this.#current === undefined) return false;
    (this.#tried ??= []).push(this.#current);
    const next = service.balancer.pick(this.#tried);
    if (next === undefined) return false;
    this.#sendTo(service, next);
    this.#goOn();
    return true;
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
    const { tunnels } = this.#context;
    const protocol = upgradeOf(head);
    const lines = interimLines(head);
    const onEnd = this.#measurement?.whenTunnelEnds();
    this.#finish(() => {
      const { socket, early } = this.#client.pass(head.reason(), lines, protocol);
      tunnels.open({
        client: socket,
        server: server.pass(),
        early,
        target: server.target,
        router: this.#route?.name ?? '',
        protocol,
        onEnd,
      });
    });
  }

  /** Answers a request that no router takes. */
  refuse(status: number, measurement: Measurement | undefined): void {
    this.#client.exchange = this;
    this.#measurement = measurement;
    this.#answer(status);
  }

  /** Answers in the server's place. */
  #answer(status: number, error?: ProxyError, headers = ''): void {
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
          this.#finishWith(page, headers);
        },
        (reason: unknown) => {
          this.#context.log.error({ err: reason }, 'an error page could not be made');
          this.#finishWith(answerFor(status), headers);
        },
      );
    else this.#finishWith(answer ?? answerFor(status), headers);
  }

  #finishWith(answer: Answer, headers: string): void {
    this.#context.metrics?.answered(answer.status);
    if (!this.#isDone) this.#measurement?.answered(answer);
    this.#finish(() => {
      this.#client.answer(headers === '' ? answer : { ...answer, headers: answer.headers + headers });
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
