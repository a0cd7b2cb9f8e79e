// A connection before it speaks HTTP: its first byte tells TLS from plaintext (Traefik serves both on one port), a handshake settles the
// protocol, and the socket goes to whoever speaks it.
//
//   silent ──plaintext──► ready
//      └──0x16──► hello ──complete──► handshake ──► ready
//                  └ refused: an alert, closed

import type { Socket } from 'node:net';
import { errorText, ProxyError } from '../errors.ts';
import type { Deadlines, Timed } from '../http1/deadlines.ts';
import { adoptSocket, leaveReading, NOBODY, passSocket } from '../http1/owned-socket.ts';
import type { SocketOwner } from '../http1/owned-socket.ts';
import type { Logger } from '../log.ts';
import { readClientHello } from '../tls/client-hello.ts';
import type { HostOptions, TlsTermination } from '../tls/termination.ts';

/** First byte of a TLS record that carries a handshake. Source: RFC 8446 §5.1. */
const TLS_HANDSHAKE = 0x16;
const TLS_HANDSHAKE_MS = 15_000;

/** A fatal alert, unrecognized_name. Source: RFC 8446 §6; sent before there is a handshake to be part of. */
const UNRECOGNIZED_NAME = Buffer.from([0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x70]);

/** How long a client that was refused may take to close its side. */
const REFUSED_LINGER_MS = 2000;

/** How an HTTP/2 client without TLS begins; one that knows in advance. Source: RFC 9113 §3.3, §3.4. */
const HTTP2_PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/** What greetings of one entry point need. */
export interface GreetingOptions {
  readonly entryPoint: string;
  readonly tls: TlsTermination;
  readonly hostOptions: HostOptions;
  readonly deadlines: Deadlines;
  readonly log: Logger;
  /** Time to say something; 0 = off. */
  readonly readTimeoutMs: number;
  readonly onReady: (greeted: Greeted) => void;
  readonly onGone: (greeting: Greeting) => void;
}

/** A socket that is ready for HTTP. */
export interface Greeted {
  readonly socket: Socket;
  /** The TLS options of the handshake; undefined for plaintext. */
  readonly tlsOptions: string | undefined;
  readonly isHttp2: boolean;
  /** What was read to tell. */
  readonly first: Buffer | undefined;
}

/** A connection before its first byte, and during the TLS handshake. */
export class Greeting implements Timed, SocketOwner {
  deadline: number;
  /** When it was accepted, on the scale of `Deadlines.now`. */
  readonly quietSince: number;
  readonly #options: GreetingOptions;
  readonly #socket: Socket;
  /** The beginning of a ClientHello that is not complete. */
  #hello: Buffer | undefined;
  /** What may become the preface of HTTP/2, or a request of HTTP/1.1 that begins like it. */
  #opening: Buffer | undefined;

  constructor(socket: Socket, options: GreetingOptions) {
    this.#socket = socket;
    this.#options = options;
    const { readTimeoutMs, deadlines } = options;
    this.quietSince = deadlines.now;
    this.deadline = readTimeoutMs === 0 ? 0 : deadlines.now + readTimeoutMs;
    deadlines.add(this);
    adoptSocket(socket, this);
  }

  onDrain(): void {
    // Nothing is written before the handshake, and what that writes is not ours.
  }

  onEnd(): void {
    this.destroy();
  }

  onError(): void {
    this.destroy();
  }

  onClose(): void {
    this.destroy();
  }

  onDeadline(): void {
    this.destroy();
  }

  destroy(): void {
    this.#leave();
    this.#socket.destroy();
  }

  #leave(): void {
    passSocket(this.#socket, NOBODY);
    this.#options.deadlines.delete(this);
    this.#options.onGone(this);
  }

  #ready(greeted: Greeted): void {
    this.#options.deadlines.delete(this);
    this.#options.onReady(greeted);
    this.#options.onGone(this);
  }

  onData(chunk: Buffer): void {
    const socket = this.#socket;
    if (this.#hello !== undefined || (this.#opening === undefined && chunk[0] === TLS_HANDSHAKE)) {
      this.#readHello(chunk);
      return;
    }
    const opening = this.#opening === undefined ? chunk : Buffer.concat([this.#opening, chunk]);
    const isOpening = opening[0] === HTTP2_PREFACE[0] && isPrefaceSoFar(opening);
    if (isOpening && opening.length < HTTP2_PREFACE.length) {
      this.#opening = opening;
      return;
    }
    if (isOpening) {
      leaveReading(socket);
      socket.unshift(opening);
      passSocket(socket, NOBODY);
    }
    this.#ready({
      socket,
      tlsOptions: undefined,
      isHttp2: isOpening,
      first: isOpening ? undefined : opening,
    });
  }

  /** One read nearly always brings all of it. */
  #readHello(chunk: Buffer): void {
    const socket = this.#socket;
    const { deadlines } = this.#options;
    if (this.#hello === undefined) this.deadline = deadlines.now + TLS_HANDSHAKE_MS;
    const bytes = this.#hello === undefined ? chunk : Buffer.concat([this.#hello, chunk]);
    this.#hello = bytes;
    const hello = readClientHello(bytes);
    if (hello === 'incomplete') return;
    leaveReading(socket);
    socket.unshift(bytes);
    this.#hello = undefined;
    this.#secure(socket, hello.serverName);
  }

  #secure(socket: Socket, serverName: string): void {
    const { tls, entryPoint, hostOptions, log } = this.#options;
    try {
      tls.secure({
        socket,
        entryPoint,
        serverName,
        hostOptions,
        onSecure: (secured, tlsOptions) => {
          // The error of a connection under TLS is told by the socket above it.
          passSocket(socket, NOBODY);
          this.#ready({
            socket: secured,
            tlsOptions,
            isHttp2: secured.alpnProtocol === 'h2',
            first: undefined,
          });
        },
      });
    } catch (error) {
      const isRefusal = error instanceof ProxyError && error.code === 'JTP_ERR_TLS_REFUSED';
      log[isRefusal ? 'debug' : 'warn'](
        { entryPoint, reason: errorText(error) },
        'a TLS connection was refused',
      );
      this.#leave();
      socket.end(UNRECOGNIZED_NAME);
      socket.resume();
      socket.setTimeout(REFUSED_LINGER_MS, () => socket.destroy());
    }
  }
}

function isPrefaceSoFar(bytes: Buffer): boolean {
  const length = Math.min(bytes.length, HTTP2_PREFACE.length);
  return bytes.compare(HTTP2_PREFACE, 0, length, 0, length) === 0;
}
