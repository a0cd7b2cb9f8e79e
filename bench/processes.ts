// The design's spike: two workers, 100,000 routes, 3,000 open tunnels, and each process killed in turn. Who is refused, what is lost, how
// long until everything is as before, and how long the controller's event loop is busy meanwhile?

import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import type { Bench, Question } from './common/bench.ts';
import { jtpPeer } from './common/peer-traefik.ts';
import type { StartedPeer } from './common/peer.ts';
import { routePath } from './common/peer.ts';
import { freePort, startProgram, waitForPort } from './common/processes.ts';
import { figure, machine, markdownTable } from './common/table.ts';
import { isAccepting, processesTitled, untilTrue } from './common/watching.ts';

const ROUTES = 100_000;
const TUNNELS = 3000;
const TUNNELS_AT_ONCE = 100;
/** How often a new connection is tried, and how often the API is asked. */
const PROBE_MS = 5;
const WATCH_MS = 3000;

/** Opens tunnels and counts those that are still open. */
class Tunnels {
  readonly #sockets = new Set<net.Socket>();

  get open(): number {
    return this.#sockets.size;
  }

  async fill(port: number): Promise<void> {
    while (this.#sockets.size < TUNNELS) {
      const missing = Math.min(TUNNELS_AT_ONCE, TUNNELS - this.#sockets.size);
      await Promise.all(Array.from({ length: missing }, (_, index) => this.#open(port, index)));
    }
  }

  #open(port: number, index: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
      socket.on('error', () => undefined);
      socket.once('close', () => {
        this.#sockets.delete(socket);
        reject(new Error('a tunnel was refused'));
      });
      socket.once('data', (chunk: Buffer) => {
        if (!chunk.subarray(0, 12).equals(Buffer.from('HTTP/1.1 101'))) {
          socket.destroy();
          return;
        }
        this.#sockets.add(socket);
        resolve();
      });
      socket.write(
        `GET ${routePath(index * 1000)}api/kernels/1/channels HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
          'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
      );
    });
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** What came of one attempt; undefined: refused, cut, or too late. */
function request(port: number, target: string): Promise<number | undefined> {
  const startedAt = performance.now();
  return new Promise((resolve) => {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
    const end = (time: number | undefined): void => {
      socket.destroy();
      resolve(time);
    };
    socket.setTimeout(5000, () => {
      end(undefined);
    });
    socket.once('error', () => {
      end(undefined);
    });
    socket.once('end', () => {
      end(undefined);
    });
    socket.once('data', (chunk: Buffer) => {
      const isGood = chunk.subarray(0, 12).equals(Buffer.from('HTTP/1.1 200'));
      end(isGood ? performance.now() - startedAt : undefined);
    });
    socket.write(`GET ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`);
  });
}

/** Asks again and again, each time on a new connection. */
class Prober {
  asked = 0;
  failed = 0;
  slowestMs = 0;
  #isStopped = false;
  readonly #done: Promise<void>;

  constructor(port: number, target: string) {
    this.#done = this.#run(port, target);
  }

  async #run(port: number, target: string): Promise<void> {
    while (!this.#isStopped) {
      const time = await request(port, target);
      this.asked++;
      if (time === undefined) this.failed++;
      else this.slowestMs = Math.max(this.slowestMs, time);
      await sleep(PROBE_MS);
    }
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#done;
  }
}

interface Scene {
  readonly bench: Bench;
  readonly started: StartedPeer;
  readonly apiPort: number;
  readonly tunnels: Tunnels;
}

/** Kills one process and waits until `recovered` says that its successor does its work. */
async function killed(
  scene: Scene,
  victim: number,
  recovered: () => boolean | Promise<boolean>,
): Promise<string[]> {
  const { started, apiPort, tunnels, bench } = scene;
  await tunnels.fill(started.port);
  const traffic = new Prober(started.port, `${routePath(ROUTES / 2)}api/status`);
  const api = new Prober(apiPort, '/api/version');
  await sleep(200);
  const before = tunnels.open;
  process.kill(victim, 'SIGKILL');
  const recoveryMs = await untilTrue(recovered, 'recovery');
  await sleep(WATCH_MS);
  await Promise.all([traffic.stop(), api.stop()]);
  bench.say(`  recovered after ${figure(recoveryMs)} ms`);
  return [
    `${String(traffic.failed)} of ${String(traffic.asked)}`,
    figure(traffic.slowestMs),
    String(before - tunnels.open),
    figure(recoveryMs),
    `${String(api.failed)} of ${String(api.asked)}`,
    figure(api.slowestMs),
  ];
}

async function measureAll(scene: Scene): Promise<string[][]> {
  const { bench, started, apiPort, tunnels } = scene;
  const root = started.process.pid;
  const rows: string[][] = [];
  bench.say('  killing the controller');
  const [controller = 0] = processesTitled(root, 'jtp controller');
  rows.push([
    'controller',
    ...(await killed(scene, controller, async () => (await request(apiPort, '/api/version')) !== undefined)),
  ]);
  bench.say('  killing a worker');
  const [worker = 0, other] = processesTitled(root, 'jtp worker');
  rows.push([
    'one worker of two',
    ...(await killed(scene, worker, () =>
      processesTitled(root, 'jtp worker').some(
        (pid) => pid !== worker && pid !== other && isAccepting(pid, started.port),
      ),
    )),
  ]);
  bench.say('  killing the supervisor');
  await tunnels.fill(started.port);
  const before = tunnels.open;
  process.kill(root, 'SIGKILL');
  const endedMs = await untilTrue(
    async () => tunnels.open === 0 && (await request(started.port, '/')) === undefined,
    'the end',
  );
  rows.push([
    'supervisor',
    'all',
    '–',
    String(before - tunnels.open),
    `ends everything in ${figure(endedMs)}`,
    'all',
    '–',
  ]);
  return rows;
}

async function run(bench: Bench): Promise<void> {
  const backendPort = await freePort();
  const program = fileURLToPath(new URL('common/echo-backend.js', import.meta.url));
  const logFile = path.join(bench.folder, 'echo-backend.log');
  bench.keep(
    await startProgram({
      name: 'echo',
      command: process.execPath,
      args: [program, String(backendPort)],
      logFile,
    }),
  );
  await waitForPort(backendPort, 10_000);
  const tunnels = new Tunnels();
  try {
    const start = async (): Promise<{ started: StartedPeer; apiPort: number; startMs: number }> => {
      const apiPort = await freePort();
      const beginAt = performance.now();
      const started = await bench.start(jtpPeer(), { backendPort, routes: ROUTES, workers: 2, apiPort });
      await untilTrue(
        async () => (await request(started.port, routePath(ROUTES - 1))) !== undefined,
        'the start',
      );
      return { started, apiPort, startMs: performance.now() - beginAt };
    };
    const first = await start();
    bench.say(`  started in ${figure(first.startMs)} ms`);
    const rows = await measureAll({ bench, started: first.started, apiPort: first.apiPort, tunnels });
    const second = await start();
    rows.push(['(start from the files)', '–', '–', '–', figure(second.startMs), '–', '–']);
    process.stdout.write(
      `\n### Killed processes\n\nTwo workers, ${String(ROUTES)} routes, ${String(TUNNELS)} open tunnels.\n\n` +
        `${markdownTable(['killed with -9', 'requests that failed', 'slowest (ms)', 'tunnels cut', 'until as before (ms)', 'API requests that failed', 'slowest (ms)'], rows)}\n\n${machine()}.\n`,
    );
  } finally {
    tunnels.close();
  }
}

export const processes: Question = {
  name: 'processes',
  summary:
    "two workers, 100,000 routes, 3,000 tunnels, kill -9 of each process: refused requests, recovery, the controller's lag",
  run,
};
