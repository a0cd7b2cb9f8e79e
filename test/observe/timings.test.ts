// Durations in classes: quantiles to an eighth, and sums over several processes.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RequestCounters } from '../../src/observe/request-counters.ts';
import { countsReport } from '../../src/observe/reports.ts';
import { Timings } from '../../src/observe/timings.ts';

describe('timings', () => {
  it('tell quantiles to an eighth, from nanoseconds to a second', () => {
    for (const ns of [1, 7, 8, 9, 15, 16, 17, 1000, 123_456, 7_654_321, 2 ** 29 - 1, 2 ** 29, 2 ** 30 - 1]) {
      const timings = new Timings();
      timings.note(ns / 1e6);
      const seconds = timings.quantile(0.5);
      // Below eight there is a class for each.
      assert.ok(Math.abs(seconds * 1e9 - ns) <= (ns < 8 ? 1 : ns / 8), `${String(ns)}: ${String(seconds)}`);
    }
  });

  it('take anything', () => {
    const timings = new Timings();
    for (const ms of [0, -1, 1e9]) timings.note(ms);
    assert.equal(timings.count, 3);
    assert.equal(timings.quantile(0.01), 0);
    assert.ok(Math.abs(timings.quantile(1) - 1.07) < 0.1);
    assert.equal(new Timings().quantile(0.5), 0);
  });

  it('find the ranks', () => {
    const timings = new Timings();
    for (let index = 1; index <= 100; index++) timings.note(index);
    assert.ok(Math.abs(timings.quantile(0.5) - 0.05) < 0.007);
    assert.ok(Math.abs(timings.quantile(0.99) - 0.099) < 0.013);
    assert.ok(Math.abs(timings.quantile(0.01) - 0.001) < 0.0002);
  });

  it('add up, and are told once', () => {
    const [one, other, all] = [new Timings(), new Timings(), new Timings()];
    one.note(1);
    one.note(2);
    other.note(2);
    all.add(one.take());
    all.add(other.take());
    all.add(one.take());
    assert.equal(all.count, 3);
    assert.ok(Math.abs(all.seconds - 0.005) < 1e-9);
    assert.ok(Math.abs(all.quantile(0.9) - 0.002) < 0.00025);
  });
});

describe('the counters of a worker', () => {
  it('tell what is new, or nothing', () => {
    const counters = new RequestCounters();
    assert.equal(counters.take(), undefined);
    counters.web++;
    counters.ws += 2;
    for (const status of [200, 200, 404, 999]) counters.answered(status);
    counters.lookUps.note(1);
    const report = countsReport.parse(counters.take());
    assert.deepEqual(
      { ...report, lookUps: report.lookUps.classes.length },
      {
        web: 1,
        ws: 2,
        answers: [
          [200, 2],
          [404, 1],
          [999, 1],
        ],
        lookUps: 1,
        updates: { classes: [], seconds: 0 },
      },
    );
    assert.equal(counters.take(), undefined);
    counters.updates.note(1);
    assert.equal(counters.take()?.updates.classes.length, 1);
  });
});
