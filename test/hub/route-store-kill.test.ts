// A sample of what test/soak/kill-store.test.ts does a thousand times.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { killStores } from '../support/store-killer.ts';

describe('a route store that is killed', () => {
  for (const usesJournal of [true, false])
    it(`has every acknowledged route when it is started again, ${usesJournal ? 'with' : 'without'} a journal`, async (t) => {
      assert.ok((await killStores(t, { kills: usesJournal ? 8 : 4, seed: Date.now(), usesJournal })) > 0);
    });
});
