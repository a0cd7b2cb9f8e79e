import assert from 'node:assert/strict';
import { it } from 'node:test';
import { runHastyLoad } from '../support/hasty.ts';

const REQUESTS = Number(process.env['JTP_SOAK_REQUESTS'] ?? 1_050_000);

it('executes a million requests once, whatever a server that closes connections at random does', async (t) => {
  const outcome = await runHastyLoad(t, { requests: REQUESTS, clients: 24 });
  t.diagnostic(`${String(outcome.repeated)} repeated, ${String(outcome.lost)} lost`);
  assert.equal(outcome.answered, REQUESTS);
  assert.deepEqual(outcome.failedIdempotent, []);
  assert.equal(outcome.executedTwice, 0);
  assert.equal(outcome.neverExecuted, 0);
  assert.equal(outcome.failedOthers, outcome.lost);
  assert.ok(outcome.lost < REQUESTS / 10_000, `${String(outcome.lost)} requests were lost`);
});
