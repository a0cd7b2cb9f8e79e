// One static configuration at work: a controller and N workers, each started again when it dies.
//
//   starting ──controller ready, a worker listens (all of them, where others serve meanwhile)──► serving ──drain──► draining ──► ended
//      └─ a child cannot start: one line, ended             ├─ a child dies: it is started again, slower if it dies at once
//                                                           └─ a child says nothing for too long: it is killed

import type { ChildProcess, SendHandle } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { StaticConfiguration } from '../config/static.ts';
import type { ListeningSocket } from '../entrypoint/listening-socket.ts';
import type { Logger } from '../log.ts';
import { chooseResting } from './balance.ts';
import type {
  ControllerKind,
  ControllerServer,
  FromController,
  FromWorker,
  ToController,
  ToWorker,
} from './messages.ts';
import { forkController, forkWorker } from './programs.ts';
import type { EarlyController } from './programs.ts';

/** A child that lived shorter than this waits longer before it is started again. */
const STABLE_MS = 5000;
const MAX_RESTART_DELAY_MS = 5000;
/** Given to children beyond their own grace time before they are killed. */
const KILL_MARGIN_MS = 2000;
/** Given to the controller to finish what it writes. */
const CONTROLLER_GRACE_MS = 2000;

/** What a generation runs. */
export interface GenerationOptions {
  readonly static: StaticConfiguration;
  readonly workers: number;
  readonly controller: ControllerKind;
  /** Nobody serves before: the first worker is given the machine for itself, and the others are started when it serves. */
  readonly isFirst: boolean;
  /** No other generation may have a controller while this one has. */
  readonly isExclusive: boolean;
  /** The controller makes no change before `releaseChanges` is called. */
  readonly holdsChanges: boolean;
  /** The first controller, when one has been started before. */
  readonly earlyController?: EarlyController | undefined;
  readonly log: Logger;
  /** The supervisor's own folder, and a name in it that no other generation has. */
  readonly sharedFolder: string;
  readonly name: string;
  readonly sockets: ReadonlyMap<string, ListeningSocket>;
  /** What the controller accepts on, with the sockets by name. */
  readonly servers: readonly ControllerServer[];
  readonly serverSockets: ReadonlyMap<string, ListeningSocket>;
  /** Ticks (see `tick`) without a word after which a child is killed. */
  readonly silentTicks: number;
  readonly onReady: (info: { readonly apiUrl?: string }) => void;
  /** It could not start, in one line; `onEnded` follows. */
  readonly onFailure: (message: string) => void;
  readonly onEnded: () => void;
}

interface Slot {
  readonly id: number;
  process: ChildProcess | undefined;
  isListening: boolean;
  isResting: boolean;
  connections: number;
  startedAt: number;
  /** When the one before ended, while nobody accepts in its place. */
  endedAt: number | undefined;
  restarts: number;
  silence: number;
}

/** One generation. */
export class Generation {
  readonly static: StaticConfiguration;
  readonly controller: ControllerKind;
  readonly isExclusive: boolean;
  readonly #options: GenerationOptions;
  readonly #folder: string;
  readonly #slots: Slot[];
  /** Whoever has to listen before this generation serves; the others are started then. */
  readonly #awaited: readonly Slot[];
  #state: 'starting' | 'serving' | 'draining' | 'ended' = 'starting';
  #controller: ChildProcess | undefined;
  #controllerStartedAt = 0;
  #controllerRestarts = 0;
  #controllerSilence = 0;
  #isControllerReady = false;
  #isControllerEnding = false;
  #hasYielded = false;
  #onYielded: (() => void) | undefined;
  #holdsChanges: boolean;
  #apiUrl: string | undefined;

