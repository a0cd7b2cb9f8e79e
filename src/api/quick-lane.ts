// The short way for the calls that a hub makes all day: a whole, plain request that arrived in one piece is read by our own parser and
// answered with one write. Whatever is not exactly that goes, byte for byte and for the rest of its connection, to the server of `node:http`,
// which knows everything else.
//
//   connection ──one piece──► a whole request that `handle` takes? ──yes──► answer ──► the next piece
//                                             └─no──► node:http, with the bytes read so far
//
// docs/benchmarks.md has what it saves: with `node:http` and a framework, reading a request cost more than making it durable.

import { STATUS_CODES } from 'node:http';
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { httpDate } from '../http1/answer.ts';
import { HeaderKind } from '../http1/header-kind.ts';
import { HttpParser } from '../http1/parser.ts';
import { readRequest } from '../http1/request.ts';
import type { ConnectionBounds } from './bounded-connections.ts';

/** One request. */
export interface QuickRequest {
  readonly method: string;
  /** As received, one character per byte. */
  readonly target: string;
  /** UTF-8, decoded. */
  readonly body: string;
}

/** What it is answered with; it must not reject. */
export interface QuickAnswer {
  readonly status: number;
  /** JSON text; absent: no body. */
  readonly json?: string;
}

/** Who may do what. */
export interface QuickHandler {
  /** Whether an Authorization header is the right one; asked again only when a connection sends another. */
  readonly admits: (authorization: string) => boolean;
  /** Undefined: nothing has been done, and the request is for the server behind. */
  readonly handle: (request: QuickRequest) => Promise<QuickAnswer> | undefined;
}

/** A head of this size is no hub's: the other server has its own limits. */
const LIMITS = {
  maxHeadBytes: 8192,
  maxHeaders: 32,
  maxTargetBytes: 4096,
  maxChunkOverheadBytes: 0,
};
/** A connection without a request is closed after this time, which is also what clients are told. */
const KEEP_ALIVE_MS = 72_000;
const PERSISTENCE = `Connection: keep-alive\r\nKeep-Alive: timeout=${String(KEEP_ALIVE_MS / 1000)}\r\n`;

/** One for all connections: it is never left in the middle of a message. */
let parser: HttpParser | undefined;

/** Lays the short way in front of a server; returns what closes its connections. */
export function layQuickLane(
  server: Server,
  handler: QuickHandler,
  bounds: ConnectionBounds,
): { readonly close: () => void } {
  const serve = server.listeners('connection')[0] as (socket: Socket) => void;
  const open = new Set<QuickConnection>();
  server.off('connection', serve);
  server.on('connection', (socket: Socket) => {
    const connection = new QuickConnection(socket, handler, {
      bounds,
      onEnd: () => open.delete(connection),
      handOver: () => {
        open.delete(connection);
        serve.call(server, socket);
      },
    });
    open.add(connection);
  });
  return {
    close: () => {
      for (const connection of open) connection.close();
    },
  };
}

interface Owner {
  readonly bounds: ConnectionBounds;
  readonly onEnd: () => void;
  readonly handOver: () => void;
}

/** One connection, for as long as its requests are of the plain kind. */
class QuickConnection {
  readonly #socket: Socket;
  readonly #handler: QuickHandler;
  readonly #owner: Owner;
  /** The header that has been found to be right: whoever sends it again here has shown to know it. */
  #admitted: string | undefined;
  #isBusy = false;
  #hasEnded = false;
  /** Arrived behind a request that is not answered yet. */
  #early: Buffer | undefined;

