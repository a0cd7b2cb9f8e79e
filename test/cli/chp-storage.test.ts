// The configurable-http-proxy command with a storage backend of somebody's own.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { startChp, startServingChp, statusOf } from '../support/chp.ts';
import { loadStorage } from '../../src/controller/storage-module.ts';
import { createChpStorage } from '../support/chp-storage.ts';
import { listenLocally } from '../support/http-servers.ts';
import { rememberingLogger, temporaryFolder } from '../support/hub-store.ts';
import { until } from '../support/until.ts';

async function startTarget(t: TestContext): Promise<string> {
  const server = http.createServer((_asked, answer) => answer.end('ok'));
  return `http://127.0.0.1:${String(await listenLocally(t, server))}`;
}

describe('a storage backend', () => {
  it('is followed when somebody else changes it, and told when routes were used', async (t) => {
    const target = await startTarget(t);
    const storage = createChpStorage(temporaryFolder(t));
    const old = '2020-01-02T03:04:05.678Z';
    storage.write({
      '/old': { target, mine: true, last_activity: old },
      '/used': { target, last_activity: old },
      '/nonsense': { target: 'ftp://x' },
      '/number': 1,
    });
    const chp = await startServingChp(t, storage);
    assert.equal(await statusOf(chp, '/used/'), 200);
    assert.equal(await statusOf(chp, '/nonsense/'), 404);
    const { text } = await chp.call('GET', '/api/routes/old');
    assert.deepEqual(JSON.parse(text), { target, mine: true, last_activity: old });
    await until(() => storage.read()['/used']?.['last_activity'] !== old, 'the activity in the store');
    assert.equal(storage.read()['/old']?.['last_activity'], old);
    assert.match(chp.output(), /under this path is no route .*\/nonsense/);
    storage.write({ '/new': { target }, '/old': { target: 'http://127.0.0.1:1' } });
    await until(async () => (await statusOf(chp, '/new/')) === 200, 'the new route');
    assert.equal(await statusOf(chp, '/used/'), 404);
    assert.equal(await statusOf(chp, '/old/'), 503);
  });

  it('that fails changes nothing and is said once; routes are served meanwhile', async (t) => {
    const target = await startTarget(t);
    const storage = createChpStorage(temporaryFolder(t));
    const chp = await startServingChp(t, storage);
    assert.equal((await chp.call('POST', '/api/routes/a', { target })).status, 201);
    storage.write('{');
    await chp.says(/the storage backend fails/);
    assert.equal((await chp.call('POST', '/api/routes/b', { target })).status, 500);
    assert.equal(await statusOf(chp, '/a/'), 200);
    assert.equal(await statusOf(chp, '/b/'), 404);
    storage.write({ '/c': { target } });
    await chp.says(/can be reached again/);
    assert.equal((await chp.call('POST', '/api/routes/b', { target })).status, 201);
    assert.deepEqual(Object.keys(storage.read()).sort(), ['/b', '/c']);
    assert.equal(chp.output().match(/the storage backend fails/g)?.length, 1);
  });

  it('ends the start when it is none', async (t) => {
    const folder = temporaryFolder(t);
    const options = { storageBackend: 'x', hostRouting: false, defaultTarget: undefined };
    const { log } = rememberingLogger();
    const cases: readonly [string, RegExp][] = [
      ['module.exports = {};', /exports no class/],
      ['module.exports = class { getAll() {} };', /its class has no add\(\), update\(\), remove\(\)/],
      ['throw new Error("broken");', /broken/],
      ['export default class { constructor() { throw new Error("made"); } }', /made/],
    ];
    for (const [index, [text, says]] of cases.entries()) {
      const module = join(folder, `m${String(index)}.${text.startsWith('export') ? 'mjs' : 'cjs'}`);
      writeFileSync(module, text);
      await assert.rejects(loadStorage(module, options, log), (error: Error) => {
        assert.match(error.message, says);
        assert.ok(error.message.startsWith(`--storage-backend "${module}": `));
        return true;
      });
    }
    const away = join(folder, 'away.cjs');
    writeFileSync(
      away,
      'module.exports = class { getAll() { return Promise.reject(new Error("away")); } add() {} update() {} remove() {} };',
    );
    const chp = await startChp(t, { args: ['--storage-backend', away] });
    assert.equal(await chp.ended, 1);
    assert.match(chp.output(), /--storage-backend ".*away\.cjs" cannot be read: away/);
  });
});
