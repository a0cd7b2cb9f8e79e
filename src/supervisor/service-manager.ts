// What systemd wants to hear from a service of `Type=notify`: sd_notify(3). Its messages are datagrams to a Unix socket, which Node cannot
// send; the packages that can are native builds. `systemd-notify` is there wherever systemd is, and Python where JupyterHub is (a container
// that is watched from outside, for one). Both are other processes, so a unit needs `NotifyAccess=all`.

import { spawn } from 'node:child_process';
import type { Logger } from '../log.ts';

const PYTHON_SENDER = `import os, socket, sys
path = os.environ["NOTIFY_SOCKET"]
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
    s.sendto("\\n".join(sys.argv[1:]).encode(), "\\0" + path[1:] if path[0] == "@" else path)`;

/** Programs that can send a message, with what comes before its lines; the first that is there is used. */
const SENDERS: readonly (readonly [string, ...string[]])[] = [
  ['systemd-notify'],
  ['python3', '-c', PYTHON_SENDER],
];

/** The shortest time between two watchdog messages; each of them is a process. */
const MIN_WATCHDOG_MS = 500;

/** The service manager that started this program, if one did. */
export class ServiceManager {
  readonly #log: Logger;
  readonly #env: NodeJS.ProcessEnv;
  readonly #isThere: boolean;
  /** How often the watchdog wants to hear from us; undefined: it does not. */
  readonly watchdogMs: number | undefined;
  #senders = SENDERS;
  #queue: Promise<void> = Promise.resolve();
  #isWatchdogWaiting = false;

  constructor(log: Logger, env: NodeJS.ProcessEnv = process.env) {
    this.#log = log;
    this.#env = env;
    this.#isThere = (env['NOTIFY_SOCKET'] ?? '') !== '';
    // Set for one process only; a child of a child of systemd may have inherited it.
    const isMine = env['WATCHDOG_PID'] === undefined || env['WATCHDOG_PID'] === String(process.pid);
    const microseconds = Number(env['WATCHDOG_USEC']);
    this.watchdogMs =
      this.#isThere && isMine && microseconds > 0
        ? Math.max(MIN_WATCHDOG_MS, Math.trunc(microseconds / 2000))
        : undefined;
  }

  ready(status: string): Promise<void> {
    return this.#send(['READY=1', `MAINPID=${String(process.pid)}`, `STATUS=${status}`]);
  }

  /** Ends with another `ready`. */
  reloading(): Promise<void> {
    const microseconds = process.hrtime.bigint() / 1000n;
    return this.#send(['RELOADING=1', `MONOTONIC_USEC=${String(microseconds)}`, 'STATUS=Reloading']);
  }

  stopping(): Promise<void> {
    return this.#send(['STOPPING=1', 'STATUS=Finishing requests']);
  }

  /** One at a time: a machine that is too slow to start the sender is not made slower. */
  watchdog(): void {
    if (this.#isWatchdogWaiting) return;
    this.#isWatchdogWaiting = true;
    void this.#send(['WATCHDOG=1']).then(() => {
      this.#isWatchdogWaiting = false;
    });
  }

  /** In the order of the calls; never rejects. */
  #send(lines: readonly string[]): Promise<void> {
    if (!this.#isThere) return this.#queue;
    this.#queue = this.#queue.then(() => this.#deliver(lines));
    return this.#queue;
  }

  async #deliver(lines: readonly string[]): Promise<void> {
    for (;;) {
      const [sender] = this.#senders;
      if (sender === undefined) return;
      const failure = await run(sender, lines, this.#env);
      if (failure === undefined) return;
      if (failure !== 'missing') {
        this.#log.warn({ sender: sender[0], reason: failure }, 'the service manager could not be told');
        return;
      }
      this.#senders = this.#senders.slice(1);
      if (this.#senders.length === 0)
        this.#log.warn(
          'the service manager cannot be told anything: neither systemd-notify nor python3 is here',
        );
    }
  }
}

/** Undefined when it went well. */
function run(
  [program, ...args]: readonly [string, ...string[]],
  lines: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = spawn(program, [...args, ...lines], { env, stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString('utf8')));
    child.on('error', (error) => {
      resolve('code' in error && error.code === 'ENOENT' ? 'missing' : error.message);
    });
    child.on('close', (code) => {
      resolve(code === 0 ? undefined : `exit code ${String(code)}: ${said.trim()}`);
    });
  });
}
