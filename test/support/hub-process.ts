// The `hub` command as a process tree, and the small things that its tests do with it.

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { TestContext } from 'node:test';
import { request } from 'undici';
import { listenLocally } from './http-servers.ts';
import { closedPort, within } from './sockets.ts';

/** What is started. */
export const PROGRAM = new URL('../../../bin/jupyterhub-traefik-proxy.js', import.meta.url).pathname;
/** Of the REST API. */
export const TOKEN = 'test-token';

/** A running hub command. */
export interface HubProcess {
  readonly child: ChildProcess;
  readonly folder: string;
  readonly exited: Promise<number | null>;
  /** The one line on the ready descriptor. */
  readonly answer: Promise<{
    readonly ready?: boolean;
    readonly apiUrl?: string;
    readonly pid?: number;
    readonly error?: string;
  }>;
  readonly output: () => string;
}

/** Starts one that ends with the test; `settings` go to its standard input. */
export function startHub(
  t: TestContext,
  folder: string,
  settings: unknown,
  args: readonly string[] = ['--settings', '-'],
): HubProcess {
  const child = spawn(process.execPath, [PROGRAM, 'hub', ...args, '--ready-fd', '3'], {
    cwd: folder,
    env: { ...process.env, HOME: folder, CONFIGPROXY_AUTH_TOKEN: TOKEN },
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => {
      output += chunk.toString('utf8');
    });
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  t.after(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  const line = new Promise<string>((resolve) => {
    let text = '';
    const pipe = child.stdio[3] as Readable;
    pipe.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
    pipe.on('end', () => {
      resolve(text);
    });
  });
  if (settings !== undefined) child.stdin?.write(`${JSON.stringify(settings)}\n`);
  const answer = within(line, 'the ready line').then(
    (text) => JSON.parse(text) as Awaited<HubProcess['answer']>,
  );
  answer.catch(() => undefined);
  return { child, folder, exited, answer, output: () => output };
}

/** Settings on free ports. */
export async function settingsFor(
  folder: string,
  more: Record<string, unknown> = {},
): Promise<Record<string, unknown>> {
  return {
    publicUrl: `http://127.0.0.1:${String(await closedPort())}`,
    traefikApiUrl: `http://127.0.0.1:${String(await closedPort())}`,
    traefikApiUsername: 'api_admin',
    traefikApiPassword: 'not-to-be-seen',
    workers: 1,
    stateFile: join(folder, 'state.json'),
    digest: 'a-digest',
    ...more,
  };
}

/** Asks the REST API. */
export async function call(
  apiUrl: string,
  method: 'GET' | 'POST',
  path: string,
  body?: unknown,
): Promise<{ status: number; json: unknown }> {
  const { statusCode, body: answer } = await request(`${apiUrl}${path}`, {
    method,
    headers: { authorization: `token ${TOKEN}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  return { status: statusCode, json: text === '' ? undefined : JSON.parse(text) };
}

/** Status and body. */
export async function textOf(url: string): Promise<string> {
  const { statusCode, body } = await request(url);
  return `${String(statusCode)} ${await body.text()}`;
}

/** A server that says `backend`; resolves with its port. */
export async function startBackend(t: TestContext): Promise<number> {
  const server = http.createServer((_request, response) => response.end('backend'));
  return listenLocally(t, server);
}

function childrenOf(pid: number, title: string): number[] {
  return readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, 'utf8')
    .trim()
    .split(' ')
    .map(Number)
    .filter((child) => {
      try {
        return readFileSync(`/proc/${String(child)}/cmdline`, 'utf8').startsWith(title);
      } catch {
        // It has just ended.
        return false;
      }
    });
}

/** Process ids of its children. */
export function controllerOf(pid: number): number {
  return childrenOf(pid, 'jtp controller')[0] ?? 0;
}

export function workersOf(pid: number): number[] {
  return childrenOf(pid, 'jtp worker');
}

/** Asks again until there is an answer. */
export async function eventually<T>(
  probe: () => Promise<T | undefined> | T | undefined,
  what: string,
): Promise<T> {
  const deadline = Date.now() + 15_000;
  for (;;) {
    const found = await Promise.resolve(probe()).catch(() => undefined);
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`waited too long for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
