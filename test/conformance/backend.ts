// A server that records exactly what reached it and reacts as the case says. It answers a request only when all of it has arrived,
// so that the record is complete before the client sees an answer.

import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { readMessage } from './http-message.ts';
import type { WireMessage } from './http-message.ts';

/** What a server does once a request has arrived. */
export interface Reaction {
  /** Raw bytes; absent: `200 OK` whose body is the server's name. */
  readonly answer?: string;
  /** Afterwards: keep the connection (default), end it, reset it, send back every byte, send back and end on the first byte. */
  readonly then?: 'keep' | 'end' | 'reset' | 'echo';
}

/** One server of a conformance set. */
export class Backend {
  readonly name: string;
  /** What arrived since the last `reset()`. */
  records: WireMessage[] = [];
  #reaction: Reaction = {};
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Of those, the ones that have been told that nothing more will come. */
  readonly #ended = new Set<Socket>();

  private constructor(name: string) {
    this.name = name;
    this.#server = createServer((socket) => {
      this.#serve(socket);
    });
  }

  /** Opens a server on a free port of 127.0.0.1. */
  static async open(name: string): Promise<Backend> {
    const backend = new Backend(name);
    backend.#server.listen(0, '127.0.0.1');
    await once(backend.#server, 'listening');
    return backend;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port; // a TCP server that listens always has one
  }

  /**
   * Forgets the records and says how to react from now on. Waits until connections that this server has ended are closed by the other side,
   * too: a proxy that has not yet noticed could send its next request there, which would be recorded, and sent again elsewhere.
   */
  async reset(reaction: Reaction): Promise<void> {
    await Promise.all([...this.#ended].map(closed));
    this.records = [];
    this.#reaction = reaction;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #serve(socket: Socket): void {
    let bytes = '';
    let isTunnel = false;
    this.#sockets.add(socket);
    socket.on('close', () => {
      this.#sockets.delete(socket);
      this.#ended.delete(socket);
    });
    // A proxy that goes away in the middle is part of some cases; the record tells what had arrived.
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => {
      if (isTunnel) {
        socket.write(chunk);
        return;
      }
      bytes += chunk.toString('latin1');
      // A TLS handshake: what a server of plain HTTP says to that.
      if (bytes.startsWith('\x16')) {
        this.#ended.add(socket);
        socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
        return;
      }
      for (;;) {
        const message = readMessage(bytes, { kind: 'request', isClosed: false });
        if (message === undefined) return;
        bytes = bytes.slice(message.length);
        this.records.push(message);
        isTunnel = this.#react(socket, message);
        if (isTunnel && bytes !== '') socket.write(Buffer.from(bytes, 'latin1'));
        if (isTunnel) return;
      }
    });
  }

  #react(socket: Socket, message: WireMessage): boolean {
    const { answer, then = 'keep' } = this.#reaction;
    if (then === 'reset' && answer === undefined) {
      socket.resetAndDestroy();
      return false;
    }
    socket.write(Buffer.from(answer ?? this.#defaultAnswer(message), 'latin1'));
    if (then === 'end') {
      // Nobody takes a connection that has become something else for another request, and a Traefik never closes one that it did not ask for.
      if (answer?.startsWith('HTTP/1.1 101') !== true) this.#ended.add(socket);
      socket.end();
    }
    if (then === 'reset') socket.resetAndDestroy();
    return then === 'echo';
  }

  #defaultAnswer(message: WireMessage): string {
    const body = `${this.name}\n`;
    const head = `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${String(body.length)}\r\n\r\n`;
    return message.startLine.startsWith('HEAD ') ? head : head + body;
  }
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once('close', () => {
      resolve();
    });
  });
}