  constructor(socket: Socket, handler: QuickHandler, owner: Owner) {
    this.#socket = socket;
    this.#handler = handler;
    this.#owner = owner;
    socket.on('data', this.#onData);
    socket.on('end', this.#onEnd);
    socket.on('error', this.#onError);
    socket.on('close', this.#onClose);
    socket.on('timeout', this.#onTimeout);
    socket.setTimeout(KEEP_ALIVE_MS);
  }

  close(): void {
    this.#socket.destroy();
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#isBusy) {
      // No client of this API sends the next request before it has the answer; whoever does waits.
      this.#early = this.#early === undefined ? chunk : Buffer.concat([this.#early, chunk]);
      this.#socket.pause();
      return;
    }
    const answer = this.#take(chunk);
    if (answer === undefined) {
      this.#handOver(chunk);
      return;
    }
    this.#isBusy = true;
    this.#owner.bounds.begin(this.#socket);
    void answer.then(this.#onAnswer);
  };

  readonly #onEnd = (): void => {
    this.#hasEnded = true;
    if (!this.#isBusy) this.#socket.end();
  };

  readonly #onError = (): void => {
    // The client is gone; `close` follows.
  };

  readonly #onClose = (): void => {
    this.#owner.onEnd();
  };

  readonly #onTimeout = (): void => {
    if (!this.#isBusy) this.#socket.destroy();
  };

  readonly #onAnswer = (answer: QuickAnswer): void => {
    const socket = this.#socket;
    this.#isBusy = false;
    if (socket.destroyed) return;
    this.#owner.bounds.end(socket);
    socket.write(textOf(answer));
    const early = this.#early;
    this.#early = undefined;
    if (early !== undefined) {
      socket.resume();
      this.#onData(early);
    } else if (this.#hasEnded) socket.end();
  };

  /** Undefined: it is for the other server. */
  #take(chunk: Buffer): Promise<QuickAnswer> | undefined {
    const request = wholeRequest(chunk);
    if (request?.authorization === undefined) return undefined;
    if (request.authorization !== this.#admitted) {
      if (!this.#handler.admits(request.authorization)) return undefined;
      this.#admitted = request.authorization;
    }
    return this.#handler.handle(request);
  }

  #handOver(chunk: Buffer): void {
    const socket = this.#socket;
    if (this.#hasEnded) {
      // Half a request, or one behind others: nobody waits for the rest of it.
      socket.destroy();
      return;
    }
    socket.off('data', this.#onData);
    socket.off('end', this.#onEnd);
    socket.off('error', this.#onError);
    socket.off('close', this.#onClose);
    socket.off('timeout', this.#onTimeout);
    socket.setTimeout(0);
    // What has been read comes before what the other server reads by itself.
    socket.pause();
    socket.unshift(chunk);
    this.#owner.handOver();
    socket.resume();
  }
}

/** The one request that these bytes are, from the first to the last; undefined for anything that is less, more, or in any way special. */
function wholeRequest(
  chunk: Buffer,
): (QuickRequest & { readonly authorization: string | undefined }) | undefined {
  parser ??= new HttpParser('request', LIMITS);
  try {
    const bodyAt = parser.readHead(chunk, 0);
    if (bodyAt < 0) return undefined;
    const { head } = parser;
    const { method, target, framing, keepAlive, version, expectsContinue, upgrade } = readRequest(head);
    const length = framing.name === 'length' ? framing.length : framing.name === 'none' ? 0 : -1;
    const isPlain = version === 11 && keepAlive && !expectsContinue && upgrade === undefined;
    if (!isPlain || chunk.length - bodyAt !== length) return undefined;
    const given = head.indexOf(HeaderKind.authorization) < 0 ? [] : head.values('authorization');
    return {
      method,
      target,
      // Of several, nobody can say which one counts.
      authorization: given.length === 1 ? given[0] : undefined,
      body: chunk.toString('utf8', bodyAt),
    };
  } catch {
    // Malformed, or too large: the other server says so.
    return undefined;
  } finally {
    parser.reset(LIMITS);
  }
}

function textOf({ status, json }: QuickAnswer): string {
  const first = `HTTP/1.1 ${String(status)} ${STATUS_CODES[status] ?? ''}\r\n`;
  const end = `Date: ${httpDate()}\r\n${PERSISTENCE}\r\n`;
  if (json !== undefined)
    return `${first}content-type: application/json; charset=utf-8\r\ncontent-length: ${String(Buffer.byteLength(json))}\r\n${end}${json}`;
  return status === 204 ? first + end : `${first}content-length: 0\r\n${end}`;
}
