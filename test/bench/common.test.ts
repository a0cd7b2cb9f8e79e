import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  cpuSeconds,
  descriptorCount,
  freePort,
  memoryBytes,
  startProgram,
  waitForPort,
} from '../../bench/common/processes.ts';
import { figure, markdownTable, median, percentile } from '../../bench/common/table.ts';

/** The port that a program has written into its log. */
async function portIn(logFile: string): Promise<number> {
  const end = performance.now() + 20_000;
  while (performance.now() < end) {
    const text = readFileSync(logFile, 'utf8');
    if (text.endsWith('\n')) return Number(text);
    await sleep(20);
  }
  throw new Error('the program did not listen');
}

describe('figures', () => {
  for (const { values, want } of [
    { values: [3], want: 3 },
    { values: [3, 1, 2], want: 2 },
    { values: [4, 1, 2, 3], want: 2.5 },
  ])
    it(`finds the median of ${values.join(', ')}`, () => {
      assert.equal(median(values), want);
    });

  it('finds percentiles', () => {
    const sorted = Array.from({ length: 1000 }, (_, index) => index);
    assert.equal(percentile(sorted, 0.99), 990);
    assert.equal(percentile([7], 0.999), 7);
  });

  for (const [value, want] of [
    [0, '0'],
    [1.678, '1.68'],
    [33.64, '33.6'],
    [16382.2, '16382'],
    [0.01234, '0.0123'],
    [NaN, '–'],
  ] as const)
    it(`writes ${String(value)} as ${want}`, () => {
      assert.equal(figure(value), want);
    });

  it('aligns a table', () => {
    assert.equal(
      markdownTable(['a', 'bcde'], [['xyzw', '1']]),
      '| a    | bcde |\n|------|------|\n| xyzw | 1    |',
    );
  });
});

describe('programs', { skip: process.platform === 'linux' ? false : 'costs are read from /proc' }, () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'jtp-bench-test-'));
  after(() => {
    rmSync(folder, { recursive: true });
  });

  it('reads what a program and its children cost, and ends all of them', async (t) => {
    // A parent whose child does the work, so that only a whole tree shows it.
    const work =
      'while (process.cpuUsage().user < 150_000); ' +
      "require('net').createServer().listen(0, '127.0.0.1', function () { console.log(this.address().port) })";
    const logFile = path.join(folder, 'parent.log');
    const program = await startProgram({
      name: 'parent',
      command: process.execPath,
      args: [
        '-e',
        `require('child_process').spawn(process.execPath, ['-e', ${JSON.stringify(work)}], { stdio: 'inherit' }); setInterval(() => {}, 1000)`,
      ],
      logFile,
    });
    t.after(() => program.stop());
    const port = await portIn(logFile);
    await waitForPort(port, 20_000, program);
    assert.ok(cpuSeconds(program.pid) >= 0.14);
    assert.ok(memoryBytes(program.pid) > 2 ** 20);
    const sockets = descriptorCount(program.pid, 'socket:');
    assert.ok(sockets >= 1 && sockets < descriptorCount(program.pid));
    await program.stop();
    assert.equal(program.hasEnded(), true);
    await assert.rejects(waitForPort(port, 200));
  });

  it('does not wait for a program that has ended', async () => {
    const program = await startProgram({
      name: 'short',
      command: process.execPath,
      args: ['-e', ''],
      logFile: path.join(folder, 'program.log'),
    });
    await assert.rejects(waitForPort(await freePort(), 60_000, program), /nothing listens/);
    await program.stop();
  });
});
