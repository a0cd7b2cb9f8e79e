// The h11 library as an oracle: another program reads the same bytes and says what requests are in them.

import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { ROOT } from '../support/traefik-binary.ts';

/** What h11 makes of a stream. */
export interface Verdict {
  readonly requests: readonly { readonly method: string; readonly target: string; readonly body: string }[];
  /** A request was under way when the bytes ended. */
  readonly partial: boolean;
  readonly error: string | null;
}

/** Asks one stream after the other. */
export type Oracle = (bytes: string) => Promise<Verdict>;

/** The oracle, or why there is none. */
export function startH11(t: TestContext): Oracle | string {
  const python = process.env['JTP_PYTHON'] ?? 'python3';
  if (spawnSync(python, ['-c', 'import h11'], { stdio: 'ignore' }).status !== 0) {
    const reason = 'h11 is not installed: npm run test:fuzz installs it';
    if (process.env['JTP_CI'] === '1') throw new Error(reason);
    return reason;
  }
  const child = spawn(python, [join(ROOT, 'test', 'fuzz', 'h11_oracle.py')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.after(() => {
    child.kill('SIGKILL');
  });
  const waiting: ((verdict: Verdict) => void)[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    waiting.shift()?.(JSON.parse(line) as Verdict);
  });
  return (bytes) => {
    child.stdin.write(`${JSON.stringify({ id: 0, bytes: Buffer.from(bytes, 'latin1').toString('hex') })}\n`);
    return new Promise((resolve) => waiting.push(resolve));
  };
}
