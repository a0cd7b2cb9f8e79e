// Question 5: what does a new connection for each request cost, and what do two workers change about it?

import { cpuOf, medianOf, ratioToFirst } from './common/bench.ts';
import type { Bench, Question } from './common/bench.ts';
import { BROWSER_HEADERS, runWrk } from './common/load.ts';
import type { StartedPeer } from './common/peer.ts';
import { figure } from './common/table.ts';

const CONNECTIONS = 32;

async function run(bench: Bench): Promise<void> {
  const backendPort = await bench.startBackend();
  const started: StartedPeer[] = [];
  for (const peer of bench.options.peers) {
    started.push(await bench.start(peer, { backendPort, routes: 0 }));
    if (peer.isOurs !== true) continue;
    const { port, process } = await bench.start(peer, { backendPort, routes: 0, workers: 2 });
    started.push({ name: `${peer.name}, 2 workers`, port, process });
  }
  const samples = await bench.measure(started, ({ port }, seconds) =>
    runWrk({
      url: `http://127.0.0.1:${String(port)}/user/zoe/api/status`,
      seconds,
      connections: CONNECTIONS,
      headers: [...BROWSER_HEADERS, ['Connection', 'close']],
    }),
  );
  bench.report(
    'A new connection for each request',
    ['proxy', 'CPU per request (µs)', 'ratio', 'requests/s'],
    started.map(({ name }) => [
      name,
      figure(medianOf(samples, name, cpuOf)),
      figure(ratioToFirst(samples, name, cpuOf)),
      figure(medianOf(samples, name, (sample) => sample.perSecond)),
    ]),
  );
}

export const connections: Question = {
  name: 'connections',
  summary: 'small GET, each on a new connection, 32 at a time; one worker and two',
  run,
};
