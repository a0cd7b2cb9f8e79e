// A client's connection, HTTP/1.1: requests come in one after the other, each is handed to the handler, responses go out in the same order.
//
//   idle ──bytes──► head ──complete──► body ──end──► waiting ──response sent──► idle
//                    │                   │ (no body: straight to waiting)        │
//                    └─refused───────────┴──────────────► lingering ◄────────────┘ (the client or we asked to close)
//                                                             └──FIN or time──► closed
//
// In `lingering` our side is closed and input is thrown away: destroying the socket with unread input would make TCP send a reset,
// which can overtake the response.

import type { Socket } from 'node:net';
import { ProxyError } from '../errors.ts';
import { plainAddress } from './address.ts';
import { handshakeOf } from './handshake.ts';
import { answerHead, refusalFor } from './answer.ts';
import type { Answer } from './answer.ts';
import { AHEAD_BYTES, DISCARD_BYTES, PROBE_MS } from './client-bounds.ts';
import type { ClientOptions } from './client-options.ts';
import type { Timed } from './deadlines.ts';
import type { HeldBack } from './departures.ts';
import type { ClientSideOfExchange, Downstream, ForwardedMemo, Passed } from './downstream.ts';
import type { Framing } from './framing.ts';
import { LINGER_MS, Lingering } from './lingering.ts';
import { adoptSocket } from './owned-socket.ts';
import type { SocketOwner } from './owned-socket.ts';
import { NEED_MORE, returnParser, takeParser } from './parser.ts';
import type { HttpParser, Trailers } from './parser.ts';
import { readRequest } from './request.ts';
import type { Request } from './request.ts';
import { RequestBody } from './request-body.ts';
import { bodyCoding, framingLine, persistenceLine } from './response-head.ts';
import { ResponseWriter } from './response-writer.ts';

type State = 'idle' | 'head' | 'body' | 'waiting' | 'lingering' | 'closed' | 'passed';

/** One downstream connection. */
export class ClientConnection implements Downstream, SocketOwner, Timed, HeldBack {
  readonly socket: Socket;
  readonly tlsOptions: string | undefined;
  readonly isTls: boolean;
  readonly writesInPlace = true;
  /** The peer's address without zone or IPv4 mapping. */
  readonly remoteAddress: string;
  readonly forwarded: ForwardedMemo = { host: undefined, lines: '' };
  deadline = 0;
  exchange: ClientSideOfExchange | undefined;
  readonly #writer: ResponseWriter;
  readonly #options: ClientOptions;
  readonly #openedAt: number;
  #quietSince: number;
  #state: State = 'idle';
  #parser: HttpParser | undefined;
  #request: Request | undefined;
  #body: RequestBody | undefined;
  #requests = 0;
  #isPaused = false;
  #isProcessing = false;
  #isDiscarding = false;
  #discarded = 0;
  /** The deadline is that of a client that does not take its response. */
  #isAwaitingDrain = false;
  /** The head of the response has announced the end of the connection. */
  #hasSaidClose = false;
  #lingering: Lingering | undefined;
  /** Bytes that arrived and could not be used yet. */
  #unread: Buffer | undefined;

  constructor(socket: Socket, tlsOptions: string | undefined, options: ClientOptions) {
    this.socket = socket;
    this.tlsOptions = tlsOptions;
    this.isTls = tlsOptions !== undefined;
    this.remoteAddress = plainAddress(socket.remoteAddress ?? '');
    this.#options = options;
    this.#openedAt = options.deadlines.now;
    this.#quietSince = this.#openedAt;
    this.#writer = new ResponseWriter(socket);
    this.deadline = this.#after(options.readTimeoutMs);
    options.deadlines.add(this);
    adoptSocket(socket, this);
  }

  /** The request that is being answered. */
  get request(): Request | undefined {
    return this.#request;
  }

  /** Since when nothing has been in flight (a head that has begun is nothing yet), on the scale of `Deadlines.now`; undefined otherwise. */
  get quietSince(): number | undefined {
    return this.#state === 'idle' || this.#state === 'head' ? this.#quietSince : undefined;
  }

