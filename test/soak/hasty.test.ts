import assert from 'node:assert/strict';
import { it } from 'node:test';
import { runHastyLoad } from '../support/hasty.ts';
import { Progress } from '../support/progress.ts';

const REQUESTS = Number(process.env['JTP_SOAK_REQUESTS'] ?? 1_050_000);

it('executes a million requests once, whatever a server that closes connections at random does', async (t) => {
  const progress = new Progress(
    `${String(REQUESTS)} requests to a server that closes connections (JTP_SOAK_REQUESTS); up to 50 minutes on a busy machine`,
    REQUESTS,
    'requests',
  );
  const outcome = await runHastyLoad(t, {
    requests: REQUESTS,
    clients: 24,
    onProgress: (requests) => {
      progress.tell(requests);
    },
  });
  t.diagnostic(`${String(outcome.repeated)} repeated, ${String(outcome.lost)} lost`);
  assert.equal(outcome.answered, REQUESTS);
  assert.deepEqual(outcome.failedIdempotent, []);
  assert.equal(outcome.executedTwice, 0);
  assert.equal(outcome.neverExecuted, 0);
  assert.equal(outcome.failedOthers, outcome.lost);
  assert.ok(outcome.lost < REQUESTS / 10_000, `${String(outcome.lost)} requests were lost`);
});
