// Whether there is still somebody at the other end of an HTTP/2 connection that has requests under way. Two things are found only so: a client
// whose machine is gone, and a connection that nghttp2 has given up because of a broken frame. For that one, node:http2 of Node 20 often neither
// reads on nor closes nor ends its streams, and so would keep everything for ever, even after the client has gone; newer versions end it at once.

import type { ServerHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';

/** More than the question itself takes, TLS included: what was written beyond that is progress. */
const PING_BYTES = 100;

/** Intervals without an answer or progress. What has been handed to the kernel at once may be much for a slow line. */
const MISSES = 2;

/** Asks, and looks for an answer the next time. */
export class Liveness {
  readonly #session: ServerHttp2Session;
  readonly #socket: Socket;
  #isAsked = false;
  #misses = 0;
  #read = 0;
  #written = 0;

  constructor(session: ServerHttp2Session, socket: Socket) {
    this.#session = session;
    this.#socket = socket;
  }

  /** Called at intervals; false when not a byte has come or gone for two of them, and a ping is unanswered. */
  check(): boolean {
    const { bytesRead, bytesWritten } = this.#socket;
    const hasMoved = bytesRead !== this.#read || bytesWritten - this.#written > PING_BYTES;
    this.#read = bytesRead;
    this.#written = bytesWritten;
    this.#misses = hasMoved || !this.#isAsked ? 0 : this.#misses + 1;
    if (this.#misses >= MISSES) return false;
    if (!this.#isAsked) {
      this.#isAsked = true;
      this.#session.ping(() => {
        this.#isAsked = false;
      });
    }
    return true;
  }
}
