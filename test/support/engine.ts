// The `traefik` command as a process tree, in a folder of its own.

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { temporaryFolder } from './hub-store.ts';
import { within } from './sockets.ts';
import { until } from './until.ts';

const PROGRAM = new URL('../../../bin/jupyterhub-traefik-proxy.js', import.meta.url).pathname;

/** Processes start slowly on a busy machine. */
const WAIT_MS = 60_000;

/** Asks again until there is an answer that is neither undefined nor false. */
export async function eventually<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
): Promise<T> {
  const deadline = Date.now() + WAIT_MS;
  for (;;) {
    const found = await Promise.resolve()
      .then(probe)
      .catch(() => undefined);
    if (found !== undefined && found !== false) return found;
    if (Date.now() > deadline) throw new Error(`waited too long for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** What an engine is started with. */
export interface EngineOptions {
  /** `traefik.toml`. */
  readonly static: string;
  /** `rules.toml`. */
  readonly rules: string;
  readonly workers?: number;
  /** False: resolves when the first worker serves, and the others are being started. */
  readonly awaitsAllWorkers?: boolean;
  readonly env?: NodeJS.ProcessEnv;
  /** Open files per process. */
  readonly openFiles?: number;
}

/** A running engine. */
export class Engine {
  readonly folder: string;
  readonly child: ChildProcess;
  readonly exited: Promise<number | null>;
  readonly #closed: Promise<number | null>;
  output = '';

  constructor(folder: string, child: ChildProcess) {
    this.folder = folder;
    this.child = child;
    this.exited = new Promise((resolve) => child.once('exit', resolve));
    this.#closed = new Promise((resolve) => child.once('close', resolve));
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk: Buffer) => {
        this.output += chunk.toString('utf8');
      });
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** Waits until the output says this. */
  async says(text: string): Promise<void> {
    await eventually(`${JSON.stringify(text)}; so far: ${this.output}`, () => this.output.includes(text));
  }

  /** Process ids of living children by the beginning of their title. */
  children(title: 'jtp worker' | 'jtp controller'): number[] {
    return readFileSync(`/proc/${String(this.pid)}/task/${String(this.pid)}/children`, 'utf8')
      .split(' ')
      .filter((id) => id.trim() !== '')
      .map(Number)
      .filter((id) => isRunning(id, title));
  }

  writeStatic(text: string): void {
    replaceFile(join(this.folder, 'traefik.toml'), text);
  }

  writeRules(text: string): void {
    replaceFile(join(this.folder, 'rules.toml'), text);
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Waits for its end, and for its last words. */
  ended(): Promise<number | null> {
    return within(this.#closed, 'the end of the engine');
  }
}

function replaceFile(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

function isRunning(pid: number, title: string): boolean {
  try {
    return readFileSync(`/proc/${String(pid)}/cmdline`, 'utf8').startsWith(title);
  } catch {
    // It has just ended.
    return false;
  }
}

/** Open sockets of a process. */
export function socketCount(pid: number): number {
  return readdirSync(`/proc/${String(pid)}/fd`).length;
}

/** Starts an engine that ends with the test; resolves when it serves. */
export async function startEngine(t: TestContext, options: EngineOptions): Promise<Engine> {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'traefik.toml'), options.static);
  writeFileSync(join(folder, 'rules.toml'), options.rules);
  const { workers = 1, openFiles } = options;
  const command = [process.execPath, PROGRAM, 'traefik', '-c', 'traefik.toml', '--workers', String(workers)];
  const limited =
    openFiles === undefined
      ? command
      : ['/bin/sh', '-c', `ulimit -n ${String(openFiles)}; exec "$@"`, 'sh', ...command];
  const [program = '', ...args] = limited;
  const child = spawn(program, args, {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
  });
  const engine = new Engine(folder, child);
  t.after(async () => {
    child.kill('SIGKILL');
    await engine.exited;
  });
  await engine.says(' serves ');
  // It serves when the first worker does.
  if (options.awaitsAllWorkers !== false)
    await until(() => engine.output.split('the worker accepts').length > workers, 'all workers');
  return engine;
}

/** A static configuration whose entry points are by name and port, with the routes in `rules.toml`. */
export function staticFile(
  entryPoints: Readonly<Record<string, number>>,
  more: { readonly text?: string; readonly perEntryPoint?: string } = {},
): string {
  const tables = Object.entries(entryPoints).map(
    ([name, port]) =>
      `[entryPoints.${name}]\naddress = "127.0.0.1:${String(port)}"\n${(more.perEntryPoint ?? '').replaceAll('NAME', name)}`,
  );
  return `${more.text ?? ''}
[log]
level = "INFO"
format = "json"
[providers]
providersThrottleDuration = "0s"
[providers.file]
filename = "rules.toml"
${tables.join('\n')}
`;
}

/** Routes everything to one server, and `/slow` to another one if there is one. */
export function rulesFile(url: string, slowUrl?: string): string {
  const slow =
    slowUrl === undefined
      ? ''
      : `[http.routers.slow]
rule = "Path(\`/slow\`)"
service = "slow"
priority = 100
[[http.services.slow.loadBalancer.servers]]
url = "${slowUrl}"
`;
  return `[http.routers.all]
rule = "PathPrefix(\`/\`)"
service = "app"
[[http.services.app.loadBalancer.servers]]
url = "${url}"
${slow}`;
}
