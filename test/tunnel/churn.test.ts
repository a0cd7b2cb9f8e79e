import { it } from 'node:test';
import { churn } from '../support/churn.ts';

// The bounded sample of `npm run bench -- churn` and of test/soak/churn.test.ts.
it('leaves nothing open when tabs have stopped reconnecting to sick servers', async (t) => {
  await churn(t, { rounds: 1, connections: 600 });
});
