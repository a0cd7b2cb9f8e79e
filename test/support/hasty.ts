// Load on a proxy whose server closes connections at random, and what became of each request.

import { once } from 'node:events';
import net from 'node:net';
import type { TestContext } from 'node:test';
import { Worker } from 'node:worker_threads';
import { startProxyTo } from './data-plane.ts';
import type { HastyServerData } from './hasty-server.ts';

/** What is to be sent. */
export interface HastyLoad {
  readonly requests: number;
  readonly clients: number;
  /** Told with each request how many have been begun. */
  readonly onProgress?: (requests: number) => void;
}

/** What happened. */
export interface HastyOutcome {
  readonly answered: number;
  /** Answers other than 200 to requests that may be repeated. */
  readonly failedIdempotent: readonly string[];
  /** Answers other than 200 to the others. */
  readonly failedOthers: number;
  /** Requests that must not be repeated and were executed more than once. */
  readonly executedTwice: number;
  /** Requests that were answered with 200 and never executed. */
  readonly neverExecuted: number;
  /** What the proxy counted. */
  readonly lost: number;
  readonly repeated: number;
}

const METHODS = ['GET', 'GET', 'GET', 'HEAD', 'GET', 'PUT', 'DELETE', 'POST', 'POST', 'PATCH'] as const;
const IDEMPOTENT = new Set<string>(['GET', 'HEAD', 'PUT', 'DELETE']);

function methodOf(id: number): string {
  return METHODS[(id * 7) % METHODS.length] ?? 'GET';
}

function requestFor(id: number): string {
  const method = methodOf(id);
  const head = `${method} /${String(id)} HTTP/1.1\r\nHost: h\r\n`;
  return method.startsWith('P') ? `${head}Content-Length: 5\r\n\r\nhello` : `${head}\r\n`;
}

async function startHastyServer(t: TestContext, data: HastyServerData): Promise<string> {
  const thread = new Worker(new URL('./hasty-server.js', import.meta.url), { workerData: data });
  t.after(() => thread.terminate());
  const [port] = (await once(thread, 'message')) as [number];
  return `http://127.0.0.1:${String(port)}`;
}

/** Sends all requests, each client one after the other. */
export async function runHastyLoad(t: TestContext, load: HastyLoad): Promise<HastyOutcome> {
  const executed = new SharedArrayBuffer(load.requests);
  const url = await startHastyServer(t, { executed, closesAtOnce: 0.02, closesLater: 0.3, laterMs: 20 });
  const { plane, port } = await startProxyTo(t, url);
  const statuses = new Uint16Array(load.requests);
  let next = 0;
  const takeId = (): number | undefined => {
    if (next % 1000 === 0) load.onProgress?.(next);
    return next < load.requests ? next++ : undefined;
  };
  await Promise.all(Array.from({ length: load.clients }, () => runClient(t, port, takeId, statuses)));
  const counts = new Uint8Array(executed);
  const failedIdempotent: string[] = [];
  let answered = 0;
  let failedOthers = 0;
  let executedTwice = 0;
  let neverExecuted = 0;
  for (let id = 0; id < load.requests; id++) {
    const isIdempotent = IDEMPOTENT.has(methodOf(id));
    const times = counts[id] ?? 0;
    if (statuses[id] !== 0) answered++;
    if (statuses[id] !== 200) {
      if (isIdempotent) failedIdempotent.push(`${methodOf(id)} ${String(id)}: ${String(statuses[id])}`);
      else failedOthers++;
    } else if (times === 0) neverExecuted++;
    if (!isIdempotent && times > 1) executedTwice++;
  }
  const { lost, repeated } = plane.counts().upstream;
  return { answered, failedIdempotent, failedOthers, executedTwice, neverExecuted, lost, repeated };
}

/** One keep-alive connection; rejects when the proxy ends it. */
function runClient(
  t: TestContext,
  port: number,
  takeId: () => number | undefined,
  statuses: Uint16Array,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
    t.after(() => socket.destroy());
    let id = -1;
    let received = '';
    const sendNext = (): void => {
      const taken = takeId();
      if (taken === undefined) {
        socket.destroy();
        resolve();
        return;
      }
      id = taken;
      socket.write(requestFor(id), 'latin1');
    };
    socket.on('connect', sendNext);
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1');
      const headEnd = received.indexOf('\r\n\r\n');
      if (headEnd < 0) return;
      const length =
        methodOf(id) === 'HEAD' ? 0 : Number(/Content-Length: ([0-9]+)/.exec(received)?.[1] ?? 0);
      if (received.length < headEnd + 4 + length) return;
      statuses[id] = Number(received.slice(9, 12));
      received = received.slice(headEnd + 4 + length);
      sendNext();
    });
    socket.on('error', reject);
    socket.on('end', () => {
      reject(new Error(`the proxy closed a client's connection at request ${String(id)}`));
    });
  });
}
