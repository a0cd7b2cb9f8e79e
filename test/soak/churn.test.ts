import assert from 'node:assert/strict';
import { it } from 'node:test';
import v8 from 'node:v8';
import vm from 'node:vm';
import { churn } from '../support/churn.ts';
import { Progress } from '../support/progress.ts';

const ROUNDS = Number(process.env['JTP_SOAK_CHURN_ROUNDS'] ?? 20);
const CONNECTIONS = Number(process.env['JTP_SOAK_CHURN_CONNECTIONS'] ?? 30_000);
/** What the heap may differ by from one round to another without being a slope. */
const NOISE_BYTES = 16 * 1024 * 1024;

/** Bytes in use after everything that nobody needs has been collected. */
function heapInUse(): number {
  v8.setFlagsFromString('--expose-gc');
  vm.runInNewContext('gc()');
  return process.memoryUsage().heapUsed;
}

it('leaves nothing open, and memory where it was, for as long as tabs reconnect to sick servers', async (t) => {
  const heaps: number[] = [];
  const progress = new Progress(
    `${String(ROUNDS)} rounds of ${String(CONNECTIONS)} reconnecting tabs (JTP_SOAK_CHURN_ROUNDS, JTP_SOAK_CHURN_CONNECTIONS); up to 40 minutes on a busy machine`,
    ROUNDS,
    'rounds',
  );
  await churn(t, {
    rounds: ROUNDS,
    connections: CONNECTIONS,
    afterRound: (round) => {
      progress.tell(round);
      heaps.push(heapInUse());
    },
  });
  t.diagnostic(`MiB after each round: ${heaps.map((heap) => (heap / 2 ** 20).toFixed(1)).join(' ')}`);
  const [, second = 0] = heaps;
  assert.ok((heaps.at(-1) ?? 0) < second + NOISE_BYTES, `the heap has grown: ${heaps.join(' ')}`);
});
