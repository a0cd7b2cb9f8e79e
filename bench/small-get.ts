// Question 1: what does one small request cost, and how long does it take at half of what the proxy can do?

import { cpuOf, medianOf, ratioToFirst } from './common/bench.ts';
import type { Bench, Question } from './common/bench.ts';
import { runPaced, runWrk } from './common/load.ts';
import { figure, median } from './common/table.ts';

async function run(bench: Bench): Promise<void> {
  const backendPort = await bench.startBackend();
  const started = [];
  for (const peer of bench.options.peers) started.push(await bench.start(peer, { backendPort, routes: 0 }));
  const samples = await bench.measure(started, ({ port }, seconds) =>
    runWrk({ url: `http://127.0.0.1:${String(port)}/user/zoe/api/status`, seconds }),
  );
  const p99 = new Map<string, number[]>(started.map(({ name }) => [name, []]));
  for (let round = 1; round <= bench.options.rounds; round++)
    for (const { name, port } of started) {
      const perSecond = Math.round(medianOf(samples, name, (sample) => sample.perSecond) / 2);
      const paced = await runPaced({ port, perSecond, seconds: bench.options.seconds });
      p99.get(name)?.push(paced.p99Ms);
      bench.say(
        `  round ${String(round)}/${String(bench.options.rounds)} ${name}: p99 ${figure(paced.p99Ms)} ms at ${String(perSecond)}/s`,
      );
    }
  bench.report(
    'Small GET over kept connections',
    ['proxy', 'CPU per request (µs)', 'ratio', 'requests/s', 'p99 at half of that (ms)'],
    started.map(({ name }) => [
      name,
      figure(medianOf(samples, name, cpuOf)),
      figure(ratioToFirst(samples, name, cpuOf)),
      figure(medianOf(samples, name, (sample) => sample.perSecond)),
      figure(median(p99.get(name) ?? [])),
    ]),
  );
}

export const smallGet: Question = {
  name: 'small-get',
  summary:
    'GET of 60 bytes, browser-sized headers, 64 kept connections: CPU per request, p99 at half the saturation rate',
  run,
};
