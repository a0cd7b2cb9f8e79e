// The controller's end of the private socket: sends every worker a snapshot when it connects and every change after that, and knows when
// all of them have applied it.
//
//   worker connects ──hello──► snapshot ──applied──► in step ──change──► … (silent for SILENCE_MS: reported for killing)

import net from 'node:net';
import type { Server, Socket } from 'node:net';
import { errorText } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { TableChange } from '../runtime/table-change.ts';
import { LineReader, toLine } from './lines.ts';
import { workerMessage } from './messages.ts';
import type { ControllerMessage } from './messages.ts';

/** A worker that has not applied a change after this time is given up. */
const SILENCE_MS = 2000;
/** Elements per part of a snapshot. */
const PART = 2000;

/** What a control server is made of. */
export interface ControlServerOptions {
  readonly path: string;
  readonly log: Logger;
  readonly snapshot: () => TableChange;
  /** The worker does not answer; whoever owns it should end it. */
  readonly onSilent: (workerId: number) => void;
}

interface WorkerLink {
  readonly socket: Socket;
  workerId: number | undefined;
  applied: number;
}

interface Waiter {
  readonly generation: number;
  readonly resolve: () => void;
  readonly deadline: number;
}

/** All workers of one controller. */
export class ControlServer {
  readonly #options: ControlServerOptions;
  readonly #server: Server;
  readonly #links = new Set<WorkerLink>();
  /** Workers that accept requests, connected to us or not: a change is live only when each has it. */
  #accepting = new Set<number>();
  readonly #waiters = new Set<Waiter>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ControlServerOptions) {
    this.#options = options;
    this.#server = net.createServer((socket) => {
      this.#welcome(socket);
    });
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#options.path, resolve);
    });
    this.#timer = setInterval(() => {
      this.#giveUpSilent();
    }, 100);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#server.close();
    for (const { socket } of this.#links) socket.destroy();
    for (const waiter of this.#waiters) waiter.resolve();
    this.#waiters.clear();
  }

  /** Told by the supervisor: which workers accept requests at the moment. */
  setAccepting(workerIds: readonly number[]): void {
    this.#accepting = new Set(workerIds);
    this.#settle();
  }

  /** Sends a change to every worker; resolves when every accepting one has applied it. */
  publish(change: TableChange): Promise<void> {
    const line = toLine({ type: 'change', change } satisfies ControllerMessage);
    for (const link of this.#links) if (link.workerId !== undefined) link.socket.write(line);
    if (this.#isLive(change.generation)) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiters.add({ generation: change.generation, resolve, deadline: Date.now() + SILENCE_MS });
    });
  }

  #welcome(socket: Socket): void {
    const link: WorkerLink = { socket, workerId: undefined, applied: -1 };
    const lines = new LineReader();
    this.#links.add(link);
    socket.on('data', (chunk: Buffer) => {
      try {
        for (const document of lines.read(chunk)) this.#hear(link, document);
      } catch (error) {
        this.#options.log.error({ reason: errorText(error) }, 'a worker sent nonsense');
        socket.destroy();
      }
    });
    socket.on('error', () => {
      // The worker has died; `close` follows.
    });
    socket.on('close', () => {
      this.#links.delete(link);
      this.#settle();
    });
  }

  #hear(link: WorkerLink, document: unknown): void {
    const message = workerMessage.parse(document);
    if (message.type === 'hello') {
      link.workerId = message.workerId;
      this.#sendSnapshot(link.socket);
      return;
    }
    link.applied = message.generation;
    this.#settle();
  }

  #sendSnapshot(socket: Socket): void {
    const snapshot = this.#options.snapshot();
    const { routers, services } = snapshot;
    const parts = Math.ceil(Math.max(routers.length, services.length) / PART);
    for (let part = 0; part < parts; part++) {
      const message: ControllerMessage = {
        type: 'part',
        routers: routers.slice(part * PART, (part + 1) * PART),
        services: services.slice(part * PART, (part + 1) * PART),
      };
      socket.write(toLine(message));
    }
    const last: ControllerMessage = { type: 'change', change: { ...snapshot, routers: [], services: [] } };
    socket.write(toLine(last));
  }

  /** Every accepting worker, and every connected one that has a table already, has applied this generation. */
  #isLive(generation: number): boolean {
    const current = new Set<number>();
    for (const { workerId, applied } of this.#links)
      if (workerId !== undefined && applied >= generation) current.add(workerId);
    for (const workerId of this.#accepting) if (!current.has(workerId)) return false;
    for (const { workerId, applied } of this.#links)
      if (workerId !== undefined && applied >= 0 && applied < generation) return false;
    return true;
  }

  #settle(): void {
    for (const waiter of this.#waiters) {
      if (!this.#isLive(waiter.generation)) continue;
      this.#waiters.delete(waiter);
      waiter.resolve();
    }
  }

  /** Whoever holds a change up for too long is given up; the change stands. */
  #giveUpSilent(): void {
    const now = Date.now();
    for (const waiter of this.#waiters) {
      if (waiter.deadline > now) continue;
      const applied = new Map<number, number>();
      for (const link of this.#links)
        if (link.workerId !== undefined) applied.set(link.workerId, link.applied);
      for (const link of this.#links)
        if (link.workerId !== undefined && link.applied < waiter.generation) {
          this.#accepting.delete(link.workerId);
          this.#options.onSilent(link.workerId);
          link.socket.destroy();
        }
      for (const workerId of this.#accepting)
        if (!applied.has(workerId)) {
          this.#accepting.delete(workerId);
          this.#options.onSilent(workerId);
        }
    }
    this.#settle();
  }
}
