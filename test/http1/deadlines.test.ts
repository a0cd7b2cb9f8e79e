import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Deadlines, SWEEP_MS } from '../../src/http1/deadlines.ts';

describe('deadlines', () => {
  it('are never over before their time, whenever they are set between two sweeps', async (t) => {
    const deadlines = new Deadlines();
    t.after(() => {
      deadlines.close();
    });
    // The sweeps alone keep no process alive.
    const alive = setInterval(() => undefined, 1000);
    t.after(() => {
      clearInterval(alive);
    });
    const limitMs = 200;
    const waits = [0.1, 0.5, 0.9].map(
      (part) =>
        new Promise<number>((resolve) => {
          setTimeout(() => {
            const setAt = performance.now();
            const timed = {
              deadline: deadlines.now + limitMs,
              onDeadline: (): void => {
                deadlines.delete(timed);
                resolve(performance.now() - setAt);
              },
            };
            deadlines.add(timed);
          }, SWEEP_MS * part);
        }),
    );
    for (const waitedMs of await Promise.all(waits)) assert.ok(waitedMs >= limitMs, String(waitedMs));
    assert.equal(deadlines.size, 0);
  });
});
