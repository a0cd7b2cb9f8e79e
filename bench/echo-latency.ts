// Question 6, the other half: how long does a message over a WebSocket take to come back while the hub changes 20 routes a second that have
// nothing to do with it, and while nothing changes?

import type net from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiConnection } from './common/api-client.ts';
import type { Bench, Question } from './common/bench.ts';
import { addCall, deleteCall, startChp, startHub } from './common/hub.ts';
import type { RoutesPeer } from './common/hub.ts';
import { haproxyPeer } from './common/peer-debian.ts';
import { figure, machine, markdownTable, percentile } from './common/table.ts';
import { openTunnels, startTunnelBackend } from './tunnels.ts';

const TUNNELS = 50;
/** Each tunnel sends a message this often, one after the other in turn, not all at once. */
const MESSAGE_MS = 50;
const CHANGES_PER_SECOND = 20;
/** Routes that are there and do not change. */
const ROUTES = 500;
/** Before anything is counted. */
const WARM_UP_MS = 2000;

/** A masked binary frame (mask 0) with 32 bytes, the first eight of them the time; it comes back as it is. */
const FRAME_BYTES = 38;

function frame(): Buffer {
  const bytes = Buffer.alloc(FRAME_BYTES);
  bytes[0] = 0x82;
  bytes[1] = 0x80 | 32;
  bytes.writeDoubleBE(performance.now(), 6);
  return bytes;
}

/** Messages over open tunnels, and how long each was on its way. */
class Echoes {
  readonly times: number[] = [];
  isCounting = false;
  readonly #sockets: readonly net.Socket[];

  constructor(sockets: readonly net.Socket[]) {
    this.#sockets = sockets;
    for (const socket of sockets) {
      let rest: Buffer = Buffer.alloc(0);
      socket.on('data', (chunk: Buffer) => {
        rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
        while (rest.length >= FRAME_BYTES) {
          if (this.isCounting) this.times.push(performance.now() - rest.readDoubleBE(6));
          rest = rest.subarray(FRAME_BYTES);
        }
      });
    }
  }

  /** Sends at a steady rate for so long. */
  async run(milliseconds: number): Promise<void> {
    const startedAt = performance.now();
    let sent = 0;
    while (performance.now() - startedAt < milliseconds) {
      const due = ((performance.now() - startedAt) / MESSAGE_MS) * this.#sockets.length;
      for (; sent < due; sent++) this.#sockets[sent % this.#sockets.length]?.write(frame());
      await sleep(1);
    }
    // What is still on its way.
    await sleep(200);
  }
}

/** Adds a route and deletes another one in turn, at a steady rate, until it is stopped. */
class Changes {
  done = 0;
  #isStopped = false;
  readonly #finished: Promise<void>;

  constructor(api: ApiConnection) {
    this.#finished = this.#run(api);
  }

  async #run(api: ApiConnection): Promise<void> {
    const startedAt = performance.now();
    while (!this.#isStopped) {
      const index = ROUTES + (this.done >> 1);
      const { status } = await api.call(this.done % 2 === 0 ? addCall(index) : deleteCall(index));
      if (status >= 300) throw new Error(`a change was answered with ${String(status)}`);
      this.done++;
      await sleep(Math.max(0, startedAt + (this.done * 1000) / CHANGES_PER_SECOND - performance.now()));
    }
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#finished;
  }
}

async function measure(bench: Bench, name: string, port: number, api?: ApiConnection): Promise<string[]> {
  const sockets = await openTunnels(port, TUNNELS);
  const echoes = new Echoes(sockets);
  const changes = api === undefined ? undefined : new Changes(api);
  await echoes.run(WARM_UP_MS);
  echoes.isCounting = true;
  await echoes.run(bench.options.seconds * bench.options.rounds * 1000);
  await changes?.stop();
  for (const socket of sockets) socket.destroy();
  const sorted = Float64Array.from(echoes.times).sort();
  const [median, high, highest, worst] = [0.5, 0.99, 0.999, 1].map((part) =>
    figure(percentile(sorted, part)),
  );
  bench.say(
    `  ${name}: ${String(median)} ms, 99.9 % within ${String(highest)} ms, ${String(sorted.length)} messages`,
  );
  return [
    name,
    String(sorted.length),
    String(changes?.done ?? 0),
    ...[median, high, highest, worst].map(String),
  ];
}

/** Everything goes to the server behind tunnels; so many other routes are there beside. */
async function addRoutes(api: ApiConnection, backendPort: number): Promise<void> {
  const body = JSON.stringify({ target: `http://127.0.0.1:${String(backendPort)}` });
  await api.call({ method: 'POST', path: '/api/routes/', body });
  for (let index = 0; index < ROUTES; index++) await api.call(addCall(index));
}

async function measureHub(
  bench: Bench,
  peer: RoutesPeer,
  name: string,
  backendPort: number,
): Promise<string[][]> {
  const setUp = await ApiConnection.open(peer.api);
  await addRoutes(setUp, backendPort);
  setUp.close();
  const still = await measure(bench, `${name}, nothing changes`, peer.publicPort);
  // A new one: the other would have been closed for its idleness.
  const api = await ApiConnection.open(peer.api);
  const changing = await measure(bench, `${name}, 20 changes a second`, peer.publicPort, api);
  api.close();
  return [still, changing];
}

async function run(bench: Bench): Promise<void> {
  const backendPort = await startTunnelBackend(bench);
  const rows: string[][] = [];
  if (haproxyPeer.version() !== undefined) {
    const { port, process: proxy } = await bench.start(haproxyPeer, { backendPort, routes: ROUTES });
    rows.push(await measure(bench, 'HAProxy, nothing changes', port));
    await proxy.stop();
  }
  const hub = await startHub(path.join(bench.folder, 'hub'), { workers: 1 });
  bench.keep(hub.process);
  rows.push(...(await measureHub(bench, hub, 'this', backendPort)));
  await hub.process.stop();
  const chp = await startChp(bench.folder);
  if (chp !== undefined) {
    bench.keep(chp.process);
    rows.push(...(await measureHub(bench, chp, 'CHP', backendPort)));
  }
  process.stdout.write(
    `\n### Messages over WebSockets while routes change\n\n${String(TUNNELS)} WebSockets, ${String((TUNNELS * 1000) / MESSAGE_MS)} messages a second of 32 bytes in all, ${String(ROUTES)} other routes; one worker.\n\n` +
      `${markdownTable(['proxy', 'messages', 'changes', 'median (ms)', 'p99', 'p99.9', 'slowest'], rows)}\n\n${machine()}.\n`,
  );
}

export const echoLatency: Question = {
  name: 'echo-latency',
  summary:
    'messages over WebSockets, and back, while 20 unrelated routes a second change (ours, CHP; HAProxy without changes)',
  run,
};
