// After an upgrade: two sockets joined, byte for byte. They live and die together.
//
//   both open ──FIN from one──► FIN passed on, the other has HALF_CLOSED_MS left ──FIN──► closed
//       │ └──reset, error or close of one──► the other gets what was still on its way, then closed
//       └──goodbye──► a close frame to each side as soon as no frame is under way, answered with theirs, then FIN ──► closed
//                        └── grace over ──► closed, whatever is still to come

import type { Deadlines, Timed } from '../http1/deadlines.ts';
import type { TunnelSocket } from '../http1/downstream.ts';
import { passSocket } from '../http1/owned-socket.ts';
import type { SocketOwner } from '../http1/owned-socket.ts';
import { sendInput } from '../http1/shared-input.ts';
import type { Target } from '../upstream/target.ts';
import { closeFrame, FrameReader } from './frames.ts';

/** How long one direction may go on alone. */
const HALF_CLOSED_MS = 3000;

/**
 * What is held for a side that reads slowly before the other one is made to wait. More than a socket's own mark: as long as reading goes
 * on, a peer that leaves is noticed.
 */
const HELD_BYTES = 128 * 1024;

/** A side that is made to wait is not read, so nothing would be heard of its reset: this often it is looked after. */
const PROBE_MS = 1000;
const NOTHING = Buffer.alloc(0);

/** RFC 6455 §7.4.1: the endpoint is going away. */
const GOING_AWAY = 1001;

/** What a tunnel is made of. */
export interface TunnelParts {
  readonly client: TunnelSocket;
  readonly server: TunnelSocket;
  /** What the client had sent before it could know the answer. */
  readonly early: Buffer | undefined;
  readonly target: Target;
  /** Name of the router that took the request. */
  readonly router: string;
  /** As the server confirmed it; frames are followed for `websocket` only. */
  readonly protocol: string;
  /** Told when both sides are closed. */
  readonly onEnd?: (() => void) | undefined;
}

/** Keeps the tunnels of a worker. */
export interface TunnelKeeper {
  readonly deadlines: Deadlines;
  /** How long a tunnel may be without a byte either way; 0 = for ever. */
  readonly maxIdleMs: number;
  onClosed(tunnel: Tunnel): void;
}

/** One of the two sockets. */
class TunnelEnd implements SocketOwner {
  readonly socket: TunnelSocket;
  /** Follows what this side sends; undefined where that is no WebSocket. */
  readonly frames: FrameReader | undefined;
  readonly #tunnel: Tunnel;
  /** Once goodbye has been said to the other side in this one's place, nothing it sends is passed on any more. */
  #passing: 'all' | 'to the end of the frame' | 'nothing' = 'all';

  constructor(socket: TunnelSocket, tunnel: Tunnel, isWebSocket: boolean) {
    this.socket = socket;
    this.#tunnel = tunnel;
    this.frames = isWebSocket ? new FrameReader() : undefined;
    passSocket(socket, this);
  }

  onData(chunk: Buffer): void {
    const tunnel = this.#tunnel;
    const { frames } = this;
    if (this.#passing === 'all') {
      tunnel.onBytes(frames === undefined || frames.read(chunk));
      this.#pass(chunk);
      return;
    }
    tunnel.onBytes(false);
    if (frames === undefined) return;
    if (this.#passing === 'nothing') frames.read(chunk);
    else {
      frames.read(chunk, true);
      const { boundary } = frames;
      this.#pass(boundary < 0 ? chunk : chunk.subarray(0, boundary));
      if (boundary < 0) return;
      this.#sayGoodbye();
      frames.read(chunk.subarray(boundary));
    }
    this.#hangUp();
  }

  #pass(chunk: Buffer): void {
    const { socket } = this.#tunnel.otherEnd(this);
    if (sendInput(socket, chunk, 0, chunk.length) || socket.writableLength <= HELD_BYTES) return;
    this.socket.pause();
    this.#tunnel.onPaused();
  }

  /** Tells the other side, in this one's name, that it is over: now, or after the frame that is under way. */
  stop(): void {
    const { frames } = this;
    // Whoever has said goodbye itself needs nobody to do it; what is no sequence of frames has no place for one.
    if (frames === undefined || frames.isLost || frames.hasClosed || this.#passing !== 'all') return;
    if (frames.isBetweenFrames) this.#sayGoodbye();
    else this.#passing = 'to the end of the frame';
  }

  #sayGoodbye(): void {
    this.#passing = 'nothing';
    const other = this.#tunnel.otherEnd(this);
    if (other.socket.writable) other.socket.write(closeFrame(GOING_AWAY, this.#tunnel.isClient(this)));
  }

  /** It has answered our goodbye with its own. */
  #hangUp(): void {
    if (this.frames?.hasClosed === true && this.socket.writable) this.socket.end();
  }

  /** True while it is made to wait. Writing nothing fails on a socket that has been reset, and is not seen by anybody on others. */
  probe(): boolean {
    if (!this.socket.isPaused()) return false;
    if (this.socket.writable) this.socket.write(NOTHING);
    return true;
  }

  onDrain(): void {
    this.#tunnel.otherEnd(this).socket.resume();
  }

  onEnd(): void {
    this.#tunnel.onHalfClosed(this);
  }

  onError(): void {
    // `onClose` follows and ends the other side.
  }

  onClose(): void {
    this.#tunnel.onSocketClosed(this);
  }
}

/**
 * A joined pair of sockets. `lastDataAt` and `lastActivityAt` are on the scale of `Deadlines.now` (milliseconds, monotonic, half a second
 * coarse): the latter counts every byte in either direction, the former only frames that carry data, not ping, pong and close; for other
 * protocols than WebSocket the two are the same.
 */
export class Tunnel implements Timed {
  deadline = 0;
  readonly router: string;
  readonly target: Target;
  readonly openedAt: number;
  lastDataAt: number;
  lastActivityAt: number;
  readonly #client: TunnelEnd;
  readonly #server: TunnelEnd;
  readonly #keeper: TunnelKeeper;
  readonly #onEnd: (() => void) | undefined;
  #state: 'open' | 'closing' | 'closed' = 'open';

