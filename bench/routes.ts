// Question 2: what does a small request cost when the table is large?

import path from 'node:path';
import { cpuOf, medianOf, ratioTo } from './common/bench.ts';
import type { Bench, Question } from './common/bench.ts';
import { runWrk } from './common/load.ts';
import type { StartedPeer } from './common/peer.ts';
import { routePath } from './common/peer.ts';
import { figure } from './common/table.ts';

const OWN_SIZES = [10, 1000, 10_000, 100_000];
const OTHER_SIZES = [10, 10_000];
/** Requests go to so many routes, spread over the whole table. */
const ASKED = 1000;

function script(routes: number): string {
  const asked = Math.min(routes, ASKED);
  const step = Math.floor(routes / asked);
  const paths = Array.from({ length: asked }, (_, index) => `"${routePath(index * step)}api/status"`);
  return (
    `local paths = { ${paths.join(', ')} }\nlocal requests = {}\nlocal at = 0\n` +
    'init = function() for i = 1, #paths do requests[i] = wrk.format("GET", paths[i]) end end\n' +
    'request = function() at = at % #requests + 1; return requests[at] end\n'
  );
}

async function run(bench: Bench): Promise<void> {
  const backendPort = await bench.startBackend();
  const started: (StartedPeer & { readonly routes: number })[] = [];
  const { peers } = bench.options;
  for (const peer of peers)
    for (const routes of peer.isOurs === true ? OWN_SIZES : OTHER_SIZES) {
      const { port, process } = await bench.start(peer, { backendPort, routes });
      started.push({ name: `${peer.name}, ${String(routes)} routes`, port, process, routes });
    }
  const sizes = new Map(started.map(({ name, routes }) => [name, routes]));
  const samples = await bench.measure(started, ({ name, port }, seconds) => {
    const routes = sizes.get(name) ?? 1;
    const file = path.join(bench.folder, `routes-${String(routes)}.lua`);
    return runWrk({
      url: `http://127.0.0.1:${String(port)}`,
      seconds,
      script: { text: script(routes), file },
    });
  });
  const [smallest = 10] = OWN_SIZES;
  bench.report(
    'Small GET with a large table',
    [
      'proxy',
      ...OWN_SIZES.map((size) => `${String(size)} routes (µs)`),
      ...OWN_SIZES.slice(1).map((size) => `${String(size)} ÷ 10`),
    ],
    peers.map((peer) => {
      const nameOf = (size: number): string => `${peer.name}, ${String(size)} routes`;
      return [
        peer.name,
        ...OWN_SIZES.map((size) => figure(medianOf(samples, nameOf(size), cpuOf))),
        ...OWN_SIZES.slice(1).map((size) => figure(ratioTo(samples, nameOf(size), nameOf(smallest), cpuOf))),
      ];
    }),
  );
}

export const routes: Question = {
  name: 'routes',
  summary: 'the same with 10, 1,000, 10,000 and 100,000 routes (others: 10 and 10,000)',
  run,
};
