// Programs that a benchmark starts, what they cost according to the operating system, and their certain end. Linux only: costs are read
// from /proc, over the whole tree of processes below the one that was started.

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** The kernel's unit of processor time in /proc; it has been 100 on every Linux for decades. */
const TICKS_PER_SECOND = 100;
const STOP_MS = 4000;

/** A program started by a benchmark. */
export interface Running {
  readonly name: string;
  readonly pid: number;
  /** Whether it has ended. */
  hasEnded(): boolean;
  /** SIGTERM to the program, SIGKILL to what is left of its tree a few seconds later. */
  stop(): Promise<void>;
}

const running = new Set<ChildProcess>();

/** Whatever ends the benchmark, nothing it started outlives it. */
function killAll(): void {
  for (const child of running) {
    if (child.pid === undefined) continue;
    for (const pid of processTree(child.pid)) killQuietly(pid);
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

process.on('exit', killAll);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => {
    killAll();
    process.exit(130);
  });

/** What to start. */
export interface ProgramOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** Gets standard output and standard error. */
  readonly logFile: string;
}

/** Starts a program in the background. Rejects when it cannot be started. */
export async function startProgram(options: ProgramOptions): Promise<Running> {
  const log = openSync(options.logFile, 'w');
  const child = spawn(options.command, options.args, {
    stdio: ['ignore', log, log],
    env: { ...process.env, ...options.env },
  });
  closeSync(log);
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', reject);
  });
  running.add(child);
  const { pid } = child;
  if (pid === undefined) throw new Error(`${options.name} has no process id`);
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
  return { name: options.name, pid, hasEnded, stop: () => stopChild(child) };
}

async function stopChild(child: ChildProcess): Promise<void> {
  const { pid } = child;
  if (pid === undefined) return;
  // A process id may be given to somebody else in the meantime: the start time tells.
  const tree = processTree(pid).map((member) => ({ member, startedAt: startTimeOf(member) }));
  const ended = new Promise<void>((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve();
    else
      child.once('exit', () => {
        resolve();
      });
  });
  child.kill('SIGTERM');
  await Promise.race([ended, sleep(STOP_MS, undefined, { ref: false })]);
  const left = tree.filter(({ member, startedAt }) => isAlive(member, startedAt));
  for (const { member } of left) killQuietly(member);
  await ended;
  const end = performance.now() + STOP_MS;
  while (left.some(({ member, startedAt }) => isAlive(member, startedAt)) && performance.now() < end)
    await sleep(5);
  running.delete(child);
}

/** Runs a program to its end and returns its output; rejects when it fails or takes longer than `timeoutMs`. */
export async function runProgram(
  command: string,
  args: readonly string[],
  options: { readonly timeoutMs: number; readonly env?: NodeJS.ProcessEnv; readonly cwd?: string },
): Promise<string> {
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  running.add(child);
  const output: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => output.push(chunk));
  const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs);
  const code = await new Promise<number | string>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status, signal) => {
      resolve(status ?? signal ?? 'unknown');
    });
  }).finally(() => {
    clearTimeout(timer);
    running.delete(child);
  });
  const text = Buffer.concat(output).toString('utf8');
  if (code !== 0) throw new Error(`${command} ended with ${String(code)}: ${text.slice(-600)}`);
  return text;
}

/** A port that nobody listens on at the moment. */
export async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** Resolves when something accepts connections on the port; rejects after `timeoutMs`, or when the program that should has ended. */
export async function waitForPort(port: number, timeoutMs: number, program?: Running): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (performance.now() < end && program?.hasEnded() !== true) {
    const accepted = await new Promise<boolean>((resolve) => {
      const socket = net.connect(port, '127.0.0.1');
      socket.once('connect', () => {
        resolve(true);
        socket.destroy();
      });
      socket.once('error', () => {
        resolve(false);
      });
    });
    if (accepted) return;
    await sleep(50);
  }
  throw new Error(`nothing listens on port ${String(port)} (waited up to ${String(timeoutMs)} ms)`);
}

// What the operating system knows.

/** The fields of /proc/PID/stat behind the name, which may itself contain blanks and brackets. */
function statFields(pid: number): readonly string[] | undefined {
  try {
    const text = readFileSync(`/proc/${String(pid)}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

function readParent(pid: number): number | undefined {
  const parent = statFields(pid)?.[1];
  return parent === undefined ? undefined : Number(parent);
}

/** Still the process of that start time, and not only its exit code that nobody has asked for. */
function isAlive(pid: number, startedAt: string | undefined): boolean {
  const fields = statFields(pid);
  if (fields === undefined || startedAt === undefined || fields[19] !== startedAt) return false;
  return fields[0] !== 'Z' || threadCount(pid) > 1;
}

function threadCount(pid: number): number {
  try {
    return readdirSync(`/proc/${String(pid)}/task`).length;
  } catch {
    // It has ended meanwhile.
    return 0;
  }
}

/** In ticks since the machine started. */
function startTimeOf(pid: number): string | undefined {
  return statFields(pid)?.[19];
}

/** A process and everything below it. */
export function processTree(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    if (!/^[0-9]+$/.test(name)) continue;
    const parent = readParent(Number(name));
    if (parent === undefined) continue;
    const known = children.get(parent);
    if (known === undefined) children.set(parent, [Number(name)]);
    else known.push(Number(name));
  }
  const tree = [root];
  for (const pid of tree) tree.push(...(children.get(pid) ?? []));
  return tree;
}

/** Processor time of the whole tree since its start, children that have ended included. */
export function cpuSeconds(root: number): number {
  let ticks = 0;
  for (const pid of processTree(root)) {
    const fields = statFields(pid);
    // utime, stime, and those of children that have been waited for.
    for (const index of [11, 12, 13, 14]) ticks += Number(fields?.[index] ?? 0);
  }
  return ticks / TICKS_PER_SECOND;
}

/** Memory of the whole tree in bytes: proportional set size, so that shared pages count once. */
export function memoryBytes(root: number): number {
  let kibibytes = 0;
  for (const pid of processTree(root)) {
    try {
      const text = readFileSync(`/proc/${String(pid)}/smaps_rollup`, 'latin1');
      kibibytes += Number(/^Pss:\s+([0-9]+) kB/m.exec(text)?.[1] ?? 0);
    } catch {
      // It has ended meanwhile.
    }
  }
  return kibibytes * 1024;
}

/** Open descriptors of the whole tree; with `kind` only those whose link begins with it, for example `socket:`. */
export function descriptorCount(root: number, kind = ''): number {
  let count = 0;
  for (const pid of processTree(root)) {
    const folder = `/proc/${String(pid)}/fd`;
    try {
      for (const name of readdirSync(folder))
        if (kind === '' || linkOf(`${folder}/${name}`).startsWith(kind)) count++;
    } catch {
      // It has ended meanwhile.
    }
  }
  return count;
}

function linkOf(place: string): string {
  try {
    return readlinkSync(place);
  } catch {
    return '';
  }
}
