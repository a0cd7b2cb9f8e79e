// After an upgrade: two sockets joined, byte for byte. They live and die together.
//
//   both open ──FIN from one──► FIN passed on, the other has HALF_CLOSED_MS left ──FIN──► closed
//       └──reset, error or close of one──► the other gets what was still on its way, then closed

import type { Deadlines, Timed } from '../http1/deadlines.ts';
import type { TunnelSocket } from '../http1/downstream.ts';
import { passSocket } from '../http1/owned-socket.ts';
import type { SocketOwner } from '../http1/owned-socket.ts';

/** How long one direction may go on alone. */
const HALF_CLOSED_MS = 10_000;

/** One of the two sockets. */
class TunnelEnd implements SocketOwner {
  readonly socket: TunnelSocket;
  readonly #tunnel: Tunnel;
  peer: TunnelEnd | undefined;

  constructor(socket: TunnelSocket, tunnel: Tunnel) {
    this.socket = socket;
    this.#tunnel = tunnel;
  }

  onData(chunk: Buffer): void {
    if (this.peer?.socket.write(chunk) === false) this.socket.pause();
  }

  onDrain(): void {
    this.peer?.socket.resume();
  }

  onEnd(): void {
    this.peer?.socket.end();
    this.#tunnel.onHalfClosed();
  }

  onError(): void {
    // `onClose` follows and ends the other side.
  }

  onClose(): void {
    this.#tunnel.onSocketClosed(this);
  }
}

/** A joined pair of sockets. */
export class Tunnel implements Timed {
  deadline = 0;
  readonly #client: TunnelEnd;
  readonly #server: TunnelEnd;
  readonly #deadlines: Deadlines;
  readonly #onClosed: (tunnel: Tunnel) => void;
  #isTimed = false;
  #isClosed = false;

  constructor(
    sockets: { readonly client: TunnelSocket; readonly server: TunnelSocket },
    deadlines: Deadlines,
    onClosed: (tunnel: Tunnel) => void,
  ) {
    this.#deadlines = deadlines;
    this.#onClosed = onClosed;
    this.#client = new TunnelEnd(sockets.client, this);
    this.#server = new TunnelEnd(sockets.server, this);
    this.#client.peer = this.#server;
    this.#server.peer = this.#client;
    passSocket(sockets.client, this.#client);
    passSocket(sockets.server, this.#server);
  }

  /** Begins to read on both sides; `early` is what the client had sent before it could know the answer. */
  start(early: Buffer | undefined): void {
    if (early !== undefined) this.#server.socket.write(early);
    this.#client.socket.resume();
    this.#server.socket.resume();
  }

  onHalfClosed(): void {
    this.#setDeadline();
  }

  onSocketClosed(end: TunnelEnd): void {
    if (this.#isClosed) return;
    const other = end.peer;
    if (other === undefined || other.socket.destroyed) {
      this.#close();
      return;
    }
    // What this side had sent is still delivered; a peer that takes nothing any more has only so long.
    other.socket.destroySoon();
    other.socket.resume();
    this.#setDeadline();
  }

  onDeadline(): void {
    this.destroy();
  }

  destroy(): void {
    this.#client.socket.destroy();
    this.#server.socket.destroy();
    this.#close();
  }

  #setDeadline(): void {
    if (this.#isTimed || this.#isClosed) return;
    this.#isTimed = true;
    this.deadline = this.#deadlines.now + HALF_CLOSED_MS;
    this.#deadlines.add(this);
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#deadlines.delete(this);
    this.#onClosed(this);
  }
}