  constructor(options: GenerationOptions) {
    this.static = options.static;
    this.controller = options.controller;
    this.isExclusive = options.isExclusive;
    this.#holdsChanges = options.holdsChanges;
    this.#options = options;
    this.#folder = join(options.sharedFolder, options.name);
    this.#slots = Array.from({ length: options.workers }, (_, index) => ({
      id: index + 1,
      process: undefined,
      isListening: false,
      isResting: false,
      connections: 0,
      startedAt: 0,
      endedAt: undefined,
      restarts: 0,
      silence: 0,
    }));
    this.#awaited = options.isFirst ? this.#slots.slice(0, 1) : this.#slots;
  }

  start(): void {
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    this.#startController();
    for (const slot of this.#awaited) this.#startWorker(slot);
  }

  /** Dynamic configuration is read again. */
  reload(): void {
    this.#tellController({ type: 'reload' });
  }

  /** At least one worker accepts, and whoever is alive says so. */
  get isHealthy(): boolean {
    const isAccepting = this.#slots.some(({ isListening, silence }) => isListening && silence < 3);
    return this.#state === 'serving' && (isAccepting || this.#slots.length === 0);
  }

  /** About once a second: notices children that hang, and keeps the workers even. */
  tick(): void {
    if (this.#state !== 'serving') return;
    const { silentTicks, log } = this.#options;
    if (this.#controller !== undefined && ++this.#controllerSilence > silentTicks) {
      log.error('the controller does not answer and is started again');
      this.#controller.kill('SIGKILL');
    }
    for (const slot of this.#slots)
      if (slot.process !== undefined && ++slot.silence > silentTicks) {
        log.error({ worker: slot.id }, 'the worker does not answer and is replaced');
        slot.process.kill('SIGKILL');
      }
    this.#balance();
  }

  #balance(): void {
    const listening = this.#slots.filter(({ isListening, process: worker }) => isListening && worker);
    const resting = chooseResting(listening);
    for (const slot of listening) {
      if (resting.has(slot.id) === slot.isResting) continue;
      if (slot.isResting) this.#handSockets(slot);
      else this.#tellWorker(slot, { type: 'rest' });
      slot.isResting = !slot.isResting;
    }
  }

  // The controller.

  #startController(): void {
    const { earlyController, controller } = this.#options;
    const { process: child, said } = earlyController?.take() ?? {
      process: forkController(controller.kind),
      said: [],
    };
    this.#controller = child;
    this.#controllerStartedAt = Date.now();
    this.#controllerSilence = 0;
    this.#isControllerReady = false;
    child.on('message', (message) => {
      this.#onControllerMessage(message as FromController);
    });
    child.on('error', (error) => {
      this.#options.log.error({ err: error }, 'the controller cannot be told anything');
    });
    child.on('exit', (code, signal) => {
      this.#onControllerExit(code, signal);
    });
    for (const message of said) this.#onControllerMessage(message);
  }

  #onControllerMessage(message: FromController): void {
    this.#controllerSilence = 0;
    switch (message.type) {
      case 'hello':
        for (const server of this.#options.servers)
          this.#tellController({ type: 'socket', server }, this.#options.serverSockets.get(server.name));
        this.#tellController({
          type: 'start',
          static: this.static,
          runtimeFolder: this.#folder,
          sharedFolder: this.#options.sharedFolder,
          controller: this.#options.controller,
          supervisorPid: process.pid,
        });
        return;
      case 'alive':
        return;
      case 'ready':
        this.#isControllerReady = true;
        this.#apiUrl = message.apiUrl ?? this.#apiUrl;
        this.#tellAccepting();
        if (this.#state === 'serving') this.#tellController({ type: 'serving' });
        this.#checkReady();
        return;
      case 'failed':
        this.#onFailed(message.message);
        return;
      case 'silent': {
        const slot = this.#slots.find(({ id }) => id === message.workerId);
        this.#options.log.error({ worker: message.workerId }, 'the worker does not answer and is replaced');
        slot?.process?.kill('SIGKILL');
        return;
      }
    }
  }

  /** Ends the controller, so that another generation can have one; requests go on. Resolves when it has ended. */
  yieldController(): Promise<void> {
    this.#hasYielded = true;
    const controller = this.#controller;
    if (controller === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onYielded = resolve;
      this.#endController(controller);
    });
  }

  /** Takes the controller back that was given up, if it was. */
  resumeController(): void {
    if (!this.#hasYielded || this.#isEnding()) return;
    this.#hasYielded = false;
    this.#isControllerEnding = false;
    this.#startController();
  }

  /** From now on the controller makes changes. */
  releaseChanges(): void {
    this.#holdsChanges = false;
    if (this.#isControllerReady) this.#tellAccepting();
  }

  #onControllerExit(code: number | null, signal: string | null): void {
    this.#controller = undefined;
    this.#isControllerReady = false;
    this.#onYielded?.();
    this.#onYielded = undefined;
    if (this.#hasYielded && !this.#isEnding()) return;
    if (this.#isEnding()) {
      this.#checkEnded();
      return;
    }
    if (this.#state === 'starting' && signal === null) {
      this.#onFailed(`the controller ended with exit code ${String(code)}`);
      return;
    }
    this.#options.log.error({ code, signal }, 'the controller ended; requests go on, it is started again');
    const isStable = Date.now() - this.#controllerStartedAt > STABLE_MS;
    this.#controllerRestarts = isStable ? 0 : this.#controllerRestarts + 1;
    setTimeout(() => {
      if (!this.#isEnding() && !this.#hasYielded) this.#startController();
    }, restartDelay(this.#controllerRestarts));
  }

  #tellController(message: ToController, socket?: ListeningSocket): void {
    if (this.#controller !== undefined) tellChild(this.#controller, message, socket);
  }

  #tellAccepting(): void {
    if (this.#holdsChanges) return;
    const workerIds = this.#slots.filter(({ isListening }) => isListening).map(({ id }) => id);
    this.#tellController({ type: 'accepting', workerIds });
  }

  // The workers.

  #startWorker(slot: Slot): void {
    const child = forkWorker();
    slot.process = child;
    slot.isListening = false;
    slot.isResting = false;
    slot.connections = 0;
    slot.silence = 0;
    slot.startedAt = Date.now();
    child.on('message', (message) => {
      this.#onWorkerMessage(slot, message as FromWorker);
    });
    child.on('error', (error) => {
      this.#options.log.error({ err: error, worker: slot.id }, 'the worker cannot be told anything');
    });
    child.on('exit', (code, signal) => {
      this.#onWorkerExit(slot, code, signal);
    });
  }

  #onWorkerMessage(slot: Slot, message: FromWorker): void {
    slot.silence = 0;
    switch (message.type) {
      case 'hello':
        if (this.#isEnding()) {
          // It was told to drain before it could listen, and has nothing to finish.
          slot.process?.kill('SIGKILL');
          return;
        }
        this.#tellWorker(slot, {
          type: 'start',
          static: this.static,
          runtimeFolder: this.#folder,
          workerId: slot.id,
          mode: this.#options.controller.kind,
        });
        this.#handSockets(slot);
        return;
      case 'alive':
        slot.connections = message.connections;
        return;
      case 'listening':
        if (!slot.isListening) this.#onListening(slot, message.addresses);
        return;
      case 'failed':
        this.#onWorkerFailed(slot, message.message);
        return;
    }
  }

  #onListening(slot: Slot, addresses: readonly string[]): void {
    slot.isListening = true;
    this.#tellAccepting();
    if (slot.endedAt === undefined)
      this.#options.log.info({ worker: slot.id, addresses: addresses.join(' ') }, 'the worker accepts');
    else
      this.#options.log.info(
        { worker: slot.id, afterMs: Date.now() - slot.endedAt },
        'another worker accepts in the place of the one that ended',
      );
    slot.endedAt = undefined;
    this.#checkReady();
  }

  #handSockets(slot: Slot): void {
    for (const [entryPoint, socket] of this.#options.sockets)
      this.#tellWorker(slot, { type: 'socket', entryPoint }, socket);
  }

  #tellWorker({ process: worker }: Slot, message: ToWorker, socket?: ListeningSocket): void {
    if (worker !== undefined) tellChild(worker, message, socket);
  }

  #onWorkerFailed(slot: Slot, message: string): void {
    if (this.#state === 'starting') this.#onFailed(message);
    else {
      this.#options.log.error({ worker: slot.id, reason: message }, 'the worker cannot serve');
      slot.process?.kill('SIGKILL');
    }
  }

  #onWorkerExit(slot: Slot, code: number | null, signal: string | null): void {
    slot.process = undefined;
    slot.isListening = false;
    this.#tellAccepting();
    if (this.#isEnding()) {
      this.#checkEnded();
      return;
    }
    this.#options.log.error({ worker: slot.id, code, signal }, 'the worker ended and is replaced');
    slot.endedAt ??= Date.now();
    const isStable = Date.now() - slot.startedAt > STABLE_MS;
    slot.restarts = isStable ? 0 : slot.restarts + 1;
    setTimeout(() => {
      if (!this.#isEnding()) this.#startWorker(slot);
    }, restartDelay(slot.restarts));
    // Whoever rested is needed again.
    this.#balance();
  }

  // Beginning and end.

  #isEnding(): boolean {
    return this.#state === 'draining' || this.#state === 'ended';
  }

  #checkReady(): void {
    if (this.#state !== 'starting' || !this.#isControllerReady) return;
    if (!this.#awaited.every(({ isListening }) => isListening)) return;
    this.#state = 'serving';
    this.#tellController({ type: 'serving' });
    for (const slot of this.#slots.slice(this.#awaited.length)) this.#startWorker(slot);
    this.#options.onReady(this.#apiUrl === undefined ? {} : { apiUrl: this.#apiUrl });
  }

  #onFailed(message: string): void {
    if (this.#state === 'starting') {
      this.#options.onFailure(message);
      this.kill();
    } else if (this.#state === 'serving') {
      this.#options.log.error({ reason: message }, 'the controller cannot serve and is started again');
      this.#controller?.kill('SIGKILL');
    }
  }

  /** Workers stop accepting, finish their requests and end; a second call changes nothing. */
  drain(isReplaced: boolean): void {
    if (this.#state === 'starting') {
      this.kill();
      return;
    }
    if (this.#isEnding()) return;
    this.#state = 'draining';
    const graceMs = this.#graceMs();
    const acceptMs = isReplaced ? 0 : this.#acceptMs();
    if (!isReplaced) this.#tellController({ type: 'terminating' });
    for (const slot of this.#slots)
      this.#tellWorker(slot, { type: 'drain', graceMs: graceMs + acceptMs, isReplaced });
    setTimeout(
      () => {
        this.kill();
      },
      graceMs + acceptMs + KILL_MARGIN_MS,
    ).unref();
    this.#checkEnded();
  }

  #graceMs(): number {
    const times = [...this.static.entryPoints.values()].map(
      ({ transport }) => transport.lifeCycle.graceTimeOutMs,
    );
    return Math.max(0, ...times);
  }

  #acceptMs(): number {
    const times = [...this.static.entryPoints.values()].map(
      ({ transport }) => transport.lifeCycle.requestAcceptGraceTimeoutMs,
    );
    return Math.max(0, ...times);
  }

  /** Ends everything at once. */
  kill(): void {
    if (this.#state !== 'ended') this.#state = 'draining';
    for (const { process: worker } of this.#slots) worker?.kill('SIGKILL');
    this.#controller?.kill('SIGKILL');
    this.#checkEnded();
  }

  /** It may be writing the routes file. */
  #endController(controller: ChildProcess): void {
    if (this.#isControllerEnding) return;
    this.#isControllerEnding = true;
    this.#tellController({ type: 'stop', isReplaced: this.#hasYielded });
    setTimeout(() => controller.kill('SIGKILL'), CONTROLLER_GRACE_MS).unref();
  }

  /** The controller goes last: draining workers may still ask it something. */
  #checkEnded(): void {
    if (this.#state !== 'draining' || this.#slots.some(({ process: worker }) => worker !== undefined)) return;
    if (this.#controller !== undefined) {
      this.#endController(this.#controller);
      return;
    }
    this.#state = 'ended';
    this.#options.onEnded();
  }
}

function tellChild(child: ChildProcess, message: ToController | ToWorker, socket?: ListeningSocket): void {
  if (!child.connected) return;
  if (socket === undefined) child.send(message, ignoreFailure);
  // Node sends such handles, its types just do not say so.
  else child.send(message, socket as unknown as SendHandle, {}, ignoreFailure);
}

function restartDelay(restarts: number): number {
  return restarts === 0 ? 0 : Math.min(MAX_RESTART_DELAY_MS, 50 * 2 ** Math.min(restarts, 7));
}

/** A child that ends while it is told something: its `exit` event says the rest. */
function ignoreFailure(): void {
  // Nothing is left to do.
}
