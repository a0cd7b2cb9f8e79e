// Keeps the processes alive: one controller, N workers. It reads no request and no file, because its death ends everything; the listening
// sockets are its, so a worker that dies takes no port with it while another is there.
//
//   starting ──controller ready, every worker listens──► serving ──signal──► draining ──► exit 0
//      └─ a child cannot start: one line, exit 1              └─ a child dies: it is started again, slower if it dies at once

import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import cluster from 'node:cluster';
import type { Worker } from 'node:cluster';
import { fileURLToPath } from 'node:url';
import type { StaticConfiguration } from '../config/static.ts';
import type { Logger } from '../log.ts';
import type { ControllerKind, FromController, FromWorker, ToController, ToWorker } from './messages.ts';
import { createRuntimeFolder, removeRuntimeFolder } from './runtime-folder.ts';

const WORKER_PROGRAM = fileURLToPath(new URL('../worker/worker.js', import.meta.url));
const CONTROLLER_PROGRAM = fileURLToPath(new URL('../controller/main.js', import.meta.url));

/** A child that lived shorter than this waits longer before it is started again. */
const STABLE_MS = 5000;
const MAX_RESTART_DELAY_MS = 5000;
/** Given to children beyond their own grace time before they are killed. */
const KILL_MARGIN_MS = 2000;
/** Given to the controller to finish what it writes. */
const CONTROLLER_GRACE_MS = 2000;

/** What a supervisor runs. */
export interface SupervisorOptions {
  readonly static: StaticConfiguration;
  /** 0 = a controller alone. */
  readonly workers: number;
  readonly controller: ControllerKind;
  readonly log: Logger;
  /** Everything listens and has its first table. */
  readonly onReady: (info: { readonly apiUrl?: string }) => void;
  /** It could not start; one line. */
  readonly onFailure: (message: string) => void;
}

interface WorkerSlot {
  readonly id: number;
  process: Worker | undefined;
  isListening: boolean;
  startedAt: number;
  restarts: number;
}

/** Runs everything until a signal, or a failure to start; resolves with the exit code. */
export function runSupervisor(options: SupervisorOptions): Promise<number> {
  return new Supervisor(options).run();
}

