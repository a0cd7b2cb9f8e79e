import assert from 'node:assert/strict';
import { it } from 'node:test';
import { runHastyLoad } from '../support/hasty.ts';

// The bounded sample of test/soak/hasty.test.ts.
const REQUESTS = 20_000;

it('executes requests once, whatever a server that closes connections at random does', async (t) => {
  const outcome = await runHastyLoad(t, { requests: REQUESTS, clients: 24 });
  assert.equal(outcome.answered, REQUESTS);
  assert.deepEqual(outcome.failedIdempotent, []);
  assert.equal(outcome.executedTwice, 0);
  assert.equal(outcome.neverExecuted, 0);
  assert.equal(outcome.failedOthers, outcome.lost);
  assert.ok(outcome.lost <= REQUESTS / 10_000, `${String(outcome.lost)} requests were lost`);
  assert.ok(outcome.repeated > 0, 'the server never closed a connection at the wrong moment');
});
