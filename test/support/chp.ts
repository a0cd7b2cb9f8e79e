// The configurable-http-proxy command as a process tree, or the program it stands for.

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import net from 'node:net';
import { fileURLToPath } from 'node:url';
import type { TestContext } from 'node:test';
import { request } from 'undici';
import { freePorts } from './free-ports.ts';
import { within } from './sockets.ts';
import { until } from './until.ts';

/** Ours; this file runs as dist/test/support/chp.js. */
export const CHP_PROGRAM = fileURLToPath(new URL('../../../bin/configurable-http-proxy.js', import.meta.url));
export const CHP_TOKEN = 'a-token-of-the-tests';

/** How to start one. */
export interface ChpStart {
  readonly program?: string;
  /** Beside the addresses. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** False: the flags for addresses are among `args`. */
  readonly hasAddresses?: boolean;
}

/** One that was started. */
export interface Chp {
  readonly child: ChildProcess;
  readonly port: number;
  readonly apiPort: number;
  readonly output: () => string;
  readonly exited: Promise<number | null>;
  /** Like `exited`, when everything that it said has been read as well. */
  readonly ended: Promise<number | null>;
  /** Waits until the output matches. */
  readonly says: (pattern: RegExp) => Promise<RegExpExecArray>;
  /** A call of the REST API, with the token. */
  readonly call: (method: string, path: string, body?: unknown) => Promise<ChpAnswer>;
}

/** An answer with its body read. */
export interface ChpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** Starts the command; it ends with the test. */
export async function startChp(t: TestContext, start: ChpStart = {}): Promise<Chp> {
  const { program = CHP_PROGRAM, args = [], env = {}, cwd, hasAddresses = true } = start;
  const [port = 0, apiPort = 0] = await freePorts(2);
  const addresses = [
    '--ip',
    '127.0.0.1',
    '--port',
    String(port),
    '--api-ip',
    '127.0.0.1',
    '--api-port',
    String(apiPort),
  ];
  const workers = program === CHP_PROGRAM && !args.includes('--workers') ? ['--workers', '1'] : [];
  const child = spawn(process.execPath, [program, ...(hasAddresses ? addresses : []), ...workers, ...args], {
    env: { ...process.env, CONFIGPROXY_AUTH_TOKEN: CHP_TOKEN, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(cwd === undefined ? {} : { cwd }),
  });
  let output = '';
  const waiting = new Set<() => void>();
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString('utf8');
      for (const look of waiting) look();
    });
  t.after(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  const says = (pattern: RegExp): Promise<RegExpExecArray> =>
    within(
      new Promise<RegExpExecArray>((resolve) => {
        const look = (): void => {
          const found = pattern.exec(output);
          if (found === null) return;
          waiting.delete(look);
          resolve(found);
        };
        waiting.add(look);
        look();
      }),
      `${String(pattern)} in the output`,
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${output}`);
    });
  const call: Chp['call'] = (method, path, body) =>
    callChp(`http://127.0.0.1:${String(apiPort)}${path}`, method, body);
  return { child, port, apiPort, output: () => output, exited, ended, says, call };
}

/** Starts the command and waits until it serves. The other program says so before it listens; ours is taken at its word. */
export async function startServingChp(t: TestContext, start: ChpStart = {}): Promise<Chp> {
  const chp = await startChp(t, start);
  await chp.says(/Proxy API at/);
  await chp.says(/Proxying /);
  const valuesOf = (option: string): number[] =>
    (start.args ?? []).filter((_, index, args) => args[index - 1] === option).map(Number);
  if (start.program === undefined || start.program === CHP_PROGRAM) {
    // It serves when the first worker does.
    const [workers = 1] = valuesOf('--workers');
    if (workers > 1)
      await until(() => chp.output().split('the worker accepts').length > workers, 'all workers');
    return chp;
  }
  for (const port of [chp.port, chp.apiPort, ...valuesOf('--metrics-port')])
    await until(() => isOpen(port), `port ${String(port)}`);
  return chp;
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => {
      resolve(false);
    });
  });
}

/** One request with the token. */
export async function callChp(url: string, method: string, body?: unknown): Promise<ChpAnswer> {
  const {
    statusCode,
    headers,
    body: answer,
  } = await request(url, {
    method: method as 'GET',
    headers: { authorization: `token ${CHP_TOKEN}` },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  return { status: statusCode, headers, text: await answer.text() };
}

/** The status of a GET that it proxies. */
export async function statusOf({ port }: Chp, path: string): Promise<number> {
  const { statusCode, body } = await request(`http://127.0.0.1:${String(port)}${path}`);
  await body.dump();
  return statusCode;
}
