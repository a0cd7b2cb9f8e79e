// The contract between a request in flight and its client's side, whatever protocol the client speaks: an HTTP/1.1 connection serves one
// request at a time, an HTTP/2 stream exactly one. The exchange knows nothing else about either.

import type { Duplex } from 'node:stream';
import type { ProxyError } from '../errors.ts';
import type { Answer } from './answer.ts';
import type { Framing } from './framing.ts';
import type { MessageHead } from './head.ts';
import type { Trailers } from './parser.ts';
import type { Request } from './request.ts';

/** Takes the requests of a connection. */
export interface RequestHandler {
  /** A head has arrived: answer it, or set `client.exchange` and answer later. `head` is valid until the exchange ends. */
  onRequest(client: Downstream, request: Request, head: MessageHead): void;
}

/** What a request in flight wants to hear from its client's side. */
export interface ClientSideOfExchange {
  onRequestBody(chunk: Buffer, start: number, end: number): void;
  onRequestEnd(trailers: Trailers): void;
  /** All of one read has been delivered: what was held back to be sent in one piece should go now. */
  onRequestFlush(): void;
  /** The client takes more of the response. */
  onClientDrain(): void;
  /** The client is gone, or broke the protocol: nobody wants the response any more. */
  onClientGone(error: ProxyError): void;
}

/** Lines about the client that stay the same from one request of a connection to the next. */
export interface ForwardedMemo {
  /** The host they were made for; undefined before the first time. */
  host: string | undefined;
  lines: string;
}

/** One side of a tunnel: a socket, or a stream that behaves like one. */
export type TunnelSocket = Duplex & {
  /** Ends the writing side and destroys the rest once everything is written. */
  destroySoon(): void;
};

/** A connection that has changed its protocol, on its way to a tunnel. */
export interface Passed {
  readonly socket: TunnelSocket;
  /** What the client had sent before it could know the answer. */
  readonly early: Buffer | undefined;
}

/** The client's side of one exchange. Header lines are complete, with their line ends, and never speak of framing or persistence. */
export interface Downstream {
  readonly isTls: boolean;
  /** The name of the TLS options that the handshake was made with; undefined for plaintext. */
  readonly tlsOptions: string | undefined;
  /** The peer's address without zone or IPv4 mapping. */
  readonly remoteAddress: string;
  /** TLS version and cipher suite by its IANA name, such as `1.3 TLS_AES_128_GCM_SHA256`; undefined for plaintext. */
  readonly handshake: string | undefined;
  readonly forwarded: ForwardedMemo;
  exchange: ClientSideOfExchange | undefined;
  /** True: `write` copies what it cannot send at once. Else it is given bytes that stay as they are. */
  readonly writesInPlace?: boolean;
  /** The longest stall of the request's body, on either side of us; 0 = off. */
  readonly bodyStallMs: number;
  /** True once a final response has begun: an error can no longer be told in words. */
  readonly hasBegun: boolean;

  /** Stops the request's body; what has been read already is kept. */
  pauseBody(): void;
  resumeBody(): void;

  /** A whole interim response (1xx). `reason` begins with a space, or is empty. Returns false as `write` does. */
  interim(status: number, reason: string, lines: string): boolean;
  /**
   * The head of the final response; `framing` tells how the body that follows ends. Throws ProxyError JTP_ERR_UPSTREAM_PROTOCOL, and has not
   * begun, when the client's protocol cannot say it.
   */
  begin(status: number, reason: string, lines: string, framing: Framing): void;
  /** Returns false when the client should be given time: call `awaitDrain`, `onClientDrain` follows. */
  write(chunk: Buffer, start: number, end: number): boolean;
  awaitDrain(): void;
  /** Sends whatever was held back. */
  flush(): void;
  /** The last byte of the response has been written. */
  finishResponse(trailers: Trailers): void;
  /** Sends a response of our own, if none has begun, and ends the exchange. */
  answer(answer: Answer): void;
  /** Accepts the upgrade to `protocol` that the request asked for, and hands the bytes that follow to the caller. */
  pass(reason: string, lines: string, protocol: string): Passed;
  /** Cuts the response off. */
  destroy(): void;
}
