// Question: how long does a hub wait for its proxy's REST API? Adding, deleting and listing routes, few or many being there already, one or
// many calls at once, idle and while the data plane is as busy as it can be.

import path from 'node:path';
import { ApiConnection, measure } from './common/api-client.ts';
import type { Bench, Question } from './common/bench.ts';
import { addCall, bulkCall, deleteCall, startChp, startHub } from './common/hub.ts';
import type { RoutesPeer } from './common/hub.ts';
import { runWrk } from './common/load.ts';
import { figure, percentile } from './common/table.ts';
import { allWorkersServe } from './common/watching.ts';

const PRESENT = [0, 500, 10_000];
const AT_ONCE = [1, 10, 50];
const CALLS = 2000;
/** Beyond those that are there. */
const FIRST = 500_000;
const LISTS = 15;

type Row = readonly string[];

function row(peer: string, present: number, what: string, times: ArrayLike<number>): Row {
  return [
    what,
    String(present),
    peer,
    figure(percentile(times, 0.5)),
    figure(percentile(times, 0.95)),
    figure(percentile(times, 0.99)),
  ];
}

const HEADER = ['call', 'routes there', 'proxy', 'median (ms)', 'p95', 'p99'];

async function fill(peer: RoutesPeer, from: number, to: number): Promise<void> {
  const calls = Array.from({ length: to - from }, (_, offset) => addCall(from + offset));
  await measure(peer.api, calls, { atOnce: 20, want: 201 });
}

/** Just-in-time compilation is not what is asked about. */
async function warmUp(peer: RoutesPeer): Promise<void> {
  for (const atOnce of [1, 20]) {
    const add = Array.from({ length: 3000 }, (_, index) => addCall(FIRST + index));
    const remove = Array.from({ length: 3000 }, (_, index) => deleteCall(FIRST + index));
    await measure(peer.api, add, { atOnce, want: 201 });
    await measure(peer.api, remove, { atOnce, want: 204 });
  }
}

async function addAndDelete(peer: RoutesPeer, present: number, atOnce: number, suffix = ''): Promise<Row[]> {
  const add = Array.from({ length: CALLS }, (_, index) => addCall(FIRST + index));
  const remove = Array.from({ length: CALLS }, (_, index) => deleteCall(FIRST + index));
  const added = await measure(peer.api, add, { atOnce, want: 201 });
  const removed = await measure(peer.api, remove, { atOnce, want: 204 });
  const times = `, ${String(atOnce)} at once${suffix}`;
  return [row(peer.name, present, `add${times}`, added), row(peer.name, present, `delete${times}`, removed)];
}

async function list(peer: RoutesPeer, present: number): Promise<Row> {
  const calls = Array.from({ length: LISTS }, () => ({ method: 'GET', path: '/api/routes' }));
  return row(peer.name, present, 'list all', await measure(peer.api, calls, { atOnce: 1, want: 200 }));
}

/** Ours only: the peer has nothing like it, so it adds one by one. */
async function bulk(peer: RoutesPeer, count: number): Promise<number> {
  const call = bulkCall(FIRST, FIRST + count);
  const connection = await ApiConnection.open(peer.api);
  const startedAt = performance.now();
  if (peer.name === 'CHP') await fill(peer, FIRST, FIRST + count);
  else {
    const { status } = await connection.call(call);
    if (status !== 200) throw new Error(`the bulk change was refused with ${String(status)}`);
  }
  const ms = performance.now() - startedAt;
  connection.close();
  const remove = Array.from({ length: count }, (_, index) => deleteCall(FIRST + index));
  await measure(peer.api, remove, { atOnce: 50, want: 204 });
  return ms;
}

async function run(bench: Bench): Promise<void> {
  const hub = await startHub(path.join(bench.folder, 'hub'), { workers: 2 });
  bench.keep(hub.process);
  await allWorkersServe(hub.process.pid, 2, hub.publicPort);
  const chp = await startChp(bench.folder);
  if (chp !== undefined) bench.keep(chp.process);
  const peers = [hub, ...(chp === undefined ? [] : [chp])];
  const rows: Row[] = [];
  for (const peer of peers) await warmUp(peer);
  let before = 0;
  for (const present of PRESENT) {
    for (const peer of peers) await fill(peer, before, present);
    before = present;
    for (const atOnce of AT_ONCE)
      for (const peer of peers) {
        bench.say(`  ${peer.name}: ${String(atOnce)} at once with ${String(present)} routes`);
        rows.push(...(await addAndDelete(peer, present, atOnce)));
      }
    for (const peer of peers) rows.push(await list(peer, present));
  }
  const bulks: Row[] = [];
  for (const peer of peers) {
    const ms = [];
    for (let round = 0; round < 3; round++) ms.push(await bulk(peer, 10_000));
    bulks.push([
      peer.name,
      peer.name === 'CHP' ? 'one by one, 20 at once' : 'one request',
      figure(
        percentile(
          ms.sort((a, b) => a - b),
          0.5,
        ),
      ),
    ]);
  }
  rows.sort(
    ([a = '', b = ''], [c = '', d = '']) =>
      a.localeCompare(c, 'en', { numeric: true }) || Number(b) - Number(d),
  );
  bench.report('REST API, idle data plane', HEADER, rows);
  bench.report('10,000 routes more', ['proxy', 'how', 'ms'], bulks);
  bench.report('REST API, saturated data plane', HEADER, await whileSaturated(bench, peers));
}

/** With as many requests going through the proxy as it can carry. */
async function whileSaturated(bench: Bench, peers: readonly RoutesPeer[]): Promise<readonly Row[]> {
  const rows: Row[] = [];
  const backend = await bench.startBackend();
  for (const peer of peers) {
    await measure(peer.api, [addCall(0, backend)], { atOnce: 1, want: 201 });
    const url = `http://127.0.0.1:${String(peer.publicPort)}/user/u000000/`;
    const end = new AbortController();
    const load = (async () => {
      while (!end.signal.aborted) await runWrk({ url, seconds: 2 });
    })();
    load.catch(() => undefined);
    try {
      for (const atOnce of [1, 10]) rows.push(...(await addAndDelete(peer, 10_000, atOnce, ', under load')));
    } finally {
      end.abort();
    }
    await load;
  }
  return rows;
}

export const routesApi: Question = {
  name: 'routes-api',
  summary:
    'REST API of the routes: add, delete, list, bulk, with up to 10,000 there and up to 50 calls at once',
  run,
};
