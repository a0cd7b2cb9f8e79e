// Question 7: what is left of tabs that keep reconnecting to sick servers?

import { setTimeout as sleep } from 'node:timers/promises';
import { runTabs, SickServers } from '../test/support/tabs.ts';
import type { Bench, Question } from './common/bench.ts';
import { descriptorCount, memoryBytes } from './common/processes.ts';
import { REST_PEERS, setRoute } from './common/rest-peer.ts';
import type { RestPeer } from './common/rest-peer.ts';
import { figure, machine, markdownTable } from './common/table.ts';

const TABS = 120;
const STAY_MS = 200;
const SILENT_MS = 2000;
/** Before anything is counted: the same load, for a while. */
const WARM_UP_SECONDS = 5;
const AFTERWARDS_MS = 5000;
const LOADS = 3;

async function churn(bench: Bench, peer: RestPeer, seconds: number): Promise<readonly string[]> {
  const servers = await SickServers.start();
  const started = await peer.start(bench.folder);
  bench.keep(started.process);
  const { pid } = started.process;
  try {
    await setRoute(started, '/', `http://127.0.0.1:${String(servers.port)}`);
    await setRoute(started, '/gone', `http://127.0.0.1:${String(servers.gonePort)}`);
    const load = async (length: number): Promise<number> => {
      const end = performance.now() + length * 1000;
      const connections = await runTabs({
        port: started.port,
        tabs: TABS,
        isOver: () => performance.now() > end,
        stayMs: STAY_MS,
        silentMs: SILENT_MS,
      });
      await sleep(AFTERWARDS_MS);
      return connections;
    };
    await load(WARM_UP_SECONDS);
    const before = descriptorCount(pid, 'socket:');
    const memory = [memoryBytes(pid)];
    let connections = 0;
    for (let index = 0; index < LOADS; index++) {
      connections += await load(seconds);
      memory.push(memoryBytes(pid));
      bench.say(
        `  ${peer.name}: ${figure((memory.at(-1) ?? NaN) / 2 ** 20)} MiB, ${String(connections)} connections`,
      );
    }
    const after = descriptorCount(pid, 'socket:');
    return [
      peer.name,
      String(connections),
      String(before),
      String(after),
      memory.map((bytes) => figure(bytes / 2 ** 20)).join(', '),
    ];
  } finally {
    servers.close();
    await started.process.stop();
  }
}

async function run(bench: Bench): Promise<void> {
  const rows: (readonly string[])[] = [];
  const peers = REST_PEERS.filter((peer) => bench.options.peers.some(({ name }) => name === peer.name));
  for (const peer of peers) {
    bench.say(`  ${peer.name}`);
    rows.push(await churn(bench, peer, bench.options.seconds * 5));
  }
  const header = ['proxy', 'connections', 'sockets before', '5 s after', 'memory after each load (MiB)'];
  process.stdout.write(
    `\n### Tabs that keep reconnecting to sick servers\n\n${markdownTable(header, rows)}\n\n` +
      `${machine()}; ${peers.map((peer) => `${peer.name} ${peer.version() ?? ''}`).join(', ')}; ${String(LOADS)} loads of ${String(bench.options.seconds * 5)} s.\n`,
  );
}

export const churnQuestion: Question = {
  name: 'churn',
  summary: `${String(TABS)} tabs reconnecting to live, gone, mute and refusing servers: sockets and memory left afterwards`,
  run,
};
