// A connection to a server, HTTP/1.1: one exchange at a time, then back to the pool. An idle one stays in reading mode, so that a byte,
// an end or an error takes it out of the pool before anybody can be given it.
//
//   connecting ──► head ──complete──► body ──end──► idle ──acquire──► head …
//                   │ ▲ 1xx            │              └──anything happens──► closed
//                   │ └──┘             └─(length unknown: end of stream)───► closed
//                   └─101──► passed to a tunnel

import type { Socket } from 'node:net';
import { errnoOf, errorText, ProxyError } from '../errors.ts';
import { responseFraming, responsePersistence } from '../http1/framing.ts';
import type { Framing } from '../http1/framing.ts';
import type { MessageHead } from '../http1/head.ts';
import type { Timed } from '../http1/deadlines.ts';
import { adoptOutgoingSocket, deliverTo, limitSilence } from '../http1/owned-socket.ts';
import type { SocketOwner } from '../http1/owned-socket.ts';
import { NEED_MORE, returnParser, takeParser } from '../http1/parser.ts';
import type { HttpParser, Trailers } from '../http1/parser.ts';
import { lastChunk } from '../http1/response-writer.ts';
import { ownBytes, sendInput } from '../http1/shared-input.ts';
import type { Target } from './target.ts';

/** What a request in flight wants to hear from its server's side. */
export interface ServerSideOfExchange {
  /** An interim response (1xx except 101). */
  onInterim(head: MessageHead): void;
  /** Valid until the next call. After 101 the exchange must take the socket with `pass`. */
  onResponse(head: MessageHead, framing: Framing): void;
  onResponseBody(chunk: Buffer, start: number, end: number): void;
  /** The response is complete. */
  onResponseEnd(trailers: Trailers): void;
  /** All of one read has been delivered. */
  onResponseFlush(): void;
  onServerDrain(): void;
  /** The connection failed; nothing follows. `anyBytes`: part of a response had arrived. */
  onServerFailed(error: ProxyError, anyBytes: boolean): void;
}

type State = 'head' | 'body' | 'idle' | 'closed' | 'passed';

/** One upstream connection. */
export class UpstreamConnection implements SocketOwner, Timed {
  readonly socket: Socket;
  readonly target: Target;
  readonly readsInPlace = true;
  deadline = 0;
  /** When it became idle, on the scale of Deadlines. */
  idleSince = 0;
  /** It has carried a complete exchange before. */
  isReused = false;
  #state: State = 'head';
  #exchange: ServerSideOfExchange | undefined;
  #parser: HttpParser | undefined;
  #method = '';
  #framing: Framing | undefined;
  #remaining = 0;
  #isConnected = false;
  #anyBytes = false;
  #isRequestSent = false;
  #canReuse = true;
  #keepAliveMs: number;
  #head = '';
  #isChunked = false;
  /** Pieces of a body wait for `flush`, to be sent in one write. */
  #isCorked = false;
  /** How long the server, which has not taken all that has been written, may stand still; 0 = it has, or for ever. */
  #stallMs = 0;

  constructor(target: Target, socket: Socket) {
    this.target = target;
    this.socket = socket;
    const { deadlines } = target.context;
    const { idleConnTimeoutMs, dialTimeoutMs } = target.transport.options;
    this.#keepAliveMs = idleConnTimeoutMs;
    this.deadline = after(deadlines.now, dialTimeoutMs);
    deadlines.add(this);
    adoptOutgoingSocket(socket, this, target.address.scheme === 'https' ? 'secureConnect' : 'connect');
  }

  /** Idle, and nothing has happened to it: an exchange may begin. */
  get isUsable(): boolean {
    return this.#state === 'idle';
  }

  /** What is written reaches somebody. */
  get isConnected(): boolean {
    return this.#isConnected;
  }

  // Sending.

