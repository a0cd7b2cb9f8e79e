// Question: what do ten and a hundred thousand routes cost in memory, and how long after a kill -9 are they all served again?

import path from 'node:path';
import { ApiConnection, measure } from './common/api-client.ts';
import type { Bench, Question } from './common/bench.ts';
import { addCall, bulkCall, startChp, startHub } from './common/hub.ts';
import type { RoutesPeer } from './common/hub.ts';
import { memoryBytes } from './common/processes.ts';
import { figure, median } from './common/table.ts';
import { allWorkersServe } from './common/watching.ts';

const STEPS = [0, 10_000, 100_000];
const BULK = 10_000;
const STARTS = 5;

function mebibytes({ process: { pid } }: RoutesPeer): string {
  return figure(memoryBytes(pid) / 2 ** 20);
}

async function fill(hub: RoutesPeer, from: number, to: number, port?: number): Promise<void> {
  const connection = await ApiConnection.open(hub.api);
  for (let at = from; at < to; at += BULK) {
    const call = bulkCall(at, Math.min(to, at + BULK));
    const body =
      port === undefined
        ? call.body
        : call.body?.replace(/127\.0\.0\.1:[0-9]+/g, `127.0.0.1:${String(port)}`);
    const { status } = await connection.call({ ...call, ...(body === undefined ? {} : { body }) });
    if (status !== 200) throw new Error(`the bulk change was refused with ${String(status)}`);
  }
  connection.close();
}

async function memory(bench: Bench): Promise<void> {
  const rows: string[][] = [];
  const hub = await startHub(path.join(bench.folder, 'scale'), { workers: 2 });
  bench.keep(hub.process);
  await allWorkersServe(hub.process.pid, 2, hub.publicPort);
  const chp = await startChp(bench.folder);
  if (chp !== undefined) bench.keep(chp.process);
  let before = 0;
  for (const count of STEPS) {
    await fill(hub, before, count);
    const chpCalls = Array.from({ length: count - before }, (_, offset) => addCall(before + offset));
    if (chp !== undefined) await measure(chp.api, chpCalls, { atOnce: 20, want: 201 });
    before = count;
    // The routes file is written, and garbage collected, in a moment.
    await new Promise((resolve) => setTimeout(resolve, 5000));
    rows.push([String(count), mebibytes(hub), chp === undefined ? '–' : mebibytes(chp)]);
  }
  await hub.process.stop();
  await chp?.process.stop();
  bench.report(
    'Memory (MiB, proportional set size of all processes; ours are four)',
    ['routes', 'this', 'CHP'],
    rows,
  );
}

async function starts(bench: Bench): Promise<void> {
  const backend = await bench.startBackend();
  const folder = path.join(bench.folder, 'starts');
  let hub = await startHub(folder, { workers: 2 });
  await fill(hub, 0, 10_000, backend);
  const times: { readonly ready: number; readonly served: number }[] = [];
  for (let round = 0; round <= STARTS; round++) {
    await hub.process.stop();
    const startedAt = performance.now();
    hub = await startHub(folder, { workers: 2, publicPort: hub.publicPort });
    const ready = performance.now() - startedAt;
    await visitAll(hub);
    times.push({ ready, served: performance.now() - startedAt });
    // The first start finds a routes file that is behind.
    bench.say(`  start ${String(round)}: ready after ${figure(ready)} ms`);
  }
  await hub.process.stop();
  bench.report(
    'Start with 10,000 routes after kill -9',
    ['', 'ms'],
    [
      ['ready: a worker accepts, and the REST API', figure(median(times.map(({ ready }) => ready)))],
      ['each of the 10,000 has answered a request', figure(median(times.map(({ served }) => served)))],
    ],
  );
}

/** Every route, once. */
async function visitAll(hub: RoutesPeer): Promise<void> {
  const calls = Array.from({ length: 10_000 }, (_, index) => ({
    method: 'GET',
    path: `${addCall(index).path.slice('/api/routes'.length)}/`,
  }));
  await measure({ port: hub.publicPort, token: '' }, calls, { atOnce: 20, want: 200 });
}

async function run(bench: Bench): Promise<void> {
  await memory(bench);
  await starts(bench);
}

export const routesScale: Question = {
  name: 'routes-scale',
  summary: 'memory with 10,000 and 100,000 routes; from a start with 10,000 to all of them being served',
  run,
};
