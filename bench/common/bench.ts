// What every question needs: which proxies take part, a server behind them, rounds in turn, and the table in the end.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { LoadResult } from './load.ts';
import type { Peer, PeerOptions, StartedPeer } from './peer.ts';
import type { Running } from './processes.ts';
import { cpuSeconds, freePort, startProgram, waitForPort } from './processes.ts';
import { figure, machine, markdownTable, median } from './table.ts';

/** How a question is asked. */
export interface BenchOptions {
  readonly rounds: number;
  readonly seconds: number;
  /** Those that are installed, HAProxy first when it is. */
  readonly peers: readonly Peer[];
}

/** One question: a script of its own that ends with a table. */
export interface Question {
  readonly name: string;
  readonly summary: string;
  run(bench: Bench): Promise<void>;
}

/** What one proxy needed in one round. */
export interface Sample extends LoadResult {
  readonly cpuMicroseconds: number;
}

/** The samples of one proxy, one per round. */
export type Samples = ReadonlyMap<string, readonly Sample[]>;

/** One run of one question. */
export class Bench {
  readonly options: BenchOptions;
  readonly folder = mkdtempSync(path.join(tmpdir(), 'jtp-bench-'));
  readonly #running: Running[] = [];

  constructor(options: BenchOptions) {
    this.options = options;
  }

  /** A line of progress, on standard error: standard output is for the table. */
  say(line: string): void {
    process.stderr.write(`${line}\n`);
  }

  /** Starts the server behind the proxies and returns its port. */
  async startBackend(): Promise<number> {
    const port = await freePort();
    const program = fileURLToPath(new URL('backend.js', import.meta.url));
    const backend = await startProgram({
      name: 'backend',
      command: process.execPath,
      args: [program, String(port)],
      logFile: path.join(this.folder, 'backend.log'),
    });
    this.#running.push(backend);
    await waitForPort(port, 10_000);
    return port;
  }

  /** Starts a proxy that ends with this run. */
  async start(
    peer: Peer,
    options: Omit<PeerOptions, 'folder' | 'workers'> & { readonly workers?: number },
  ): Promise<StartedPeer> {
    this.say(`  starting ${peer.name}`);
    const started = await peer.start({ workers: 1, ...options, folder: this.folder });
    this.#running.push(started.process);
    return started;
  }

  /** Lets a program end with this run. */
  keep(program: Running): void {
    this.#running.push(program);
  }

  /**
   * Each proxy in turn, round after round, so that a slow moment of the machine meets all of them. One short round before that warms
   * them up and is not counted.
   */
  async measure(
    started: readonly StartedPeer[],
    load: (peer: StartedPeer, seconds: number) => Promise<LoadResult>,
  ): Promise<Samples> {
    const { rounds, seconds } = this.options;
    const samples = new Map<string, Sample[]>(started.map(({ name }) => [name, []]));
    for (const peer of started) await load(peer, Math.max(3, seconds));
    for (let round = 1; round <= rounds; round++) {
      for (const peer of started) {
        const before = cpuSeconds(peer.process.pid);
        const result = await load(peer, seconds);
        const spent = cpuSeconds(peer.process.pid) - before;
        const sample = { ...result, cpuMicroseconds: (spent * 1e6) / result.requests };
        samples.get(peer.name)?.push(sample);
        this.say(
          `  round ${String(round)}/${String(rounds)} ${peer.name}: ${figure(sample.cpuMicroseconds)} µs of CPU per request, ${figure(result.perSecond)}/s`,
        );
      }
    }
    return samples;
  }

  /** A title, a table, and what it was measured on. */
  report(title: string, header: readonly string[], rows: readonly (readonly string[])[]): void {
    const versions = this.options.peers.map((peer) => `${peer.name} ${peer.version() ?? ''}`.trim());
    process.stdout.write(
      `\n### ${title}\n\n${markdownTable(header, rows)}\n\n` +
        `${machine()}; ${versions.join(', ')}; one worker each, median of ${String(this.options.rounds)} rounds of ${String(this.options.seconds)} s.\n`,
    );
  }

  /** Ends everything that was started. */
  async close(): Promise<void> {
    for (const program of this.#running.splice(0).reverse()) await program.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** One figure of a proxy: the median over the rounds. */
export function medianOf(samples: Samples, name: string, pick: (sample: Sample) => number): number {
  return median((samples.get(name) ?? []).map(pick));
}

/** How much more than another proxy: the median of the ratios within each round, which a slow machine changes least. */
export function ratioTo(
  samples: Samples,
  name: string,
  base: string,
  pick: (sample: Sample) => number,
): number {
  const bases = samples.get(base) ?? [];
  return median(
    (samples.get(name) ?? []).map((sample, round) => {
      const other = bases[round];
      return other === undefined ? NaN : pick(sample) / pick(other);
    }),
  );
}

/** The ratio to the first proxy, which is HAProxy when it is installed. */
export function ratioToFirst(samples: Samples, name: string, pick: (sample: Sample) => number): number {
  const [first = ''] = samples.keys();
  return ratioTo(samples, name, first, pick);
}

export const cpuOf = (sample: Sample): number => sample.cpuMicroseconds;
