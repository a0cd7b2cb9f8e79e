import assert from 'node:assert/strict';
import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { MemoryTable } from '../../src/controller/memory-table.ts';
import { routeName } from '../../src/hub/routespec.ts';
import { RememberingEngine, temporaryFolder, userRoute } from '../support/hub-store.ts';

const ELEMENTS = { entryPoint: 'public', preservePath: true };

async function start(file: string): Promise<{ table: MemoryTable; engine: RememberingEngine }> {
  const engine = new RememberingEngine();
  const table = new MemoryTable({ file, engine, elements: ELEMENTS });
  await table.start();
  return { table, engine };
}

const router = (name: string): string => routeName('router', `/user/${name}/`);

describe('routes in memory', () => {
  it('are what its successor starts with, whatever was being written at the end', async (t) => {
    const file = join(temporaryFolder(t), 'routes.jsonl');
    const { table, engine } = await start(file);
    await table.change({ add: [userRoute('a', 1), userRoute('b', 2)], remove: [] });
    await table.change({ add: [userRoute('a', 3)], remove: ['/user/b', '/user/none/'] });
    assert.deepEqual([...engine.targets], [[router('a'), 'http://127.0.0.1:3']]);
    appendFileSync(file, '{"delete":"/user/a/"');
    const { table: next, engine: nextEngine } = await start(file);
    assert.deepEqual([...next.routes.values()], [userRoute('a', 3)]);
    assert.deepEqual([...nextEngine.targets], [[router('a'), 'http://127.0.0.1:3']]);
  });

  it('do not let the file grow with the number of changes', async (t) => {
    const file = join(temporaryFolder(t), 'routes.jsonl');
    const { table } = await start(file);
    for (let change = 0; change < 2500; change++)
      await table.change({ add: [userRoute('a', change + 1)], remove: [] });
    assert.ok(readFileSync(file, 'utf8').split('\n').length < 1100);
    assert.equal((await start(file)).table.routes.get('/user/a/')?.target, 'http://127.0.0.1:2500');
  });

  it('refuse what cannot be routed, and stay as they are', async (t) => {
    const { table, engine } = await start(join(temporaryFolder(t), 'routes.jsonl'));
    await assert.rejects(
      table.change({ add: [{ routespec: '/a/', target: 'ftp://x', data: {} }], remove: [] }),
      { code: 'JTP_ERR_ROUTE_INVALID' },
    );
    assert.equal(table.routes.size, 0);
    assert.equal(engine.targets.size, 0);
  });
});
