// How long does it take until another worker accepts in the place of one that was killed, with a small table and with large ones?

import { setTimeout as sleep } from 'node:timers/promises';
import type { Bench, Question } from './common/bench.ts';
import { jtpPeer } from './common/peer-traefik.ts';
import { memoryBytes } from './common/processes.ts';
import { figure, machine, markdownTable, median } from './common/table.ts';
import { isAccepting, processesTitled, untilTrue } from './common/watching.ts';

const SIZES = [10, 10_000, 100_000];
/** A worker that dies again within five seconds waits before it is replaced. */
const PAUSE_MS = 6000;

async function measure(bench: Bench, routes: number): Promise<string[]> {
  const backendPort = await bench.startBackend();
  const { port, process: engine } = await bench.start(jtpPeer(), { backendPort, routes, workers: 2 });
  const times: number[] = [];
  const accepting = (): number[] =>
    processesTitled(engine.pid, 'jtp worker').filter((pid) => isAccepting(pid, port));
  await untilTrue(() => accepting().length === 2, 'the start');
  const bytes = memoryBytes(engine.pid);
  for (let round = 0; round < bench.options.rounds; round++) {
    await sleep(PAUSE_MS);
    const [victim = 0] = accepting();
    process.kill(victim, 'SIGKILL');
    times.push(await untilTrue(() => accepting().filter((pid) => pid !== victim).length === 2, 'recovery'));
    bench.say(`  ${String(routes)} routes: another worker after ${figure(times.at(-1) ?? NaN)} ms`);
  }
  await engine.stop();
  return [String(routes), figure(median(times)), figure(Math.max(...times)), figure(bytes / 2 ** 20)];
}

async function run(bench: Bench): Promise<void> {
  const rows: string[][] = [];
  for (const routes of SIZES) rows.push(await measure(bench, routes));
  process.stdout.write(
    `\n### Replaced workers\n\nOne worker of two is killed, ${String(bench.options.rounds)} times.\n\n` +
      `${markdownTable(['routes', 'until another accepts: median (ms)', 'slowest (ms)', 'all processes (MiB)'], rows)}\n\n${machine()}.\n`,
  );
}

export const replacement: Question = {
  name: 'replacement',
  summary: 'how long until another worker accepts in the place of a killed one: 10, 10,000, 100,000 routes',
  run,
};
