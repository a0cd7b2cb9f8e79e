// Question 3: what do large bodies cost?

import path from 'node:path';
import { cpuOf, medianOf, ratioToFirst } from './common/bench.ts';
import type { Bench, Question, Samples } from './common/bench.ts';
import { runWrk } from './common/load.ts';
import { figure } from './common/table.ts';

const CONNECTIONS = 16;
const UPLOAD = 'wrk.method = "PUT"\nwrk.body = string.rep("x", 1048576)\n';

async function run(bench: Bench): Promise<void> {
  const backendPort = await bench.startBackend();
  const started = [];
  for (const peer of bench.options.peers) started.push(await bench.start(peer, { backendPort, routes: 0 }));
  const urlOf = (port: number): string => `http://127.0.0.1:${String(port)}/user/zoe/files/1m`;
  bench.say('  downloads');
  const down = await bench.measure(started, ({ port }, seconds) =>
    runWrk({ url: urlOf(port), seconds, connections: CONNECTIONS }),
  );
  bench.say('  uploads');
  const up = await bench.measure(started, ({ port }, seconds) =>
    runWrk({
      url: `http://127.0.0.1:${String(port)}/user/zoe/files/upload`,
      seconds,
      connections: CONNECTIONS,
      script: { text: UPLOAD, file: path.join(bench.folder, 'upload.lua') },
    }),
  );
  const cells = (samples: Samples, name: string): string[] => [
    figure(medianOf(samples, name, cpuOf)),
    figure(ratioToFirst(samples, name, cpuOf)),
  ];
  bench.report(
    'Bodies of 1 MiB',
    ['proxy', 'CPU per download (µs)', 'ratio', 'CPU per upload (µs)', 'ratio'],
    started.map(({ name }) => [name, ...cells(down, name), ...cells(up, name)]),
  );
}

export const bodies: Question = {
  name: 'bodies',
  summary: '1 MiB down and 1 MiB up, 16 kept connections: CPU per body',
  run,
};