  /** Whether the connection ends with the current response. */
  get willClose(): boolean {
    const request = this.#request;
    if (request === undefined || !request.keepAlive || this.#hasSaidClose) return true;
    // Answered instead of told to continue, the client may send the body or the next request: nobody could tell which.
    if (request.expectsContinue && this.#state === 'body' && this.#body?.hasBegun !== true) return true;
    const { keepAliveMaxRequests, keepAliveMaxTimeMs, deadlines, isDraining } = this.#options;
    if (keepAliveMaxRequests > 0 && this.#requests >= keepAliveMaxRequests) return true;
    if (keepAliveMaxTimeMs > 0 && deadlines.now - this.#openedAt > keepAliveMaxTimeMs) return true;
    return isDraining();
  }

  get bodyStallMs(): number {
    return this.#options.readTimeoutMs;
  }

  get handshake(): string | undefined {
    return handshakeOf(this.socket);
  }

  // Reading.

  onData(chunk: Buffer): void {
    if (this.#unread !== undefined) {
      this.#unread = Buffer.concat([this.#unread, chunk]);
      this.#holdBack(this.#unread);
      return;
    }
    this.#process(chunk);
  }

  /** Stops the request's body; what has been read already, and a little more, is kept. */
  pauseBody(): void {
    this.#isPaused = true;
    if (!this.#isAwaitingDrain) this.deadline = this.#bodyDeadline();
  }

  /** What we ourselves hold back does not count against the client. */
  #bodyDeadline(): number {
    return this.#state !== 'body' ? 0 : this.#after(this.#isPaused ? PROBE_MS : this.#options.readTimeoutMs);
  }

  resumeBody(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    if (!this.#isAwaitingDrain) this.deadline = this.#bodyDeadline();
    this.#continue();
  }

  /** Goes on with bytes that were put aside, then with the socket. */
  #continue(): void {
    if (this.#isProcessing) return;
    const unread = this.#unread;
    this.#unread = undefined;
    if (unread !== undefined) this.#process(unread);
    else this.#resumeSocket();
  }

  #process(chunk: Buffer): void {
    this.#isProcessing = true;
    let at = 0;
    try {
      while (at < chunk.length) {
        if (this.#isPaused || this.#state === 'waiting' || this.#isClogged()) {
          // A pipelined request waits for its turn.
          this.#unread = at === 0 ? chunk : chunk.subarray(at);
          this.#holdBack(this.#unread);
          break;
        }
        at = this.#step(chunk, at);
      }
    } catch (error) {
      this.#isProcessing = false;
      this.#refuse(error);
      return;
    }
    this.#isProcessing = false;
    this.exchange?.onRequestFlush();
    if (this.#unread === undefined && !this.#isPaused && this.socket.isPaused()) this.#resumeSocket();
  }

  /** A client that asks on and on without taking its answers is not heard: they would all have to be held. */
  #isClogged(): boolean {
    return this.#state === 'idle' && this.socket.writableNeedDrain;
  }

  /** TCP holds back what comes after these bytes. */
  #holdBack(unread: Buffer): void {
    if (unread.length < AHEAD_BYTES) return;
    this.socket.pause();
    this.#options.departures.watch(this);
  }

  onDeparted(): void {
    this.onEnd();
  }

  #resumeSocket(): void {
    this.#options.departures.forget(this);
    if (this.#state !== 'passed' && !this.socket.destroyed) this.socket.resume();
  }

  #step(chunk: Buffer, at: number): number {
    switch (this.#state) {
      case 'idle':
        this.#state = 'head';
        this.#parser ??= takeParser('request', this.#options.limits);
        this.deadline = this.#after(this.#options.readTimeoutMs);
        return at;
      case 'head':
        return this.#readHead(chunk, at);
      case 'body':
        return this.#readBody(chunk, at);
      case 'lingering':
        if (this.#lingering?.admits(chunk.length - at) !== true) this.destroy();
        return chunk.length;
      case 'waiting':
      case 'closed':
      case 'passed':
        return chunk.length;
    }
  }

  #readHead(chunk: Buffer, at: number): number {
    const parser = this.#parser;
    if (parser === undefined) return chunk.length;
    const end = parser.readHead(chunk, at);
    if (end === NEED_MORE) return chunk.length;
    const request = readRequest(parser.head);
    this.#request = request;
    this.#requests++;
    this.deadline = 0;
    if (request.framing.name === 'none') {
      this.#state = 'waiting';
    } else {
      this.#state = 'body';
      this.#body = new RequestBody(request.framing, parser);
      this.deadline = this.#after(this.#options.readTimeoutMs);
    }
    this.#options.handler.onRequest(this, request, parser.head);
    // The handler may have answered on the spot; otherwise it hears that there is no body.
    if (this.#state === 'waiting') this.exchange?.onRequestEnd([]);
    return end;
  }

  #readBody(chunk: Buffer, at: number): number {
    const body = this.#body;
    if (body === undefined) return chunk.length;
    if (!this.#isAwaitingDrain) this.deadline = this.#after(this.#options.readTimeoutMs);
    const end = body.read(chunk, at);
    const { pieces, trailers } = body;
    for (let index = 0; index < pieces.length; index += 2)
      this.#deliver(chunk, pieces[index] ?? 0, pieces[index + 1] ?? 0);
    if (trailers !== undefined) this.#endBody(trailers);
    return end;
  }

  #deliver(chunk: Buffer, start: number, end: number): void {
    if (start === end) return;
    if (!this.#isDiscarding) {
      this.exchange?.onRequestBody(chunk, start, end);
      return;
    }
    this.#discarded += end - start;
    if (this.#discarded > DISCARD_BYTES) this.#linger();
  }

  #endBody(trailers: Trailers): void {
    if (this.#state !== 'body') return;
    if (!this.#isAwaitingDrain) this.deadline = 0;
    if (this.#isDiscarding) {
      this.#nextRequest();
      return;
    }
    this.#state = 'waiting';
    this.exchange?.onRequestEnd(trailers);
  }

  // Answering.

  get hasBegun(): boolean {
    return this.#writer.hasBegun;
  }

  interim(status: number, reason: string, lines: string): boolean {
    // HTTP/1.0 has no such thing.
    if (this.#request?.version !== 11) return true;
    return this.#writer.interim(`HTTP/1.1 ${String(status)}${reason}\r\n${lines}\r\n`);
  }

  begin(status: number, reason: string, lines: string, framing: Framing): void {
    const request = this.#request;
    if (request === undefined) return;
    const coding = bodyCoding(framing, request);
    this.#hasSaidClose = this.willClose || coding === 'until-close';
    const persistence = persistenceLine(request, this.#hasSaidClose);
    this.#writer.begin(
      `HTTP/1.1 ${String(status)}${reason}\r\n${lines}${framingLine(status, framing, coding, request)}${persistence}\r\n`,
      coding,
    );
  }

  write(chunk: Buffer, start: number, end: number): boolean {
    return this.#writer.write(chunk, start, end);
  }

  flush(): void {
    this.#writer.flush();
  }

  /** Sends a response of our own, if none has begun, and ends the exchange. */
  answer(answer: Answer): void {
    if (this.#state === 'closed' || this.#state === 'passed') return;
    if (this.#writer.hasBegun) {
      // Half a response cannot be taken back; a cut connection at least tells the client that it is incomplete.
      this.destroy();
      return;
    }
    const close = this.willClose || this.#abandonsBody();
    const isHead = this.#request?.method === 'HEAD';
    this.#writer.begin(
      `${answerHead(answer)}${close ? 'Connection: close\r\n' : ''}\r\n${isHead ? '' : answer.body}`,
      'plain',
    );
    this.finishResponse([]);
  }

  /** The last byte of the response has been written. */
  finishResponse(trailers: Trailers): void {
    this.#writer.end(trailers);
    this.exchange = undefined;
    const close = this.willClose || this.#writer.closes;
    if (this.#state === 'waiting') {
      if (close) this.#linger();
      else this.#nextRequest();
      return;
    }
    if (close || this.#state !== 'body') {
      this.#linger();
      return;
    }
    // The answer came before the end of the request: read a short rest, or else give the connection up.
    if (this.#abandonsBody()) {
      this.#linger();
      return;
    }
    this.#isDiscarding = true;
    this.resumeBody();
  }

  #abandonsBody(): boolean {
    return this.#state === 'body' && (this.#body?.announced ?? 0) > DISCARD_BYTES;
  }

  #nextRequest(): void {
    this.#request = undefined;
    this.#body = undefined;
    this.#isDiscarding = false;
    this.#isAwaitingDrain = false;
    this.#discarded = 0;
    this.#state = 'idle';
    this.#writer.reset();
    this.#quietSince = this.#options.deadlines.now;
    this.deadline = this.#after(this.#options.idleTimeoutMs);
    if (this.#parser !== undefined) {
      // Inside #process the parser may be about to be needed again; it is reset by `takeParser` in any case.
      returnParser('request', this.#parser);
      this.#parser = undefined;
    }
    this.#isPaused = false;
    if (this.#options.isDraining() && this.#unread === undefined && !this.#isProcessing) this.#linger();
    else if (this.#unread !== undefined || this.socket.isPaused()) this.#continue();
  }

  /** A request that cannot be understood: its framing is unknown, so nothing after it can be either. */
  #refuse(thrown: unknown): void {
    if (!(thrown instanceof ProxyError)) this.#options.onFault(thrown);
    const error =
      thrown instanceof ProxyError
        ? thrown
        : new ProxyError('JTP_ERR_HTTP_PARSE', { cause: thrown, status: 500 });
    const { exchange } = this;
    this.exchange = undefined;
    this.#request = undefined;
    exchange?.onClientGone(error);
    if (this.#state === 'closed' || this.#state === 'passed') return;
    this.answer(refusalFor(error.status ?? 400, error.code === 'JTP_ERR_HTTP_HOST' ? error.message : ''));
  }

  // Ending.

  onEnd(): void {
    const { exchange } = this;
    if (exchange === undefined) {
      // What has been written is still sent; the socket closes by itself after that.
      this.#linger();
      return;
    }
    this.exchange = undefined;
    exchange.onClientGone(new ProxyError('JTP_ERR_HTTP_CLIENT_GONE'));
    this.destroy();
  }

  onError(): void {
    // A reset or a time-out of the peer; `onClose` follows and does the work.
  }

  onClose(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    const { exchange } = this;
    this.#release();
    exchange?.onClientGone(new ProxyError('JTP_ERR_HTTP_CLIENT_GONE'));
  }

  onDrain(): void {
    if (this.#isAwaitingDrain) {
      this.#isAwaitingDrain = false;
      this.deadline = this.#bodyDeadline();
    }
    this.exchange?.onClientDrain();
    if (this.#state === 'idle' && this.#unread !== undefined) this.#continue();
  }

  /** The client does not take its response: it has `writeTimeoutMs` to go on. */
  awaitDrain(): void {
    this.#isAwaitingDrain = true;
    this.deadline = this.#after(this.#options.writeTimeoutMs);
  }

  onDeadline(): void {
    if (this.#state === 'head' && this.#parser?.hasPartialHead === true) {
      this.#refuse(new ProxyError('JTP_ERR_HTTP_HEADER_TIMEOUT'));
      return;
    }
    if (this.#state === 'body' && this.#isPaused && !this.#isAwaitingDrain) {
      // Writing nothing fails on a socket that has been reset, and nobody sees it on others.
      this.socket.write('');
      this.deadline = this.#bodyDeadline();
      return;
    }
    if (this.#state === 'body' && !this.#isAwaitingDrain && !this.#writer.hasBegun) {
      this.#refuse(new ProxyError('JTP_ERR_HTTP_BODY_TIMEOUT'));
      return;
    }
    if (this.#state === 'idle' && this.#requests > 0) {
      this.#linger();
      return;
    }
    // A slow reader is still at the end of its last response.
    const extension = this.#lingering?.extension(this.socket.writableLength) ?? 0;
    if (extension > 0) this.deadline = this.#options.deadlines.now + extension;
    else this.destroy();
  }

  /** Closes the connection now if it is idle, else after the current response. */
  drain(): void {
    if (this.#state === 'idle') this.#linger();
  }

  destroy(): void {
    this.socket.destroy();
    this.onClose();
  }

  /** The same while something is in flight; idle connections and tunnels have limits of their own. */
  cutBusy(): void {
    if (this.#state !== 'passed' && this.#state !== 'idle') this.destroy();
  }

  /** Hands the socket to a tunnel: the caller becomes its owner. */
  pass(reason: string, lines: string, protocol: string): Passed {
    const early = this.#unread;
    this.#state = 'passed';
    this.#release();
    this.socket.write(
      `HTTP/1.1 101${reason}\r\n${lines}Connection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`,
      'latin1',
    );
    return { socket: this.socket, early };
  }

  #linger(): void {
    if (this.#state === 'lingering' || this.#state === 'closed') return;
    this.#state = 'lingering';
    this.#lingering = new Lingering();
    this.#unread = undefined;
    this.#isPaused = false;
    this.#isAwaitingDrain = false;
    this.deadline = this.#options.deadlines.now + LINGER_MS;
    this.socket.end();
    this.#resumeSocket();
  }

  #release(): void {
    this.exchange = undefined;
    this.#unread = undefined;
    this.deadline = 0;
    this.#options.deadlines.delete(this);
    this.#options.departures.forget(this);
    if (this.#parser !== undefined) returnParser('request', this.#parser);
    this.#parser = undefined;
    this.#options.onClosed(this);
  }

  #after(milliseconds: number): number {
    return milliseconds === 0 ? 0 : this.#options.deadlines.now + milliseconds;
  }
}
