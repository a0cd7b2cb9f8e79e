// A client's connection, HTTP/2: node:http2 reads and writes the frames on a socket that the entry point has accepted; each stream
// becomes an exchange of its own.
//
//   silent ──preface──► open: otherwise closed, as any connection that says nothing
//   open ──drain──► GOAWAY "no more, but finish" ──streams end──► lingering ──the client closes its side, or time──► closed
//    ├─ idle for too long, too old, enough requests, or GOAWAY from the client: the same
//    └─ floods (resets, frames that mean nothing): GOAWAY with the reason, all streams end ──► closed

import { constants, performServerHandshake } from 'node:http2';
import type { ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { ProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { plainAddress } from '../http1/address.ts';
import { handshakeOf } from '../http1/handshake.ts';
import type { Deadlines, Timed } from '../http1/deadlines.ts';
import type { ForwardedMemo, RequestHandler } from '../http1/downstream.ts';
import { LAST_BYTES_MS, LINGER_MS } from '../http1/lingering.ts';
import type { ParserLimits } from '../http1/parser.ts';
import { ClientStream } from './client-stream.ts';
import { Liveness } from './liveness.ts';
import { RequestReader } from './request-head.ts';

const { NGHTTP2_ENHANCE_YOUR_CALM, NGHTTP2_FLAG_END_STREAM, NGHTTP2_NO_ERROR } = constants;

/** Bytes of a request body that may be on their way before we have asked for more: per stream, and for the whole connection. */
const STREAM_WINDOW = 256 * 1024;
const SESSION_WINDOW = 1024 * 1024;

/** Room above the limit for heads, so that one that is a little too large gets an answer and not only a reset stream. */
const HEAD_RESERVE = 64 * 1024;

/** Bytes of a head that we send: more than is read of a server's. node:http2 ends the whole connection over one that is larger. */
const SENT_HEAD = 2 * 1024 * 1024;

/** Streams that a client may cancel at once (a page that is left does); answered ones give credit back, and so does time. */
const CANCEL_CREDIT = 200;
const CANCEL_CREDIT_PER_MS = 20 / 1000;

/** How often a client with requests under way is asked whether it is there, where there is no `readTimeout`. */
const LIVENESS_MS = 60_000;

/** The highest stream number: a GOAWAY with it takes nothing back. Source: RFC 9113 §6.8. */
const LAST_STREAM = 2 ** 31 - 1;

/**
 * What node:http2 ends connections with that answers are not taken of (-904), that bring a thousand empty or refused frames (-902), or heads in
 * too many pieces (-905). Source: nghttp2.h, NGHTTP2_ERR_FLOODED, _CALLBACK_FAILURE, _TOO_MANY_CONTINUATIONS.
 */
const FLOODS: ReadonlySet<unknown> = new Set([-904, -902, -905]);

/** What all HTTP/2 connections of one entry point share. */
export interface SessionOptions {
  readonly limits: ParserLimits;
  readonly deadlines: Deadlines;
  readonly log: Logger;
  /** The longest stall within a request's body (0 = off), and of a connection that does not even answer a ping. */
  readonly readTimeoutMs: number;
  /** The longest stall of a client that does not take its response; 0 = off. */
  readonly writeTimeoutMs: number;
  /** How long a connection may be without a stream; 0 = off. */
  readonly idleTimeoutMs: number;
  /** Requests per connection; 0 = no limit. */
  readonly keepAliveMaxRequests: number;
  /** Age after which a connection takes no more requests; 0 = no limit. */
  readonly keepAliveMaxTimeMs: number;
  readonly maxConcurrentStreams: number;
  /** Bytes of the tables that header compression uses, for what the client and what we send. */
  readonly maxDecoderHeaderTableSize: number;
  readonly maxEncoderHeaderTableSize: number;
  readonly handler: RequestHandler;
  readonly isDraining: () => boolean;
  readonly onFault: (error: unknown) => void;
  readonly onClosed: (session: ClientSession) => void;
}

/** One downstream HTTP/2 connection. */
export class ClientSession implements Timed {
  readonly tlsOptions: string | undefined;
  readonly remoteAddress: string;
  readonly forwarded: ForwardedMemo = { host: undefined, lines: '' };
  readonly options: SessionOptions;
  readonly reader: RequestReader;
  deadline: number;
  readonly #socket: Socket;
  readonly #session: ServerHttp2Session;
  readonly #openedAt: number;
  #quietSince: number;
  #requests = 0;
  #streams = 0;
  readonly #liveness: Liveness;
  #isClosed = false;
  #isLeaving = false;
  /** It has been given time for what was still to be sent at its end. */
  #isProlonged = false;
  #credit = CANCEL_CREDIT;
  #creditAt: number;

  constructor(socket: Socket, tlsOptions: string | undefined, options: SessionOptions) {
    const { deadlines, limits } = options;
    this.tlsOptions = tlsOptions;
    this.remoteAddress = plainAddress(socket.remoteAddress ?? '');
    this.options = options;
    this.reader = new RequestReader(limits);
    this.#socket = socket;
    this.#openedAt = deadlines.now;
    this.#quietSince = deadlines.now;
    this.#creditAt = deadlines.now;
    this.deadline = this.#after(options.readTimeoutMs);
    deadlines.add(this);
    const session = performServerHandshake(socket, {
      settings: {
        enableConnectProtocol: true,
        enablePush: false,
        headerTableSize: options.maxDecoderHeaderTableSize,
        initialWindowSize: STREAM_WINDOW,
        maxConcurrentStreams: options.maxConcurrentStreams,
        maxHeaderListSize: limits.maxHeadBytes + HEAD_RESERVE,
      },
      maxDeflateDynamicTableSize: options.maxEncoderHeaderTableSize,
      // Above our own limit, for the same reason.
      maxHeaderListPairs: limits.maxHeaders * 2,
      maxSendHeaderBlockLength: SENT_HEAD,
    });
    this.#session = session;
    this.#liveness = new Liveness(session, socket);
    session.setLocalWindowSize(SESSION_WINDOW);
    session.on('stream', (stream: ServerHttp2Stream, _headers: unknown, flags: number, fields: string[]) => {
      this.#onStream(stream, flags, fields);
    });
    session.on('error', (error: Error) => {
      this.#onError(error);
    });
    // RFC 9113 §3.4: settings are the end of what a client begins with.
    session.once('remoteSettings', () => {
      if (this.#requests === 0 && !this.#isLeaving) this.deadline = this.#idleDeadline();
    });
    // Streams under way are answered and no more are taken: node:http2 does that by itself.
    session.once('goaway', () => {
      this.#isLeaving = true;
      if (this.#streams === 0) this.deadline = this.#after(LINGER_MS);
    });
    session.on('close', () => {
      this.#onClosed();
    });
    // As with HTTP/1.1: a client that closes its side is not waiting for anything any more.
    socket.on('end', () => {
      this.destroy();
    });
  }

  get handshake(): string | undefined {
    return handshakeOf(this.#socket);
  }

  #onStream(stream: ServerHttp2Stream, flags: number, fields: readonly string[]): void {
    this.#requests++;
    this.#streams++;
    if (this.#streams === 1) this.deadline = this.#livenessDeadline();
    new ClientStream(stream, this, (flags & NGHTTP2_FLAG_END_STREAM) === 0).start(fields);
    if (this.#isSpent()) this.drain();
  }

  #onError(error: NodeJS.ErrnoException): void {
    const { log } = this.options;
    const reason = error.message;
    if (FLOODS.has(error.errno))
      log.warn(
        { code: 'JTP_ERR_HTTP2_FLOOD', client: this.remoteAddress, reason },
        'an HTTP/2 client sends frames that only cost',
      );
    else log.debug({ reason }, 'an HTTP/2 connection ended with an error');
  }

  /** Size of the largest head that the client says it takes. Source: RFC 9113 §6.5.2, SETTINGS_MAX_HEADER_LIST_SIZE. */
  get maxSentHeadSize(): number {
    return this.#session.remoteSettings.maxHeaderListSize ?? Infinity;
  }

  /** Since when it has been without a stream, on the scale of `Deadlines.now`; undefined while it has some. */
  get quietSince(): number | undefined {
    return this.#streams === 0 ? this.#quietSince : undefined;
  }

  #isSpent(): boolean {
    const { keepAliveMaxRequests, keepAliveMaxTimeMs, deadlines, isDraining } = this.options;
    if (keepAliveMaxRequests > 0 && this.#requests >= keepAliveMaxRequests) return true;
    if (keepAliveMaxTimeMs > 0 && deadlines.now - this.#openedAt > keepAliveMaxTimeMs) return true;
    return isDraining();
  }

  #idleDeadline(): number {
    const { idleTimeoutMs } = this.options;
    return idleTimeoutMs === 0 ? 0 : this.#quietSince + idleTimeoutMs;
  }

  #livenessDeadline(): number {
    const { readTimeoutMs } = this.options;
    return this.#after(readTimeoutMs === 0 ? LIVENESS_MS : readTimeoutMs);
  }

  #after(milliseconds: number): number {
    return milliseconds === 0 ? 0 : this.options.deadlines.now + milliseconds;
  }

  // What streams tell.

  /** Each one, in the end. `quietSince`: since when nothing has happened on it, if that is not now; on the scale of `Deadlines.now`. */
  onStreamClosed(quietSince = this.options.deadlines.now): void {
    this.#streams--;
    this.#quietSince = Math.max(this.#quietSince, quietSince);
    if (this.#streams === 0) this.deadline = this.#isLeaving ? this.#after(LINGER_MS) : this.#idleDeadline();
  }

  onAnswered(): void {
    if (this.#credit < CANCEL_CREDIT) this.#credit++;
  }

  /** CVE-2023-44487: opening and cancelling streams costs a client nothing, and us a request to a server each time. */
  onCancelled(): void {
    const { deadlines, log } = this.options;
    const { now } = deadlines;
    this.#credit = Math.min(CANCEL_CREDIT, this.#credit + (now - this.#creditAt) * CANCEL_CREDIT_PER_MS) - 1;
    this.#creditAt = now;
    if (this.#credit >= 0 || this.#isClosed || this.#session.destroyed) return;
    log.warn(
      { code: 'JTP_ERR_HTTP2_RESETS', client: this.remoteAddress },
      'an HTTP/2 client cancels too many requests',
    );
    this.#session.destroy(new ProxyError('JTP_ERR_HTTP2_RESETS'), NGHTTP2_ENHANCE_YOUR_CALM);
  }

  // Ending.

  /** Takes no more requests and ends when the ones under way have ended. */
  drain(): void {
    if (this.#isLeaving || this.#session.destroyed) return;
    this.#isLeaving = true;
    const session = this.#session;
    if (this.#streams === 0) {
      session.close();
      // Our side is closed then, and node:http2 waits for the client to close its own, for ever.
      this.deadline = this.#after(LINGER_MS);
      return;
    }
    // RFC 9113 §6.8: first a warning that refuses nothing; requests that cross it are still answered. The ping tells when it has arrived.
    session.goaway(NGHTTP2_NO_ERROR, LAST_STREAM);
    session.ping(() => {
      session.close();
    });
  }

  destroy(): void {
    this.#session.destroy();
    this.#socket.destroy();
    this.#onClosed();
  }

  onDeadline(): void {
    if (this.#streams > 0 && this.#liveness.check()) this.deadline = this.#livenessDeadline();
    else if (this.#streams === 0 && !this.#isLeaving) this.drain();
    else if (this.#streams === 0 && !this.#isProlonged && !this.#socket.writableFinished) {
      // A slow reader is still at the end of its last response.
      this.#isProlonged = true;
      this.deadline = this.#after(LAST_BYTES_MS);
    } else this.destroy();
  }

  #onClosed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.deadline = 0;
    this.options.deadlines.delete(this);
    this.options.onClosed(this);
  }
}
