// The programs that a supervisor starts beside itself. Each is told by messages what it is to do.

import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ControllerKind, FromController } from './messages.ts';

const WORKER_PROGRAM = fileURLToPath(new URL('../worker/worker.js', import.meta.url));
const CONTROLLER_PROGRAM = fileURLToPath(new URL('../controller/main.js', import.meta.url));

/** Starts a worker. */
export function forkWorker(): ChildProcess {
  return forkProgram(WORKER_PROGRAM);
}

/** Starts a controller, which loads at once what its kind needs. */
export function forkController(kind: ControllerKind['kind']): ChildProcess {
  return forkProgram(CONTROLLER_PROGRAM, kind);
}

function forkProgram(program: string, ...args: string[]): ChildProcess {
  return fork(program, args, { serialization: 'advanced', stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
}

/**
 * A controller that is started before anything is known but its kind: it takes longest to load, and does so while the supervisor loads its own
 * part and reads the settings.
 */
export class EarlyController {
  #process: ChildProcess | undefined;
  readonly #said: FromController[] = [];
  readonly #listen = (message: unknown): void => {
    this.#said.push(message as FromController);
  };

  constructor(controller: ChildProcess) {
    this.#process = controller;
    this.#process.on('message', this.#listen);
    // One that cannot be started is started once more by whoever takes it, and that is when it is said.
    this.#process.on('error', () => undefined);
  }

  /** Hands it over, with what it has said so far; undefined when it has ended, or somebody has it. */
  take(): { readonly process: ChildProcess; readonly said: readonly FromController[] } | undefined {
    const child = this.#process;
    this.#process = undefined;
    if (child?.connected !== true) return undefined;
    child.off('message', this.#listen);
    return { process: child, said: this.#said };
  }

  /** Ends it, unless somebody has it. */
  end(): void {
    this.#process?.kill('SIGKILL');
    this.#process = undefined;
  }
}