  /** Begins an exchange. The head waits for the first piece of body, or for `flush`. */
  begin(exchange: ServerSideOfExchange, method: string, head: string, isChunked: boolean): void {
    const { context } = this.target;
    this.#exchange = exchange;
    this.#method = method;
    this.#head = head;
    this.#isChunked = isChunked;
    this.#state = 'head';
    this.#anyBytes = false;
    this.#isRequestSent = false;
    this.#canReuse = true;
    this.#framing = undefined;
    this.#parser = takeParser('response', context.limits);
    if (this.#isConnected) this.deadline = 0;
  }

  /** Returns false when the server should be given time. What is written goes with `flush` at the latest. */
  write(chunk: Buffer, start: number, end: number): boolean {
    const head = this.#head;
    this.#head = '';
    if (!this.#isCorked) {
      this.#isCorked = true;
      this.socket.cork();
    }
    if (!this.#isChunked) {
      if (head !== '') this.socket.write(head, 'latin1');
      return sendInput(this.socket, chunk, start, end);
    }
    this.socket.write(`${head}${(end - start).toString(16)}\r\n`, 'latin1');
    sendInput(this.socket, chunk, start, end);
    return this.socket.write('\r\n', 'latin1');
  }

  flush(): void {
    if (this.#isCorked) {
      this.#isCorked = false;
      this.socket.uncork();
    }
    if (this.#head === '') return;
    const head = this.#head;
    this.#head = '';
    this.socket.write(head, 'latin1');
  }

  /** The request is complete. */
  end(trailers: Trailers): void {
    this.#isRequestSent = true;
    if (this.#isChunked) {
      const head = this.#head;
      this.#head = '';
      this.socket.write(head + lastChunk(trailers), 'latin1');
    }
    this.flush();
    if (this.#isConnected) this.#awaitResponse();
  }

  /** Something of the request is still to be taken by the server: it may not stand still for so long (0 = for ever), but may be slow. */
  limitTaking(stallMs: number): void {
    if (stallMs === this.#stallMs || this.socket.writableLength === 0) return;
    this.#stallMs = stallMs;
    limitSilence(this.socket, stallMs);
  }

  #endTaking(): void {
    if (this.#stallMs === 0) return;
    this.#stallMs = 0;
    limitSilence(this.socket, 0);
  }

  onSilence(): void {
    // All of it was taken meanwhile, and it is the answer that is waited for; or there is a limit of its own for the connection.
    if (this.socket.writableLength === 0) this.#endTaking();
    else if (!this.#isConnected) limitSilence(this.socket, this.#stallMs);
    else
      this.#fail(
        new ProxyError('JTP_ERR_UPSTREAM_TIMEOUT', { message: 'the server has stopped taking the request' }),
      );
  }

  #awaitResponse(): void {
    if (this.#state !== 'head' || !this.#isRequestSent) return;
    const { context, transport } = this.target;
    this.deadline = after(context.deadlines.now, transport.options.responseHeaderTimeoutMs);
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    if (!this.socket.destroyed) this.socket.resume();
  }

  // Receiving.

  onConnect(): void {
    this.#isConnected = true;
    this.target.onConnected();
    this.deadline = 0;
    this.#awaitResponse();
  }

  onData(chunk: Buffer): void {
    if (this.#state === 'idle') {
      // Nobody asked: whatever this is, the connection cannot be trusted any more.
      this.#endIdle();
      return;
    }
    this.#anyBytes = true;
    try {
      this.#process(chunk);
    } catch (thrown) {
      this.#fail(protocolError(thrown));
      return;
    }
    this.#exchange?.onResponseFlush();
  }

  #process(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      switch (this.#state) {
        case 'head':
          at = this.#readHead(chunk, at);
          break;
        case 'body':
          at = this.#readBody(chunk, at);
          break;
        case 'idle':
          // Bytes after the end of the response.
          this.destroy();
          return;
        case 'closed':
        case 'passed':
          return;
      }
    }
  }

  #readHead(chunk: Buffer, at: number): number {
    const parser = this.#parser;
    if (parser === undefined) return chunk.length;
    const end = parser.readHead(chunk, at);
    if (end === NEED_MORE) return chunk.length;
    const { head } = parser;
    if (head.version !== 11 && head.version !== 10)
      throw new ProxyError('JTP_ERR_HTTP_VERSION', { message: 'an unknown version of HTTP' });
    if (head.status < 200 && head.status !== 101) {
      this.#exchange?.onInterim(head);
      parser.reset(this.target.context.limits);
      return end;
    }
    this.deadline = 0;
    const framing = head.status === 101 ? undefined : responseFraming(head, this.#method);
    this.#framing = framing;
    const reuse = responsePersistence(head);
    this.#canReuse = reuse.keepAlive && framing !== undefined && framing.name !== 'until-close';
    if (reuse.timeoutMs !== undefined)
      this.#keepAliveMs = Math.min(this.target.transport.options.idleConnTimeoutMs, reuse.timeoutMs);
    this.#state = 'body';
    if (framing?.name === 'length') this.#remaining = framing.length;
    const { socket } = this;
    this.#exchange?.onResponse(head, framing ?? { name: 'none' });
    if (framing === undefined) {
      // The tunnel has the socket now, or the exchange has given it up.
      if (end < chunk.length && this.#isPassed()) deliverTo(socket, ownBytes(chunk, end, chunk.length));
      return chunk.length;
    }
    if (framing.name === 'none') this.#complete([], end < chunk.length);
    return end;
  }

  #readBody(chunk: Buffer, at: number): number {
    const framing = this.#framing;
    if (framing?.name === 'length') {
      const end = Math.min(chunk.length, at + this.#remaining);
      this.#remaining -= end - at;
      this.#exchange?.onResponseBody(chunk, at, end);
      if (this.#remaining === 0) this.#complete([], end < chunk.length);
      return end;
    }
    const parser = this.#parser;
    if (framing?.name !== 'chunked' || parser === undefined) {
      this.#exchange?.onResponseBody(chunk, at, chunk.length);
      return chunk.length;
    }
    const end = parser.readChunks(chunk, at);
    const { pieces } = parser;
    for (let index = 0; index < pieces.length; index += 2)
      this.#exchange?.onResponseBody(chunk, pieces[index] ?? 0, pieces[index + 1] ?? 0);
    if (end === NEED_MORE) return chunk.length;
    this.#complete(parser.trailers, end < chunk.length);
    return end;
  }

  /** `hasMore`: bytes follow the end of the response, so the connection must not carry another one. */
  #complete(trailers: Trailers, hasMore: boolean): void {
    // A callback of the exchange may have given the connection up meanwhile.
    if (this.#state !== 'body') return;
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#dropParser();
    // A server that answers before it has read everything would take the rest of the request for the next one.
    if (this.#canReuse && this.#isRequestSent && !hasMore && !this.socket.destroyed) {
      this.#endTaking();
      if (this.socket.isPaused()) this.socket.resume();
      const { deadlines } = this.target.context;
      this.#state = 'idle';
      this.isReused = true;
      this.idleSince = deadlines.now;
      const idleMs = this.target.release(this);
      if (idleMs === 0) this.destroy();
      else this.deadline = idleEnd(deadlines.now, idleMs, this.#keepAliveMs);
    } else this.destroy();
    exchange?.onResponseEnd(trailers);
  }

  // Ending.

  onDrain(): void {
    this.#endTaking();
    this.#exchange?.onServerDrain();
  }

  onEnd(): void {
    if (this.#state === 'idle') {
      this.#endIdle();
      return;
    }
    if (this.#state === 'body' && this.#framing?.name === 'until-close') {
      this.#complete([], false);
      return;
    }
    this.#fail(
      this.#state === 'body'
        ? new ProxyError('JTP_ERR_UPSTREAM_TRUNCATED')
        : new ProxyError('JTP_ERR_UPSTREAM_CLOSED'),
    );
  }

  onError(error: Error): void {
    if (this.#state === 'idle') this.#endIdle();
    else this.#fail(this.#explain(error));
  }

  onClose(): void {
    this.#fail(new ProxyError('JTP_ERR_UPSTREAM_CLOSED'));
  }

  onDeadline(): void {
    if (this.#state === 'idle') this.destroy();
    else if (!this.#isConnected) this.#fail(new ProxyError('JTP_ERR_UPSTREAM_CONNECT_TIMEOUT'));
    else this.#fail(new ProxyError('JTP_ERR_UPSTREAM_TIMEOUT'));
  }

  /** By the server, while nobody was using it. */
  #endIdle(): void {
    this.target.onIdleEnded(this.target.context.deadlines.now - this.idleSince);
    this.destroy();
  }

  /** The exchange gives up; nothing more is reported to it. */
  abandon(): void {
    this.#exchange = undefined;
    if (!this.#isConnected && this.#state !== 'closed') this.target.onConnectAbandoned(this);
    this.destroy();
  }

  destroy(): void {
    if (this.#state === 'closed' || this.#state === 'passed') return;
    if (this.#state === 'idle') this.target.forget(this);
    this.#state = 'closed';
    this.#dropParser();
    this.deadline = 0;
    this.target.context.deadlines.delete(this);
    this.socket.destroy();
    this.target.onConnectionClosed();
  }

  /** Hands the socket to a tunnel, which becomes its owner, and tells the target when it is closed. */
  pass(): Socket {
    this.#state = 'passed';
    this.#exchange = undefined;
    this.#dropParser();
    this.deadline = 0;
    this.target.context.deadlines.delete(this);
    return this.socket;
  }

  #isPassed(): boolean {
    return this.#state === 'passed';
  }

  #dropParser(): void {
    if (this.#parser !== undefined) returnParser('response', this.#parser);
    this.#parser = undefined;
  }

  #fail(error: ProxyError): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    const anyBytes = this.#anyBytes;
    if (!this.#isConnected && this.#state === 'head') this.target.onConnectFailed(this, error);
    this.destroy();
    exchange?.onServerFailed(error, anyBytes);
  }

  #explain(error: Error): ProxyError {
    const errno = errnoOf(error);
    const { scheme } = this.target.address;
    if (errno === 'ETIMEDOUT')
      return new ProxyError(
        this.#isConnected ? 'JTP_ERR_UPSTREAM_TIMEOUT' : 'JTP_ERR_UPSTREAM_CONNECT_TIMEOUT',
        { cause: error },
      );
    if (this.#isConnected) return new ProxyError('JTP_ERR_UPSTREAM_RESET', { cause: error });
    const isNetwork = /^(E[A-Z]+)$/.test(errno) && errno !== 'EPROTO';
    if (scheme === 'https' && !isNetwork)
      return new ProxyError('JTP_ERR_UPSTREAM_TLS', {
        message: `the TLS handshake with the server failed: ${errorText(error)}`,
        cause: error,
      });
    return new ProxyError('JTP_ERR_UPSTREAM_CONNECT', {
      message: `the server cannot be reached: ${errorText(error)}`,
      cause: error,
    });
  }
}

/** What is wrong with an answer, for us or for the client. */
function protocolError(thrown: unknown): ProxyError {
  if (thrown instanceof ProxyError && thrown.code === 'JTP_ERR_UPSTREAM_PROTOCOL') return thrown;
  return new ProxyError('JTP_ERR_UPSTREAM_PROTOCOL', {
    message: `the answer is not valid HTTP/1.1: ${errorText(thrown)}`,
    cause: thrown,
  });
}

function after(now: number, milliseconds: number): number {
  return milliseconds === 0 ? 0 : now + milliseconds;
}

/** `keepAliveMs`: 0 = no limit. */
function idleEnd(now: number, idleMs: number, keepAliveMs: number): number {
  const limit = keepAliveMs === 0 ? idleMs : Math.min(idleMs, keepAliveMs);
  return limit === Infinity ? 0 : now + limit;
}
