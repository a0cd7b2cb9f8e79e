// The controller's end of the private socket: sends every worker a snapshot when it connects and every change after that, and knows when
// all of them have applied it.
//
//   worker connects ──hello──► snapshot ──applied──► in step ──change──► … (holds it up, silent for SILENCE_MS: reported for killing)
//
// Before there is a complete table, workers are given what there is of it, and the rest when it is complete.
//
// Every message is answered, so a worker that takes long for much is told from one that does nothing. One that holds nothing up (it has no
// table yet, or nothing has changed) may take its time: on a starved machine its successor would be slower still.

import net from 'node:net';
import type { Server, Socket } from 'node:net';
import { errorText } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { ProcessMetrics } from '../observe/reports.ts';
import type { TableChange } from '../runtime/table-change.ts';
import { FirstTable } from './first-table.ts';
import { LineReader } from './lines.ts';
import { messagesOf, workerMessage } from './messages.ts';
import type { ActivityMessage, CountsMessage } from './messages.ts';
import { Outbox } from './outbox.ts';
import type { Line } from './outbox.ts';

/** A worker that has not answered a message for so long, while a change waits for it, is given up. */
const SILENCE_MS = 2000;
/** Looks in that time. */
const LOOKS = 20;
/** Whoever reads the metrics waits no longer for a worker that is busy. */
const COUNT_MS = 1000;
/** The table as text is kept for workers that start together. */
const SNAPSHOT_MS = 1000;

/** What a control server is made of. */
export interface ControlServerOptions {
  readonly path: string;
  readonly log: Logger;
  readonly snapshot: () => TableChange;
  /** The worker does not answer; whoever owns it should end it. */
  readonly onSilent: (workerId: number) => void;
  /** Routes that were used, told once a second. */
  readonly onActivity?: (routes: readonly ActivityMessage[]) => void;
  /** What was counted, told once a second and before `count` resolves. */
  readonly onCounts?: (counts: Omit<CountsMessage, 'process'>) => void;
  /** For tests; default SILENCE_MS. */
  readonly silenceMs?: number;
}

interface WorkerLink {
  readonly socket: Socket;
  readonly outbox: Outbox;
  workerId: number | undefined;
  /** The generation of its table; -1 before it has a complete one. */
  applied: number;
  /** Told what it counts, or nothing when it is gone. */
  onCounted: ((process: ProcessMetrics | undefined) => void) | undefined;
}

interface Waiter {
  readonly generation: number;
  readonly resolve: () => void;
  /** For accepting workers that are not even connected. */
  deadline: number;
}

/** All workers of one controller. */
export class ControlServer {
  readonly #options: ControlServerOptions;
  readonly #silenceMs: number;
  readonly #server: Server;
  readonly #links = new Set<WorkerLink>();
  /** Undefined when it is complete. */
  #firstTable: FirstTable | undefined = new FirstTable();
  /** Workers that accept requests, connected to us or not: a change is live only when each has it. */
  #accepting = new Set<number>();
  readonly #waiters = new Set<Waiter>();
  #timer: NodeJS.Timeout | undefined;
  #lookedAt = 0;
  #snapshot: readonly Line[] | undefined;
  #snapshotTimer: NodeJS.Timeout | undefined;
  #counting: Promise<readonly ProcessMetrics[]> | undefined;

