// Our controller and configurable-http-proxy as a hub sees them: a REST API on loopback, and a public port.

import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Readable } from 'node:stream';
import type { ApiAddress, Call } from './api-client.ts';
import { BENCH_CACHE, ROOT } from './peer.ts';
import { freePort, processTree, startProgram, waitForPort } from './processes.ts';
import type { Running } from './processes.ts';

const TOKEN = 'the-token-of-the-benchmark';

/** A proxy whose routes are managed over REST. */
export interface RoutesPeer {
  readonly name: string;
  readonly api: ApiAddress;
  readonly publicPort: number;
  readonly process: Running;
  /** Milliseconds from the start of the process to its readiness. */
  readonly readyMs: number;
}

/** How the hub's own calls look, in both APIs. */
export function addCall(index: number, port = 10_000 + (index % 50_000)): Call {
  const name = `u${String(index).padStart(6, '0')}`;
  return {
    method: 'POST',
    path: `/api/routes/user/${name}`,
    body: JSON.stringify({
      target: `http://127.0.0.1:${String(port)}`,
      user: name,
      server_name: '',
      jupyterhub: true,
    }),
  };
}

export function deleteCall(index: number): Call {
  return { method: 'DELETE', path: `/api/routes/user/u${String(index).padStart(6, '0')}` };
}

/** Many routes in one request; ours only. */
export function bulkCall(from: number, to: number): Call {
  const add = Array.from({ length: to - from }, (_, offset) => {
    const { path: url, body = '' } = addCall(from + offset);
    const { target, ...data } = JSON.parse(body) as { readonly target: string };
    return { routespec: `${url.slice('/api/routes'.length)}/`, target, data };
  });
  return { method: 'POST', path: '/api/routespecs', body: JSON.stringify({ add }) };
}

/** Starts our controller with its engine. The folder keeps its routes file, so that the same can be started again. */
export async function startHub(
  folder: string,
  options: { readonly workers: number; readonly publicPort?: number },
): Promise<RoutesPeer> {
  mkdirSync(folder, { recursive: true });
  const publicPort = options.publicPort ?? (await freePort());
  const settings = {
    publicUrl: `http://127.0.0.1:${String(publicPort)}`,
    traefikApiUrl: `http://127.0.0.1:${String(await freePort())}`,
    dynamicConfigFile: path.join(folder, 'rules.toml'),
    staticConfigFile: path.join(folder, 'traefik.toml'),
    apiToken: TOKEN,
    workers: options.workers,
  };
  const startedAt = performance.now();
  const child = spawn(
    process.execPath,
    [path.join(ROOT, 'bin/jupyterhub-traefik-proxy.js'), 'hub', '--settings', '-', '--ready-fd', '3'],
    { cwd: folder, stdio: ['pipe', 'ignore', 'ignore', 'pipe'] },
  );
  child.stdin?.on('error', () => undefined);
  child.stdin?.write(`${JSON.stringify(settings)}\n`);
  let text = '';
  const pipe = child.stdio[3] as Readable;
  for await (const chunk of pipe) text += String(chunk);
  const readyMs = performance.now() - startedAt;
  const answer = JSON.parse(text || '{"error": "it ended"}') as {
    readonly apiUrl?: string;
    readonly error?: string;
  };
  if (answer.apiUrl === undefined || child.pid === undefined)
    throw new Error(`the hub did not start: ${String(answer.error)}`);
  const { pid } = child;
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => {
      resolve();
    });
  });
  const killTree = (): void => {
    if (child.exitCode === null) for (const member of processTree(pid).reverse()) kill(member);
  };
  process.once('exit', killTree);
  return {
    name: 'this',
    api: { port: Number(new URL(answer.apiUrl).port), token: TOKEN },
    publicPort,
    readyMs,
    process: {
      name: 'hub',
      pid,
      hasEnded: () => child.exitCode !== null || child.signalCode !== null,
      stop: async () => {
        process.off('exit', killTree);
        killTree();
        await ended;
      },
    },
  };
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended with its parent.
  }
}

/** Starts configurable-http-proxy; undefined when it is not installed (`npm run bench -- install`). */
export async function startChp(folder: string): Promise<RoutesPeer | undefined> {
  const program = path.join(
    BENCH_CACHE,
    'chp/node_modules/configurable-http-proxy/bin/configurable-http-proxy',
  );
  try {
    readFileSync(program);
  } catch {
    process.stderr.write('CHP is not installed: npm run bench -- install\n');
    return undefined;
  }
  const [publicPort, port] = [await freePort(), await freePort()];
  const startedAt = performance.now();
  const running = await startProgram({
    name: 'CHP',
    command: process.execPath,
    args: [
      program,
      ...['--ip', '127.0.0.1', '--port', String(publicPort)],
      ...['--api-ip', '127.0.0.1', '--api-port', String(port), '--log-level', 'error'],
    ],
    env: { CONFIGPROXY_AUTH_TOKEN: TOKEN },
    logFile: path.join(folder, 'chp.log'),
  });
  await waitForPort(port, 30_000, running);
  return {
    name: 'CHP',
    api: { port, token: TOKEN },
    publicPort,
    process: running,
    readyMs: performance.now() - startedAt,
  };
}
