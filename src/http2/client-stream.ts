// One request of an HTTP/2 client: the stream as the exchange sees it.
//
//   open ──body──► (END_STREAM) ──► waiting ──response complete──► answered ──all of it taken, or time──► closed
//    │ └─ the response is complete before the body: the rest is not wanted, RST_STREAM(NO_ERROR)
//    └─ RST_STREAM, or the connection is gone: the exchange hears of it at once ──► closed
//   a WebSocket (RFC 8441): open ──pass──► the stream belongs to a tunnel

import { constants } from 'node:http2';
import type { OutgoingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { ProxyError } from '../errors.ts';
import { httpDate, refusalFor } from '../http1/answer.ts';
import type { Answer } from '../http1/answer.ts';
import type { Timed } from '../http1/deadlines.ts';
import type { ClientSideOfExchange, Downstream, ForwardedMemo, Passed } from '../http1/downstream.ts';
import type { Framing } from '../http1/framing.ts';
import { adoptOutput, adoptSocket, awaitRoom } from '../http1/owned-socket.ts';
import type { SocketOwner } from '../http1/owned-socket.ts';
import type { Trailers } from '../http1/parser.ts';
import { HeaderKind } from '../http1/header-kind.ts';
import type { Request } from '../http1/request.ts';
import { isAllowedTrailer } from '../http1/response-writer.ts';
import type { ClientSession } from './client-session.ts';
import { GatheredBody } from './gathered-body.ts';
import { requestTrailers } from './request-head.ts';
import { fieldsSize, responseFields, SIZE_PER_BYTE, withoutRepetitions } from './response-fields.ts';

const { NGHTTP2_NO_ERROR } = constants;

const NO_TRAILERS: Trailers = [];
/** The length of a body that nothing was said about. */
const UNKNOWN = -1;
/** Frames of a connection that may wait for the client before interim responses are left out. */
const HELD_FRAMES = 100;

type State = 'open' | 'answered' | 'closed' | 'passed';

/** One downstream stream. */
export class ClientStream implements Downstream, SocketOwner, Timed {
  exchange: ClientSideOfExchange | undefined;
  deadline = 0;
  readonly #stream: ServerHttp2Stream;
  readonly #session: ClientSession;
  #request: Request | undefined;
  #state: State = 'open';
  #hasBegun = false;
  /** The whole request has arrived. */
  #isRequestComplete: boolean;
  /** Bytes of the body that were announced and have not arrived, or UNKNOWN. */
  #remaining = UNKNOWN;
  #requestTrailers = NO_TRAILERS;
  #body: GatheredBody | undefined;
  #isTimed = false;
  #isPaused = false;
  /** The deadline is that of a client that does not take its response. */
  #isAwaitingDrain = false;
  /** Bytes of a complete response that had not been taken when it was last looked at. */
  #untaken = 0;
  /** Since when the client had taken nothing of a complete response when that was given up, on the scale of `Deadlines.now`. */
  #stalledSince: number | undefined;
  /** The newest piece of the response: held until more comes, so that the last one can carry the end of the stream. */
  #held: Buffer | undefined;
  #sendsTrailers = false;
  /** The client has said so. Trailers keep the end of the response out of its last piece, so nobody else gets unannounced ones. */
  #takesTrailers = false;

  constructor(stream: ServerHttp2Stream, session: ClientSession, hasBody: boolean) {
    this.#stream = stream;
    this.#session = session;
    this.#isRequestComplete = !hasBody;
    stream.on('aborted', streamOnAborted);
    if (hasBody) adoptSocket(stream, this);
    else adoptOutput(stream, this);
  }

  get bodyStallMs(): number {
    return this.#session.options.readTimeoutMs;
  }

  get isTls(): boolean {
    return this.#session.tlsOptions !== undefined;
  }

  get tlsOptions(): string | undefined {
    return this.#session.tlsOptions;
  }

  get remoteAddress(): string {
    return this.#session.remoteAddress;
  }

  get handshake(): string | undefined {
    return this.#session.handshake;
  }

  get forwarded(): ForwardedMemo {
    return this.#session.forwarded;
  }

  /** `fields` is the request's header list, names and values in turn. */
  start(fields: readonly string[]): void {
    const { reader, options } = this.#session;
    try {
      const { request, head } = reader.read(fields, !this.#isRequestComplete);
      this.#request = request;
      this.#takesTrailers = head.indexOf(HeaderKind.te) >= 0;
      // What comes before the answer to a WebSocket's handshake waits for the tunnel.
      if (request.upgrade !== undefined) this.pauseBody();
      else if (!this.#isRequestComplete) this.#expectBody(request);
      options.handler.onRequest(this, request, head);
      if (request.framing.name === 'none') this.exchange?.onRequestEnd(NO_TRAILERS);
      this.exchange?.onRequestFlush();
    } catch (error) {
      this.#refuse(error);
    }
  }

  #expectBody(request: Request): void {
    if (request.framing.name === 'length') this.#remaining = request.framing.length;
    else if (request.framing.name === 'none') this.#remaining = 0;
    this.#body = new GatheredBody((pieces) => {
      for (const piece of pieces) this.exchange?.onRequestBody(piece, 0, piece.length);
      this.exchange?.onRequestFlush();
    });
    this.#stream.once('trailers', (headers) => {
      this.#requestTrailers = requestTrailers(headers);
    });
    this.#limitBody();
  }

  /** What we ourselves hold back does not count against the client, and one that does not take its response has its own limit. */
  #limitBody(): void {
    if (this.#state !== 'open' || this.#isAwaitingDrain) return;
    const isAwaited = !this.#isRequestComplete && !this.#isPaused;
    this.#setDeadline(isAwaited ? this.#session.options.readTimeoutMs : 0);
  }

  // Reading.

  onData(chunk: Buffer): void {
    if (this.#remaining !== UNKNOWN) {
      // RFC 9113 §8.1.1: more than was announced could become another request behind us.
      if (chunk.length > this.#remaining) {
        this.#breakOff();
        return;
      }
      this.#remaining -= chunk.length;
    }
    if (this.exchange === undefined) return;
    this.#limitBody();
    this.#body?.add(chunk);
  }

  /** END_STREAM, or the end of what a stream that was cut had delivered: `close` follows then, and tells the exchange. */
  onEnd(): void {
    if (this.#isRequestComplete || this.#stream.aborted || this.#stream.destroyed) return;
    if (this.#remaining > 0) {
      this.#breakOff();
      return;
    }
    this.#body?.flush();
    this.#isRequestComplete = true;
    this.#limitBody();
    // A request without a body was complete when its head was.
    if (this.#request?.framing.name !== 'none') this.exchange?.onRequestEnd(this.#requestTrailers);
  }

  pauseBody(): void {
    this.#isPaused = true;
    this.#limitBody();
    this.#stream.pause();
  }

  resumeBody(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#limitBody();
    if (!this.#stream.destroyed) this.#stream.resume();
  }

  // Answering.

  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  interim(status: number, _reason: string, lines: string): boolean {
    const stream = this.#stream;
    // RFC 9113 §8.6: there is no 101. Flow control knows nothing of heads: a client that takes none is sent no more of them.
    const isTaken = (stream.session?.state.outboundQueueSize ?? 0) < HELD_FRAMES;
    if (this.#isWritable() && !this.#hasBegun && status !== 101 && isTaken)
      stream.additionalHeaders(responseFields(status, lines));
    return !stream.writableNeedDrain;
  }

  begin(status: number, _reason: string, lines: string, framing: Framing): void {
    if (!this.#isWritable() || this.#hasBegun) return;
    if (status > 599) throw unsayable(`the status ${String(status)}`);
    const fields = responseFields(status, lines);
    if (framing.name === 'length') fields['content-length'] = String(framing.length);
    else if (framing.name === 'none' && this.#request?.method !== 'HEAD' && status !== 204 && status !== 304)
      fields['content-length'] = '0';
    const limit = this.#session.maxSentHeadSize;
    if (lines.length > limit / SIZE_PER_BYTE && fieldsSize(fields) > limit)
      throw unsayable('a head larger than the client takes');
    this.#sendsTrailers =
      framing.name === 'chunked' && (this.#takesTrailers || fields['trailer'] !== undefined);
    this.#respond(fields, framing.name === 'none');
  }

  #respond(fields: OutgoingHttpHeaders, endStream: boolean): void {
    this.#hasBegun = true;
    const options = { endStream, waitForTrailers: this.#sendsTrailers && !endStream };
    try {
      this.#stream.respond(fields, options);
    } catch {
      // A field that stands there twice: the rest of what `respond` can object to has been left out.
      this.#stream.respond(withoutRepetitions(fields), options);
    }
  }

  write(chunk: Buffer, start: number, end: number): boolean {
    const stream = this.#stream;
    if (!this.#isWritable() || stream.writableEnded) return true;
    const held = this.#held;
    this.#held = start === 0 && end === chunk.length ? chunk : chunk.subarray(start, end);
    if (held !== undefined) stream.write(held);
    return !stream.writableNeedDrain;
  }

  flush(): void {
    const held = this.#held;
    if (held === undefined || !this.#isWritable()) return;
    this.#held = undefined;
    this.#stream.write(held);
  }

  finishResponse(trailers: Trailers): void {
    this.exchange = undefined;
    if (!this.#isWritable()) return;
    const stream = this.#stream;
    const held = this.#held;
    this.#held = undefined;
    this.#state = 'answered';
    if (this.#sendsTrailers)
      stream.once('wantTrailers', () => {
        stream.sendTrailers(trailerFields(trailers));
      });
    if (held === undefined) stream.end();
    else stream.end(held);
    this.#session.onAnswered();
    this.#limitTaking();
    this.#dropRequest();
  }

  /**
   * The window of a client may stay at 0 for as long as it likes: the end of a response has the limit that the rest of it had, or else that of a
   * connection without requests, as with HTTP/1.1.
   */
  #limitTaking(): void {
    const { writeTimeoutMs, idleTimeoutMs } = this.#session.options;
    this.#untaken = this.#stream.writableLength;
    this.#setDeadline(writeTimeoutMs === 0 ? idleTimeoutMs : writeTimeoutMs);
  }

  /** RFC 9113 §8.1: a client that is still sending is told, without an error, that nobody wants it. */
  #dropRequest(): void {
    if (this.#isRequestComplete) return;
    const stream = this.#stream;
    stream.off('aborted', streamOnAborted);
    if (stream.isPaused()) stream.resume();
    // `close` waits for the same, but a stream that is destroyed meanwhile would then be taken for one whose reset has been sent.
    if (stream.writableFinished) stream.close(NGHTTP2_NO_ERROR);
    else stream.once('finish', streamOnFinish);
  }

  answer(answer: Answer): void {
    this.exchange = undefined;
    if (!this.#isWritable()) return;
    if (this.#hasBegun) {
      this.destroy();
      return;
    }
    const body = Buffer.from(answer.body, 'latin1');
    const fields = responseFields(answer.status, answer.headers);
    fields['content-length'] = String(body.length);
    fields['date'] = httpDate();
    const isBodiless = body.length === 0 || this.#request?.method === 'HEAD';
    this.#respond(fields, isBodiless);
    if (!isBodiless) this.#held = body;
    this.finishResponse(NO_TRAILERS);
  }

  #refuse(thrown: unknown): void {
    if (!(thrown instanceof ProxyError)) this.#session.options.onFault(thrown);
    const error =
      thrown instanceof ProxyError
        ? thrown
        : new ProxyError('JTP_ERR_HTTP_PARSE', { cause: thrown, status: 500 });
    const { exchange } = this;
    this.exchange = undefined;
    exchange?.onClientGone(error);
    this.answer(refusalFor(error.status ?? 400, error.code === 'JTP_ERR_HTTP_HOST' ? error.message : ''));
  }

  // Ending.

  #isWritable(): boolean {
    return this.#state === 'open' && !this.#stream.destroyed && !this.#stream.closed;
  }

  /** The client broke the rules of its own stream. */
  #breakOff(): void {
    const { exchange } = this;
    this.exchange = undefined;
    this.destroy();
    exchange?.onClientGone(new ProxyError('JTP_ERR_HTTP_FRAMING'));
  }

  /**
   * A response that is cut off must not look complete: `stream.close` would end the stream in good order before it resets it, whatever the
   * code; only an error makes the reset come first.
   */
  destroy(): void {
    const stream = this.#stream;
    if (stream.destroyed) return;
    stream.off('aborted', streamOnAborted);
    stream.destroy(new ProxyError('JTP_ERR_UPSTREAM_TRUNCATED'));
  }

  onDrain(): void {
    this.#isAwaitingDrain = false;
    this.#limitBody();
    this.exchange?.onClientDrain();
  }

  awaitDrain(): void {
    awaitRoom(this.#stream);
    this.#isAwaitingDrain = true;
    this.#setDeadline(this.#session.options.writeTimeoutMs);
  }

  onError(): void {
    // `close` follows.
  }

  onClose(): void {
    const { exchange } = this;
    const wasOpen = this.#state === 'open';
    this.exchange = undefined;
    this.#held = undefined;
    this.#release();
    this.#session.onStreamClosed(this.#stalledSince);
    if (wasOpen) this.#session.onCancelled();
    exchange?.onClientGone(new ProxyError('JTP_ERR_HTTP_CLIENT_GONE'));
  }

  onDeadline(): void {
    if (this.#state === 'answered') this.#giveUp();
    else if (this.#isAwaitingDrain || this.#hasBegun) this.destroy();
    else this.#refuse(new ProxyError('JTP_ERR_HTTP_BODY_TIMEOUT'));
  }

  /** The client has not taken the end of its response, or only a part of it: then it gets as much time again. */
  #giveUp(): void {
    if (this.#stream.writableLength < this.#untaken) {
      this.#limitTaking();
      return;
    }
    const { deadlines, writeTimeoutMs, idleTimeoutMs } = this.#session.options;
    this.#stalledSince = deadlines.now - (writeTimeoutMs === 0 ? idleTimeoutMs : writeTimeoutMs);
    this.destroy();
  }

  pass(_reason: string, lines: string): Passed {
    const stream = this.#stream;
    const session = this.#session;
    stream.once('close', () => {
      session.onStreamClosed();
    });
    this.#release();
    this.#state = 'passed';
    this.exchange = undefined;
    const fields = responseFields(200, lines);
    // Part of a handshake that the client has not seen.
    delete fields['sec-websocket-accept'];
    if (!stream.destroyed && !stream.closed) this.#respond(fields, false);
    return { socket: Object.assign(stream, { destroySoon: streamDestroySoon }), early: undefined };
  }

  #release(): void {
    if (this.#state === 'closed' || this.#state === 'passed') return;
    this.#state = 'closed';
    this.deadline = 0;
    if (this.#isTimed) this.#session.options.deadlines.delete(this);
  }

  #setDeadline(milliseconds: number): void {
    const { deadlines } = this.#session.options;
    this.deadline = milliseconds === 0 ? 0 : deadlines.now + milliseconds;
    if (this.#isTimed || milliseconds === 0) return;
    this.#isTimed = true;
    deadlines.add(this);
  }
}

function unsayable(what: string): ProxyError {
  return new ProxyError('JTP_ERR_UPSTREAM_PROTOCOL', {
    message: `the answer cannot be given in HTTP/2: ${what}`,
    status: 502,
  });
}

/** The client has reset the stream. Without this, a stream that is paused would keep its end to itself. */
function streamOnAborted(this: ServerHttp2Stream): void {
  this.destroy();
}

/** The response has been taken, and the request is not wanted. */
function streamOnFinish(this: ServerHttp2Stream): void {
  this.close(NGHTTP2_NO_ERROR);
}

function streamDestroySoon(this: ServerHttp2Stream): void {
  if (!this.writableEnded) this.end();
  if (this.writableFinished) this.destroy();
  else this.once('finish', () => this.destroy());
}

function trailerFields(trailers: Trailers): OutgoingHttpHeaders {
  const lines = trailers
    .filter(([name]) => isAllowedTrailer(name))
    .map(([name, value]) => `${name}: ${value}\r\n`);
  const fields = responseFields(200, lines.join(''));
  delete fields[':status'];
  return withoutRepetitions(fields);
}