  constructor(parts: TunnelParts, keeper: TunnelKeeper) {
    const isWebSocket = parts.protocol.toLowerCase() === 'websocket';
    const { now } = keeper.deadlines;
    this.router = parts.router;
    this.target = parts.target;
    this.#keeper = keeper;
    this.#onEnd = parts.onEnd;
    this.openedAt = now;
    this.lastDataAt = now;
    this.lastActivityAt = now;
    this.#client = new TunnelEnd(parts.client, this, isWebSocket);
    this.#server = new TunnelEnd(parts.server, this, isWebSocket);
    const idleEnd = this.#idleEnd();
    if (idleEnd < Infinity) {
      this.deadline = idleEnd;
      keeper.deadlines.add(this);
    }
    if (parts.early !== undefined) this.#client.onData(parts.early);
    parts.client.resume();
    parts.server.resume();
  }

  /** Frames with data that the client has sent; 0 for other protocols. */
  get clientDataFrames(): number {
    return this.#client.frames?.dataFrames ?? 0;
  }

  /** The same for the server. */
  get serverDataFrames(): number {
    return this.#server.frames?.dataFrames ?? 0;
  }

  /** Nobody has said goodbye yet. */
  get isOpen(): boolean {
    return this.#state === 'open';
  }

  otherEnd(end: TunnelEnd): TunnelEnd {
    return end === this.#client ? this.#server : this.#client;
  }

  isClient(end: TunnelEnd): boolean {
    return end === this.#client;
  }

  onBytes(isData: boolean): void {
    const { now } = this.#keeper.deadlines;
    this.lastActivityAt = now;
    if (isData) this.lastDataAt = now;
  }

  /** Says goodbye to both sides; whatever is still open after `graceMs` is cut. */
  close(graceMs: number): void {
    if (this.#state !== 'open') return;
    this.#closeWithin(graceMs);
    this.#client.stop();
    this.#server.stop();
  }

  onHalfClosed(end: TunnelEnd): void {
    const other = this.otherEnd(end);
    if (other.socket.writable) other.socket.end();
    // A side that is made to wait must still be able to say that it is done, too.
    other.socket.resume();
    this.#closeWithin(HALF_CLOSED_MS);
  }

  onSocketClosed(end: TunnelEnd): void {
    if (this.#state === 'closed') return;
    const other = this.otherEnd(end);
    if (other.socket.destroyed) {
      this.#finish();
      return;
    }
    // What this side had sent is still delivered; a peer that takes nothing any more has only so long.
    other.socket.destroySoon();
    other.socket.resume();
    this.#closeWithin(HALF_CLOSED_MS);
  }

  onDeadline(): void {
    if (this.#state === 'closing') {
      this.destroy();
      return;
    }
    const { now } = this.#keeper.deadlines;
    const isWaiting = [this.#client.probe(), this.#server.probe()].includes(true);
    const idleEnd = this.#idleEnd();
    if (idleEnd <= now) this.close(HALF_CLOSED_MS);
    else if (isWaiting || idleEnd < Infinity) this.deadline = Math.min(idleEnd, now + PROBE_MS);
    else this.#keeper.deadlines.delete(this);
  }

  /** Something is held back from now on. */
  onPaused(): void {
    if (this.#state !== 'open') return;
    this.deadline = Math.min(this.#idleEnd(), this.#keeper.deadlines.now + PROBE_MS);
    this.#keeper.deadlines.add(this);
  }

  destroy(): void {
    this.#client.socket.destroy();
    this.#server.socket.destroy();
    this.#finish();
  }

  /** When it has been idle for too long; Infinity without a limit. */
  #idleEnd(): number {
    const { maxIdleMs } = this.#keeper;
    return maxIdleMs === 0 ? Infinity : this.lastActivityAt + maxIdleMs;
  }

  /** The first limit that is set stands. */
  #closeWithin(milliseconds: number): void {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.deadline = this.#keeper.deadlines.now + milliseconds;
    this.#keeper.deadlines.add(this);
  }

  #finish(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#keeper.deadlines.delete(this);
    this.target.onConnectionClosed();
    this.#keeper.onClosed(this);
    this.#onEnd?.();
  }
}
