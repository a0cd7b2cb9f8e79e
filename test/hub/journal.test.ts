import assert from 'node:assert/strict';
import {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { parseDynamicConfiguration } from '../../src/config/load-dynamic.ts';
import { ProxyError } from '../../src/errors.ts';
import { FaultyFileSystem } from '../support/faulty-file-system.ts';
import { makeStore, temporaryFolder, userRoute } from '../support/hub-store.ts';
import type { StoreOptions } from '../support/hub-store.ts';
import { until } from '../support/until.ts';

interface Fixture {
  readonly path: string;
  readonly journal: string;
  readonly open: (options?: StoreOptions) => ReturnType<typeof makeStore>;
}

function fixture(t: TestContext): Fixture {
  const path = join(temporaryFolder(t), 'rules.toml');
  return { path, journal: `${path}.journal`, open: (options) => makeStore(t, path, options) };
}

async function add(store: ReturnType<typeof makeStore>['store'], ...names: string[]): Promise<void> {
  await store.change({ add: names.map((name) => userRoute(name)), remove: [] });
}

function namesOf({ store }: ReturnType<typeof makeStore>): string[] {
  return [...store.routes.keys()].sort();
}

function routersOf(path: string): number {
  return parseDynamicConfiguration(readFileSync(path, 'utf8'), path).routers.size;
}

/** As after kill -9: nothing is finished. */
function kill(fs: FaultyFileSystem): void {
  fs.isDead = true;
}

describe('the journal of routes', () => {
  it('is a file of its own with mode 0600, and grows by what a change is long', async (t) => {
    const { journal, open } = fixture(t);
    const { store } = open();
    await store.start();
    assert.equal(statSync(journal).mode & 0o777, 0o600);
    await add(store, ...Array.from({ length: 2000 }, (_, index) => `u${String(index)}`));
    const before = statSync(journal).size;
    await add(store, 'zoe');
    assert.ok(statSync(journal).size - before < 300);
    assert.match(readFileSync(journal, 'utf8').trimEnd().split('\n').at(-1) ?? '', /^[0-9a-f]{8} \{.*zoe/);
  });

  it('has what the routes file does not have yet', async (t) => {
    const { path, open } = fixture(t);
    const fs = new FaultyFileSystem();
    const first = open({ fs });
    await first.store.start();
    await add(first.store, 'amy');
    await first.store.reload();
    await add(first.store, 'zoe');
    kill(fs);
    assert.equal(routersOf(path), 1);
    const second = open();
    await second.store.start();
    assert.deepEqual(namesOf(second), ['/user/amy/', '/user/zoe/']);
    assert.equal(second.engine.targets.size, 2);
    await until(() => routersOf(path) === 2, 'the routes file to follow');
    assert.deepEqual(second.lines, []);
  });

  it('follows a burst of changes with the routes file within a moment, without being asked', async (t) => {
    const { path, open } = fixture(t);
    const { store } = open();
    await store.start();
    for (let index = 0; index < 50; index++) await add(store, `u${String(index)}`);
    await until(() => routersOf(path) === 50, 'the routes file');
  });

  it('saves the next start the routes file, if that is as we left it', async (t) => {
    const { path, open } = fixture(t);
    const first = open();
    await first.store.start();
    await add(first.store, 'zoe');
    await first.store.stop();
    const before = readFileSync(path);
    const fs = new FaultyFileSystem();
    const read: string[] = [];
    const watching = Object.assign(fs, {
      read: (file: string) => {
        read.push(file);
        return Promise.resolve(readFileSync(file, 'utf8'));
      },
    });
    const second = open({ fs: watching });
    await second.store.start();
    assert.deepEqual(read, [`${path}.journal`]);
    assert.deepEqual(namesOf(second), ['/user/zoe/']);
    assert.deepEqual(readFileSync(path), before);
  });

  for (const { name, damage, line } of [
    {
      name: 'emptied',
      damage: (path: string) => {
        truncateSync(path);
      },
      line: /emptied by somebody else and is restored/,
    },
    {
      name: 'removed',
      damage: (path: string) => {
        rmSync(path);
      },
      line: /removed by somebody else and is restored/,
    },
    {
      name: 'broken',
      damage: (path: string) => {
        appendFileSync(path, '[http.');
      },
      line: /cannot be used as it is and is restored/,
    },
    {
      name: 'robbed of its routes',
      damage: (path: string) => {
        writeFileSync(path, '# Generation 2. \n[http.routers.late]\nrule = "Path(`/`)"\nservice = "x"\n');
      },
      line: /the routes of the hub are restored, other changes are kept/,
    },
  ])
    it(`heals a routes file that was ${name} while nobody looked`, async (t) => {
      const { path, open } = fixture(t);
      writeFileSync(path, '[http.routers.admin]\nrule = "Path(`/a`)"\nservice = "x"\n');
      const fs = new FaultyFileSystem();
      const first = open({ fs });
      await first.store.start();
      await add(first.store, 'amy');
      await first.store.reload();
      await add(first.store, 'zoe');
      await first.store.reload();
      kill(fs);
      damage(path);
      const second = open();
      await second.store.start();
      assert.deepEqual(namesOf(second), ['/user/amy/', '/user/zoe/']);
      await second.store.reload();
      const { routers } = parseDynamicConfiguration(readFileSync(path, 'utf8'), path);
      assert.equal(routers.size, 3);
      assert.ok(routers.has(name === 'robbed of its routes' ? 'late' : 'admin'));
      assert.equal(second.lines.length, 1, JSON.stringify(second.lines));
      assert.match(String(second.lines[0]?.['msg']), line);
    });

  it('gives way to a routes file of a higher generation', async (t) => {
    const { path, open } = fixture(t);
    const first = open();
    await first.store.start();
    await add(first.store, 'amy');
    await first.store.stop();
    // Another engine was used for a while, and the journal could not be removed.
    const between = open({ usesJournal: false });
    const kept = readFileSync(`${path}.journal`);
    await between.store.start();
    await add(between.store, 'zoe');
    await between.store.change({ add: [], remove: ['/user/amy/'] });
    await between.store.stop();
    assert.ok(!existsSync(`${path}.journal`));
    writeFileSync(`${path}.journal`, kept);
    const last = open();
    await last.store.start();
    assert.deepEqual(namesOf(last), ['/user/zoe/']);
  });

  it('drops a torn last line in silence, and goes on', async (t) => {
    const { journal, open } = fixture(t);
    const fs = new FaultyFileSystem();
    const first = open({ fs });
    await first.store.start();
    await add(first.store, 'amy');
    kill(fs);
    appendFileSync(journal, '0a0b0c0d {"generation":9,"set":[');
    const second = open();
    await second.store.start();
    assert.deepEqual(namesOf(second), ['/user/amy/']);
    await add(second.store, 'zoe');
    await second.store.stop();
    const third = open();
    await third.store.start();
    assert.deepEqual(namesOf(third), ['/user/amy/', '/user/zoe/']);
    assert.deepEqual([...second.lines, ...third.lines], []);
  });

  it('uses the other lines when one is damaged, and says so', async (t) => {
    const { journal, open } = fixture(t);
    const fs = new FaultyFileSystem();
    const first = open({ fs });
    await first.store.start();
    for (const name of ['amy', 'bob', 'zoe']) await add(first.store, name);
    kill(fs);
    writeFileSync(journal, readFileSync(journal, 'utf8').replaceAll('bob', 'b0b'));
    const second = open();
    await second.store.start();
    assert.deepEqual(namesOf(second), ['/user/amy/', '/user/zoe/']);
    assert.match(String(second.lines[0]?.['msg']), /lines of the journal of routes are damaged/);
  });

  it('is kept beside when its beginning is damaged, and the routes file is used', async (t) => {
    const { journal, open } = fixture(t);
    const first = open();
    await first.store.start();
    await add(first.store, 'amy');
    await first.store.stop();
    writeFileSync(journal, `x${readFileSync(journal, 'utf8')}`);
    const second = open();
    await second.store.start();
    assert.deepEqual(namesOf(second), ['/user/amy/']);
    assert.match(
      String(second.lines[0]?.['msg']),
      /the journal of routes is damaged; the routes file is used/,
    );
    assert.ok(existsSync(`${journal}.broken`));
  });

  for (const { name, harm } of [
    {
      name: 'removed',
      harm: (journal: string) => {
        rmSync(journal);
      },
    },
    {
      name: 'truncated',
      harm: (journal: string) => {
        truncateSync(journal);
      },
    },
    {
      name: 'added to',
      harm: (journal: string) => {
        appendFileSync(journal, 'x');
      },
    },
  ])
    it(`is whole again before the next change is answered when somebody has ${name} it`, async (t) => {
      const { path, journal, open } = fixture(t);
      const fs = new FaultyFileSystem();
      const first = open({ fs });
      await first.store.start();
      await add(first.store, 'amy');
      harm(journal);
      await add(first.store, 'zoe');
      kill(fs);
      rmSync(path);
      const second = open();
      await second.store.start();
      assert.deepEqual(namesOf(second), ['/user/amy/', '/user/zoe/']);
    });

  it('is restored when somebody removes it, although nothing changes', async (t) => {
    const { journal, open } = fixture(t);
    const { store, lines } = open();
    await store.start();
    await add(store, 'amy');
    rmSync(journal);
    await store.reload();
    assert.ok(existsSync(journal));
    assert.match(String(lines[0]?.['msg']), /journal of routes was removed or changed by somebody else/);
  });

  it('is written anew when it has grown, while changes go on', async (t) => {
    const { path, journal, open } = fixture(t);
    const fs = new FaultyFileSystem();
    const first = open({ fs, shortJournalBytes: 4000 });
    await first.store.start();
    for (let round = 0; round < 40; round++)
      await Promise.all(
        Array.from({ length: 10 }, (_, index) =>
          first.store.change({ add: [userRoute(`u${String(index)}`, 1 + round)], remove: [] }),
        ),
      );
    assert.ok(statSync(journal).size < 40_000, String(statSync(journal).size));
    kill(fs);
    rmSync(path);
    const second = open();
    await second.store.start();
    assert.deepEqual(
      [...new Set([...second.store.routes.values()].map(({ target }) => target))],
      ['http://127.0.0.1:40'],
    );
    assert.equal(second.store.routes.size, 10);
  });

  it('is done without where the folder cannot be written to, which is said once', async (t) => {
    const { path, journal, open } = fixture(t);
    writeFileSync(path, '');
    const fs = new FaultyFileSystem();
    // The file can be written, its folder cannot.
    fs.plan = (operation) =>
      ['create', 'openLog', 'rename', 'remove'].includes(operation)
        ? { kind: 'fail', code: 'EACCES' }
        : undefined;
    const first = open({ fs });
    await first.store.start();
    await add(first.store, 'amy');
    await add(first.store, 'zoe');
    assert.equal(routersOf(path), 2);
    assert.ok(!existsSync(journal));
    assert.equal(first.lines.filter(({ msg }) => /no journal of routes/.test(String(msg))).length, 1);
    await first.store.stop();
    const second = open();
    await second.store.start();
    assert.deepEqual(namesOf(second), ['/user/amy/', '/user/zoe/']);
  });

  it('has nothing of a change that was refused, even when half of it was written', async (t) => {
    const { path, open } = fixture(t);
    const fs = new FaultyFileSystem();
    const first = open({ fs });
    await first.store.start();
    await add(first.store, 'amy');
    await first.store.reload();
    for (const operation of ['write', 'truncate']) {
      fs.plan = (happening) =>
        ['write', operation].includes(happening) ? { kind: 'fail', code: 'ENOSPC' } : undefined;
      await assert.rejects(
        add(first.store, 'refused'),
        (error) =>
          error instanceof ProxyError &&
          error.code === 'JTP_ERR_STORE_WRITE' &&
          /disk is full/.test(error.message),
      );
    }
    fs.plan = () => undefined;
    await add(first.store, 'zoe');
    kill(fs);
    rmSync(path);
    const second = open();
    await second.store.start();
    assert.deepEqual(namesOf(second), ['/user/amy/', '/user/zoe/']);
    assert.deepEqual(
      readdirSync(join(path, '..')).filter((name) => name.includes('.tmp-')),
      [],
    );
  });
});
