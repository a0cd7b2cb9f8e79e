// One storage backend, written for configurable-http-proxy, under that program and under our command of its name.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { startServingChp } from '../support/chp.ts';
import type { Chp } from '../support/chp.ts';
import { createChpStorage } from '../support/chp-storage.ts';
import type { ChpStorage } from '../support/chp-storage.ts';
import { temporaryFolder } from '../support/hub-store.ts';
import { until } from '../support/until.ts';
import { observe, REAL_CHP, startEcho } from './chp-peer.ts';

const PATHS = ['/user/zoe', '/user/has%40x', '/user/%E7%A7%80%E6%A8%B9', '/a%2520b', '/x%2By', '/'];

async function start(t: TestContext, storage: ChpStorage, program?: string): Promise<Chp> {
  const chp = await startServingChp(t, {
    args: storage.args,
    env: storage.env,
    ...(program === undefined ? {} : { program }),
  });
  await chp.says(/keeping routes in \//);
  return chp;
}

async function end(chp: Chp): Promise<void> {
  chp.child.kill('SIGKILL');
  await chp.exited;
}

describe('a storage backend of configurable-http-proxy', () => {
  it('holds the same for both programs, and each goes on with what the other has left', async (t) => {
    const target = await startEcho(t);
    const stores = ['real', 'ours'].map(() => createChpStorage(temporaryFolder(t)));
    const left: unknown[] = [];
    for (const [index, storage] of stores.entries()) {
      const [first, second] = index === 0 ? [REAL_CHP, undefined] : [undefined, REAL_CHP];
      const before = await start(t, storage, first);
      for (const path of PATHS) {
        const { status } = await before.call('POST', `/api/routes${path}`, { target, a: [null, 'é'] });
        assert.equal(status, 201);
      }
      assert.equal((await before.call('DELETE', '/api/routes/x%2By')).status, 204);
      await end(before);
      const routes = storage.read();
      for (const route of Object.values(routes)) assert.match(String(route['last_activity']), /^\d{4}-.*Z$/);
      left.push(Object.keys(routes));
      const after = await start(t, storage, second);
      const all = JSON.parse((await after.call('GET', '/api/routes')).text) as object;
      assert.deepEqual(Object.keys(all).sort(), Object.keys(routes).sort());
      for (const path of PATHS) {
        const { target: asked } = await observe(after, { to: 'proxy', path: `${path}/y` }, target);
        assert.equal(asked, `${path}/y`);
      }
      await until(
        () => Number(new Date(String(storage.read()['/user/zoe']?.['last_activity']))) > Date.now() - 60_000,
        'the activity',
      );
      await end(after);
    }
    assert.deepEqual(left[0], left[1]);
  });
});
