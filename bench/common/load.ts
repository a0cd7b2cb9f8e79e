// Load: wrk and h2load from Debian, and a client of our own that keeps to a rate, which the other two cannot.

import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runProgram } from './processes.ts';

/** What a browser sends to a JupyterHub: about 1 KiB. */
export const BROWSER_HEADERS: readonly (readonly [string, string])[] = [
  ['User-Agent', 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'],
  ['Accept', 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8'],
  ['Accept-Language', 'de,en-US;q=0.7,en;q=0.3'],
  ['Accept-Encoding', 'gzip, deflate, br, zstd'],
  ['Referer', 'https://hub.example.org/user/zoe/lab/tree/notebooks/analysis.ipynb'],
  [
    'Cookie',
    `_xsrf=${'2|0a1b2c3d|'.padEnd(84, 'e')}; jupyterhub-session-id=${'f'.repeat(32)}; jupyterhub-user-zoe="${'2|1:0|10:1717315200|'.padEnd(180, 'a')}"`,
  ],
  ['X-XSRFToken', '2|0a1b2c3d|'.padEnd(84, 'e')],
  ['Sec-Fetch-Dest', 'empty'],
  ['Sec-Fetch-Mode', 'cors'],
  ['Sec-Fetch-Site', 'same-origin'],
  ['Priority', 'u=4'],
];

/** What one run of load has done. */
export interface LoadResult {
  readonly requests: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** One kind of load. */
export interface LoadOptions {
  readonly url: string;
  readonly seconds: number;
  readonly connections?: number;
  readonly headers?: readonly (readonly [string, string])[];
  /** Text of a Lua script for wrk, and where to put it. */
  readonly script?: { readonly text: string; readonly file: string };
}

const DEFAULT_CONNECTIONS = 64;

/** As many requests as go through, each connection one at a time. Rejects on any answer that is not 2xx, and on socket errors. */
export async function runWrk(options: LoadOptions): Promise<LoadResult> {
  const args = [
    '-t1',
    `-c${String(options.connections ?? DEFAULT_CONNECTIONS)}`,
    `-d${String(options.seconds)}s`,
    '--latency',
    '--timeout',
    '10s',
  ];
  for (const [name, value] of options.headers ?? BROWSER_HEADERS) args.push('-H', `${name}: ${value}`);
  if (options.script !== undefined) {
    writeFileSync(options.script.file, options.script.text);
    args.push('-s', options.script.file);
  }
  const text = await runProgram('wrk', [...args, options.url], { timeoutMs: (options.seconds + 30) * 1000 });
  const requests = Number(/([0-9]+) requests in/.exec(text)?.[1] ?? 0);
  if (requests === 0 || text.includes('Non-2xx'))
    throw new Error(`load on ${options.url} went wrong:\n${text}`);
  const errors = /Socket errors: connect ([0-9]+), read ([0-9]+), write ([0-9]+), timeout ([0-9]+)/.exec(
    text,
  );
  const failures = (errors?.slice(1) ?? []).reduce((sum, count) => sum + Number(count), 0);
  // Requests under way when the time is up may be counted as failed.
  if (failures > requests / 1000)
    throw new Error(`load on ${options.url} had ${String(failures)} failures:\n${text}`);
  return {
    requests,
    perSecond: Number(/Requests\/sec:\s+([0-9.]+)/.exec(text)?.[1] ?? NaN),
    p50Ms: latencyOf(text, 50),
    p99Ms: latencyOf(text, 99),
  };
}

function latencyOf(text: string, percent: number): number {
  const match = new RegExp(`^\\s+${String(percent)}%\\s+([0-9.]+)(us|ms|s)`, 'm').exec(text);
  const factor = match?.[2] === 'us' ? 0.001 : match?.[2] === 's' ? 1000 : 1;
  return match === null ? NaN : Number(match[1]) * factor;
}

/** Load over HTTP/2. */
export interface Http2LoadOptions extends LoadOptions {
  /** Requests at the same time on each connection; 10 when it is not given. */
  readonly streams?: number;
  /** A file to send with each request, by POST. */
  readonly body?: string;
}

/** Bits of the windows that a client opens: 1 MiB for a stream, 16 MiB for a connection, between those of the browsers. */
const WINDOWS = ['-w20', '-W24'];

/** HTTP/2 over TLS with h2load: `connections` connections (8 when it is not given) with several streams each. */
export async function runH2load(options: Http2LoadOptions): Promise<LoadResult> {
  const args = [
    '-t1',
    `-c${String(options.connections ?? 8)}`,
    `-m${String(options.streams ?? 10)}`,
    '-D',
    String(options.seconds),
    '--warm-up-time=0',
    ...WINDOWS,
  ];
  if (options.body !== undefined) args.push('-d', options.body);
  for (const [name, value] of options.headers ?? BROWSER_HEADERS)
    args.push('-H', `${name.toLowerCase()}: ${value}`);
  const text = await runProgram('h2load', [...args, options.url], {
    timeoutMs: (options.seconds + 30) * 1000,
  });
  const succeeded = Number(/([0-9]+) succeeded/.exec(text)?.[1] ?? 0);
  const good = Number(/status codes: ([0-9]+) 2xx/.exec(text)?.[1] ?? 0);
  if (succeeded === 0 || !text.includes('Application protocol: h2') || good < succeeded * 0.999)
    throw new Error(`HTTP/2 load on ${options.url} went wrong:\n${text}`);
  return { requests: good, perSecond: good / options.seconds, p50Ms: NaN, p99Ms: NaN };
}

/** GETs at a given rate on 64 connections; the time of a request runs from when it was due, however late it was sent. */
export async function runPaced(options: {
  readonly port: number;
  readonly perSecond: number;
  readonly seconds: number;
}): Promise<LoadResult> {
  const program = fileURLToPath(new URL('paced-client.js', import.meta.url));
  const { port, perSecond, seconds } = options;
  const text = await runProgram(
    process.execPath,
    [program, String(port), String(perSecond), String(seconds)],
    {
      timeoutMs: (seconds + 30) * 1000,
    },
  );
  return JSON.parse(text) as LoadResult;
}