  constructor(options: ControlServerOptions) {
    this.#options = options;
    this.#silenceMs = options.silenceMs ?? SILENCE_MS;
    this.#server = net.createServer((socket) => {
      socket.on('error', () => {
        // The worker has died; `close` follows.
      });
      this.#welcome(socket);
    });
  }

  /** Workers can connect from now on, and are not told that their table is complete before `open`. */
  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#options.path, resolve);
    });
  }

  /** The first table is complete: workers get what they have not been given of it. */
  open(): void {
    const lines = this.#firstTable?.complete(this.#options.snapshot()) ?? [];
    this.#firstTable = undefined;
    for (const { workerId, outbox } of this.#links) if (workerId !== undefined) outbox.send(lines);
    this.#lookedAt = performance.now();
    this.#timer = setInterval(() => {
      this.#giveUpSilent();
    }, this.#silenceMs / LOOKS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#snapshotTimer);
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

  /** Sends a change to every worker; resolves when every one that has a table has applied it, draining ones among them. */
  publish(change: TableChange): Promise<void> {
    this.#snapshot = undefined;
    const lines = this.#firstTable?.add(change) ?? Outbox.linesOf(messagesOf(change));
    for (const { workerId, outbox } of this.#links) if (workerId !== undefined) outbox.send(lines);
    // Nobody accepts with it yet.
    if (this.#firstTable !== undefined || this.#isLive(change.generation)) return Promise.resolve();
    return new Promise((resolve) => {
      const deadline = performance.now() + this.#silenceMs;
      this.#waiters.add({ generation: change.generation, resolve, deadline });
    });
  }

  /** Asks every worker for what it has counted; resolves with what they tell about their processes, for all who ask at the same time. */
  count(): Promise<readonly ProcessMetrics[]> {
    this.#counting ??= this.#askToCount().finally(() => {
      this.#counting = undefined;
    });
    return this.#counting;
  }

  async #askToCount(): Promise<readonly ProcessMetrics[]> {
    const line = Outbox.once(() => ({ type: 'count' }));
    const links = [...this.#links].filter(({ applied }) => applied >= 0);
    const answers = await Promise.all(
      links.map(
        (link) =>
          new Promise<ProcessMetrics | undefined>((resolve) => {
            const timer = setTimeout(() => {
              resolve(undefined);
            }, COUNT_MS);
            link.onCounted = (process) => {
              clearTimeout(timer);
              resolve(process);
            };
            link.outbox.send([line]);
          }),
      ),
    );
    return answers.filter((process) => process !== undefined);
  }

  #welcome(socket: Socket): void {
    const link: WorkerLink = {
      socket,
      outbox: new Outbox(socket),
      workerId: undefined,
      applied: -1,
      onCounted: undefined,
    };
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
    socket.on('close', () => {
      this.#links.delete(link);
      link.onCounted?.(undefined);
      this.#settle();
    });
  }

  #hear(link: WorkerLink, document: unknown): void {
    const message = workerMessage.parse(document);
    switch (message.type) {
      case 'hello':
        link.workerId = message.workerId;
        link.outbox.setBusy(message.hasTable);
        link.outbox.send(this.#firstTable?.lines ?? this.#snapshotLines());
        return;
      case 'took':
        link.outbox.onAnswer();
        return;
      case 'applied':
        link.applied = message.generation;
        link.outbox.setBusy(true);
        link.outbox.onAnswer();
        this.#settle();
        return;
      case 'activity':
        this.#options.onActivity?.(message.routes);
        return;
      case 'counts':
        this.#options.onCounts?.(message);
        if (message.process !== undefined) link.onCounted?.(message.process);
    }
  }

  /** At a start all workers ask for the same. */
  #snapshotLines(): readonly Line[] {
    this.#snapshot ??= Outbox.linesOf(messagesOf(this.#options.snapshot()));
    clearTimeout(this.#snapshotTimer);
    this.#snapshotTimer = setTimeout(() => {
      this.#snapshot = undefined;
    }, SNAPSHOT_MS).unref();
    return this.#snapshot;
  }

  /** Every accepting worker, and every connected one that has a table already, has applied this generation. */
  #isLive(generation: number): boolean {
    const current = new Set<number>();
    for (const { workerId, applied } of this.#links)
      if (workerId !== undefined && applied >= generation) current.add(workerId);
    for (const workerId of this.#accepting) if (!current.has(workerId)) return false;
    for (const link of this.#links) if (link.applied >= 0 && this.#holdsUp(link, generation)) return false;
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
    const now = performance.now();
    this.#excuse(now);
    const due = [...this.#waiters].filter(({ deadline }) => deadline <= now);
    const newest = Math.max(-1, ...due.map(({ generation }) => generation));
    const connected = new Set<number>();
    for (const link of this.#links) {
      const { workerId, outbox, socket } = link;
      if (workerId === undefined) continue;
      connected.add(workerId);
      if (!this.#holdsUp(link, newest) || now - outbox.unansweredSince <= this.#silenceMs) continue;
      this.#giveUp(workerId);
      socket.destroy();
    }
    if (due.length > 0)
      for (const workerId of this.#accepting) if (!connected.has(workerId)) this.#giveUp(workerId);
    this.#settle();
  }

  #holdsUp({ workerId, applied }: WorkerLink, generation: number): boolean {
    return (
      applied < generation && (applied >= 0 || (workerId !== undefined && this.#accepting.has(workerId)))
    );
  }

  /** When this process stood still, answers may be lying here unread. */
  #excuse(now: number): void {
    const lateMs = now - this.#lookedAt - this.#silenceMs / LOOKS;
    this.#lookedAt = now;
    if (lateMs < this.#silenceMs / LOOKS) return;
    for (const { outbox } of this.#links) outbox.excuse(lateMs);
    for (const waiter of this.#waiters) waiter.deadline += lateMs;
  }

  #giveUp(workerId: number): void {
    this.#accepting.delete(workerId);
    this.#options.onSilent(workerId);
  }
}