class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #folder: string;
  readonly #slots: WorkerSlot[];
  #state: 'starting' | 'serving' | 'stopping' = 'starting';
  #controller: ChildProcess | undefined;
  #controllerStartedAt = 0;
  #controllerRestarts = 0;
  #isControllerReady = false;
  #isControllerEnding = false;
  #apiUrl: string | undefined;
  #apiPort = 0;
  #exitCode = 0;
  #resolve: ((code: number) => void) | undefined;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#folder = createRuntimeFolder();
    this.#slots = Array.from({ length: options.workers }, (_, index) => ({
      id: index + 1,
      process: undefined,
      isListening: false,
      startedAt: 0,
      restarts: 0,
    }));
  }

  run(): Promise<number> {
    cluster.schedulingPolicy = cluster.SCHED_NONE;
    cluster.setupPrimary({ exec: WORKER_PROGRAM, args: [], serialization: 'advanced', silent: false });
    process.on('SIGTERM', () => {
      this.#onStopSignal();
    });
    process.on('SIGINT', () => {
      this.#onStopSignal();
    });
    process.on('SIGHUP', () => {
      this.#tellController({ type: 'reload' });
    });
    this.#startController();
    for (const slot of this.#slots) this.#startWorker(slot);
    return new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  /** The same as SIGTERM. */
  #onStopSignal(): void {
    if (this.#state === 'stopping') this.#killAll();
    else this.#stop(0);
  }

  // The controller.

  #startController(): void {
    const child = fork(CONTROLLER_PROGRAM, [], {
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#controller = child;
    this.#controllerStartedAt = Date.now();
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
  }

  #onControllerMessage(message: FromController): void {
    switch (message.type) {
      case 'hello':
        this.#tellController({
          type: 'start',
          static: this.#options.static,
          runtimeFolder: this.#folder,
          controller: this.#options.controller,
          apiPort: this.#apiPort,
          supervisorPid: process.pid,
        });
        return;
      case 'ready':
        this.#isControllerReady = true;
        this.#apiUrl = message.apiUrl ?? this.#apiUrl;
        this.#apiPort = message.apiPort ?? this.#apiPort;
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
        slot?.process?.process.kill('SIGKILL');
        return;
      }
    }
  }

  #onControllerExit(code: number | null, signal: string | null): void {
    this.#controller = undefined;
    this.#isControllerReady = false;
    if (this.#state === 'stopping') {
      this.#checkStopped();
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
      if (this.#state !== 'stopping') this.#startController();
    }, restartDelay(this.#controllerRestarts));
  }

  #tellController(message: ToController): void {
    if (this.#controller?.connected === true) this.#controller.send(message, ignoreFailure);
  }

  #tellAccepting(): void {
    const workerIds = this.#slots.filter(({ isListening }) => isListening).map(({ id }) => id);
    this.#tellController({ type: 'accepting', workerIds });
  }

  // The workers.

  #startWorker(slot: WorkerSlot): void {
    const worker = cluster.fork();
    slot.process = worker;
    slot.isListening = false;
    slot.startedAt = Date.now();
    worker.on('message', (message) => {
      this.#onWorkerMessage(slot, worker, message as FromWorker);
    });
    worker.on('error', (error) => {
      this.#options.log.error({ err: error, worker: slot.id }, 'the worker cannot be told anything');
    });
    worker.on('exit', (code, signal) => {
      this.#onWorkerExit(slot, code, signal);
    });
  }

  #onWorkerMessage(slot: WorkerSlot, worker: Worker, message: FromWorker): void {
    switch (message.type) {
      case 'hello': {
        const start: ToWorker = {
          type: 'start',
          static: this.#options.static,
          runtimeFolder: this.#folder,
          workerId: slot.id,
        };
        if (worker.isConnected()) worker.send(start, ignoreFailure);
        return;
      }
      case 'listening':
        slot.isListening = true;
        this.#tellAccepting();
        if (this.#state === 'starting')
          this.#options.log.info(
            { worker: slot.id, addresses: message.addresses.join(' ') },
            'the worker accepts',
          );
        this.#checkReady();
        return;
      case 'failed':
        this.#onWorkerFailed(slot, message.message);
        return;
    }
  }

  #onWorkerFailed(slot: WorkerSlot, message: string): void {
    if (this.#state === 'starting') this.#onFailed(message);
    else {
      this.#options.log.error({ worker: slot.id, reason: message }, 'the worker cannot serve');
      slot.process?.process.kill('SIGKILL');
    }
  }

  #onWorkerExit(slot: WorkerSlot, code: number, signal: string | null): void {
    slot.process = undefined;
    slot.isListening = false;
    this.#tellAccepting();
    if (this.#state === 'stopping') {
      this.#checkStopped();
      return;
    }
    this.#options.log.error({ worker: slot.id, code, signal }, 'the worker ended and is replaced');
    const isStable = Date.now() - slot.startedAt > STABLE_MS;
    slot.restarts = isStable ? 0 : slot.restarts + 1;
    setTimeout(() => {
      if (this.#state !== 'stopping') this.#startWorker(slot);
    }, restartDelay(slot.restarts));
  }

  // Beginning and end.

  #checkReady(): void {
    if (this.#state !== 'starting' || !this.#isControllerReady) return;
    if (!this.#slots.every(({ isListening }) => isListening)) return;
    this.#state = 'serving';
    this.#tellController({ type: 'serving' });
    this.#options.onReady(this.#apiUrl === undefined ? {} : { apiUrl: this.#apiUrl });
  }

  #onFailed(message: string): void {
    if (this.#state === 'starting') {
      this.#options.onFailure(message);
      this.#stop(1);
    } else if (this.#state === 'serving') {
      this.#options.log.error({ reason: message }, 'the controller cannot serve and is started again');
      this.#controller?.kill('SIGKILL');
    }
  }

  #stop(exitCode: number): void {
    const isOrderly = this.#state === 'serving';
    this.#state = 'stopping';
    this.#exitCode = exitCode;
    if (!isOrderly) {
      this.#killAll();
      return;
    }
    const graceMs = Math.max(
      0,
      ...[...this.#options.static.entryPoints.values()].map(
        ({ transport }) => transport.lifeCycle.graceTimeOutMs,
      ),
    );
    this.#tellController({ type: 'terminating' });
    const drain: ToWorker = { type: 'drain', graceMs };
    for (const { process: worker } of this.#slots)
      if (worker?.isConnected() === true) worker.send(drain, ignoreFailure);
    setTimeout(() => {
      this.#killAll();
    }, graceMs + KILL_MARGIN_MS).unref();
    this.#checkStopped();
  }

  #killAll(): void {
    for (const { process: worker } of this.#slots) worker?.process.kill('SIGKILL');
    this.#controller?.kill('SIGKILL');
    this.#checkStopped();
  }

  /** It may be writing the routes file. */
  #endController(controller: ChildProcess): void {
    if (this.#isControllerEnding) return;
    this.#isControllerEnding = true;
    this.#tellController({ type: 'stop' });
    setTimeout(() => controller.kill('SIGKILL'), CONTROLLER_GRACE_MS).unref();
  }

  /** The controller goes last: draining workers may still ask it something. */
  #checkStopped(): void {
    if (this.#slots.some(({ process: worker }) => worker !== undefined)) return;
    if (this.#controller !== undefined) {
      this.#endController(this.#controller);
      return;
    }
    removeRuntimeFolder(this.#folder);
    this.#resolve?.(this.#exitCode);
  }
}

function restartDelay(restarts: number): number {
  return restarts === 0 ? 0 : Math.min(MAX_RESTART_DELAY_MS, 50 * 2 ** Math.min(restarts, 7));
}

/** A child that ends while it is told something: its `exit` event says the rest. */
function ignoreFailure(): void {
  // Nothing is left to do.
}
