import assert from 'node:assert/strict';
import { readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parseDynamicConfiguration } from '../../src/config/load-dynamic.ts';
import { ProxyError } from '../../src/errors.ts';
import { routeName } from '../../src/hub/routespec.ts';
import { FaultyFileSystem } from '../support/faulty-file-system.ts';
import { makeStore, RememberingEngine, temporaryFolder, userRoute } from '../support/hub-store.ts';
import { until } from '../support/until.ts';

const ADMIN = `
[http.routers.admin]
rule = "Host(\`admin.example\`)"
service = "admin"
[http.services.admin.loadBalancer]
servers = [{ url = "http://127.0.0.1:7" }]
`;

function read(path: string): string {
  return readFileSync(path, 'utf8');
}

/** Valid again, with our route as it was. */
function isHealed(path: string): boolean {
  try {
    const { services } = parseDynamicConfiguration(read(path), path);
    const service = services.get(routeName('service', '/user/zoe/'));
    return service?.loadBalancer?.servers[0]?.url === 'http://127.0.0.1:50001' && !read(path).includes('/x/');
  } catch {
    // Broken, or not there.
    return false;
  }
}

describe('the route store', () => {
  it('makes an empty file at start and gives the engine an empty table', async (t) => {
    const path = join(temporaryFolder(t), 'rules.toml');
    const { store, engine } = makeStore(t, path);
    await store.start();
    assert.equal(parseDynamicConfiguration(read(path), path).routers.size, 0);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(engine.replacements, 1);
  });

  it('has a route in the file, in memory and in the engine when the change is answered', async (t) => {
    const path = join(temporaryFolder(t), 'rules.toml');
    const { store, engine } = makeStore(t, path);
    await store.start();
    await store.change({ add: [userRoute('zoe')], remove: [] });
    assert.deepEqual([...store.routes.values()], [userRoute('zoe')]);
    assert.equal(engine.targets.get(routeName('router', '/user/zoe/')), 'http://127.0.0.1:50001');
    await store.reload();
    assert.ok(parseDynamicConfiguration(read(path), path).routers.has(routeName('router', '/user/zoe/')));
    await store.change({ add: [], remove: ['/user/zoe'] });
    assert.equal(store.routes.size, 0);
    assert.equal(engine.targets.size, 0);
    await store.reload();
    assert.equal(parseDynamicConfiguration(read(path), path).routers.size, 0);
  });

  it('replaces a route as a whole', async (t) => {
    const { store, engine } = makeStore(t, join(temporaryFolder(t), 'rules.toml'));
    await store.start();
    await store.change({ add: [{ ...userRoute('zoe'), data: { old: 1 } }], remove: [] });
    await store.change({ add: [userRoute('zoe', 2)], remove: [] });
    assert.deepEqual([...store.routes.values()], [userRoute('zoe', 2)]);
    assert.equal(engine.targets.get(routeName('router', '/user/zoe/')), 'http://127.0.0.1:2');
  });

  it('writes once for all changes that wait together', async (t) => {
    const fs = new FaultyFileSystem();
    const { store } = makeStore(t, join(temporaryFolder(t), 'rules.toml'), { fs });
    await store.start();
    const before = fs.operations.filter((operation) => operation === 'rename').length;
    await Promise.all(
      Array.from({ length: 100 }, (_, index) =>
        store.change({ add: [userRoute(`u${String(index)}`)], remove: [] }),
      ),
    );
    assert.equal(store.routes.size, 100);
    const writes = fs.operations.filter((operation) => operation === 'rename').length - before;
    assert.ok(writes <= 2, `${String(writes)} writes`);
  });

  it('does not write or tell the engine anything for a change that changes nothing', async (t) => {
    const fs = new FaultyFileSystem();
    const { store, engine } = makeStore(t, join(temporaryFolder(t), 'rules.toml'), { fs });
    await store.start();
    await store.change({ add: [userRoute('zoe')], remove: [] });
    const { length } = fs.operations;
    await store.change({ add: [userRoute('zoe')], remove: ['/nobody/'] });
    assert.equal(fs.operations.length, length);
    assert.equal(engine.patches, 1);
  });

  it('refuses a bad route without touching anything', async (t) => {
    const { store } = makeStore(t, join(temporaryFolder(t), 'rules.toml'));
    await store.start();
    for (const bad of [
      { ...userRoute('x'), target: 'ftp://x' },
      { ...userRoute('x'), routespec: '/%' },
    ])
      assert.throws(
        () => void store.change({ add: [userRoute('ok'), bad], remove: [] }),
        (error) => error instanceof ProxyError && error.code === 'JTP_ERR_ROUTE_INVALID',
      );
    assert.equal(store.routes.size, 0);
  });

  it('refuses a change that cannot be written, stays as it is, and takes the next one', async (t) => {
    const fs = new FaultyFileSystem();
    const path = join(temporaryFolder(t), 'rules.toml');
    const { store, engine, lines } = makeStore(t, path, { fs });
    await store.start();
    await store.change({ add: [userRoute('zoe')], remove: [] });
    const before = read(path);
    fs.plan = (operation) => (operation === 'write' ? { kind: 'fail', code: 'ENOSPC' } : undefined);
    const refused = (error: unknown): boolean =>
      error instanceof ProxyError &&
      error.code === 'JTP_ERR_STORE_WRITE' &&
      /disk is full/.test(error.message);
    await assert.rejects(store.change({ add: [userRoute('amy')], remove: ['/user/zoe/'] }), refused);
    await assert.rejects(store.change({ add: [userRoute('bob')], remove: [] }), refused);
    assert.deepEqual([...store.routes.keys()], ['/user/zoe/']);
    assert.deepEqual([...engine.targets.values()], ['http://127.0.0.1:50001']);
    assert.equal(read(path), before);
    assert.equal(lines.filter(({ msg }) => String(msg).includes('is refused')).length, 1);
    fs.plan = () => undefined;
    await store.change({ add: [userRoute('amy')], remove: [] });
    assert.deepEqual([...store.routes.keys()].sort(), ['/user/amy/', '/user/zoe/']);
    assert.ok(lines.some(({ msg }) => String(msg).includes('can be kept again')));
  });

  it('says at start that the file cannot be made', async (t) => {
    const fs = new FaultyFileSystem();
    fs.plan = () => ({ kind: 'fail', code: 'EACCES' });
    const { store } = makeStore(t, join(temporaryFolder(t), 'rules.toml'), { fs });
    await assert.rejects(store.start(), /rules\.toml cannot be written: EACCES/);
  });

  it('serves the routes of the file at start, whoever wrote it', async (t) => {
    const path = join(temporaryFolder(t), 'rules.toml');
    const first = makeStore(t, path);
    await first.store.start();
    await first.store.change({ add: [userRoute('zoe'), userRoute('has@', 3)], remove: [] });
    await first.store.stop();
    const text = read(path);
    const { store, engine } = makeStore(t, path);
    await store.start();
    assert.deepEqual([...store.routes.values()], [userRoute('has@', 3), userRoute('zoe')]);
    assert.equal(engine.targets.size, 2);
    assert.equal(read(path), text);
  });

  it('rewrites the routers of the file when they belong on another entry point now', async (t) => {
    const path = join(temporaryFolder(t), 'rules.toml');
    const first = makeStore(t, path);
    await first.store.start();
    await first.store.change({ add: [userRoute('zoe')], remove: [] });
    await first.store.stop();
    const { store } = makeStore(t, path, { entryPoint: 'https' });
    await store.start();
    await store.reload();
    assert.deepEqual(
      parseDynamicConfiguration(read(path), path).routers.get(routeName('router', '/user/zoe/'))?.entryPoints,
      ['https'],
    );
  });

  it('merges the settings’ part into the file and keeps what is somebody else’s', async (t) => {
    const path = join(temporaryFolder(t), 'rules.toml');
    writeFileSync(path, ADMIN);
    const setup = {
      http: {
        middlewares: { auth_api: { basicAuth: { users: ['a:$apr1$eS/j3kum$q/X2khsIEG/bBGsteP.x./'] } } },
      },
    };
    const { store, engine } = makeStore(t, path, { setup });
    await store.start();
    await store.reload();
    const { routers, middlewares } = parseDynamicConfiguration(read(path), path);
    assert.deepEqual([...routers.keys()], ['admin']);
    assert.deepEqual([...middlewares.keys()], ['auth_api']);
    assert.equal(engine.targets.get('admin'), 'http://127.0.0.1:7');
  });

  it('refuses to start with settings that the engine cannot use, and names them', async (t) => {
    const { store } = makeStore(t, join(temporaryFolder(t), 'rules.toml'), {
      setup: { http: { routrs: { x: { rule: 'y' } } } },
    });
    await assert.rejects(
      store.start(),
      /extraDynamicConfig: http\.routrs: unknown key, did you mean "routers"/,
    );
  });

  for (const [name, text] of [
    ['broken', '[http.routers\n'],
    ['of no use to the engine', '[http.routers.x]\nrul = "Path(`/`)"\n'],
  ] as const)
    it(`keeps a file that is ${name} beside at start, says why, and serves`, async (t) => {
      const path = join(temporaryFolder(t), 'rules.toml');
      writeFileSync(path, text);
      const { store, lines } = makeStore(t, path);
      await store.start();
      assert.equal(read(`${path}.broken`), text);
      assert.match(String(lines[0]?.['msg']), /rules\.toml:1|rules\.toml:2|http\.routers\.x\.rul/);
      await store.change({ add: [userRoute('zoe')], remove: [] });
      await store.reload();
      assert.equal(parseDynamicConfiguration(read(path), path).routers.size, 1);
    });
});

describe('a routes file that somebody else changes', () => {
  const FOREIGN_ROUTER = '\n[http.routers.late]\nrule = "Path(`/late`)"\nservice = "admin"\n';

  for (const { name, damage, kept, line } of [
    {
      name: 'emptied',
      damage: (path: string) => {
        truncateSync(path);
      },
      kept: ['admin'],
      line: /emptied by somebody else and is restored/,
    },
    {
      name: 'removed',
      damage: (path: string) => {
        rmSync(path);
      },
      kept: ['admin'],
      line: /removed by somebody else and is restored/,
    },
    {
      name: 'robbed of a route',
      damage: (path: string) => {
        writeFileSync(path, `${ADMIN}${FOREIGN_ROUTER}`);
      },
      kept: ['admin', 'late'],
      line: /the routes of the hub are restored, other changes are kept/,
    },
    {
      name: 'edited in a route',
      damage: (path: string) => {
        writeFileSync(path, read(path).replaceAll('50001', '666'));
      },
      kept: ['admin'],
      line: /the routes of the hub are restored/,
    },
    {
      name: 'broken',
      damage: (path: string) => {
        writeFileSync(path, `${read(path)}\n[http.routers.`);
      },
      kept: ['admin'],
      line: /cannot be used as it is and is restored: .*rules\.toml:[0-9]+/,
    },
    {
      name: 'given a route of the hub that the hub does not know',
      damage: (path: string) => {
        writeFileSync(
          path,
          `${read(path)}\n[jupyterhub.routes.router__2Fx_2F]\nroutespec = "/x/"\ntarget = "http://127.0.0.1:1"\n`,
        );
      },
      kept: ['admin'],
      line: /the routes of the hub are restored/,
    },
  ])
    it(`is healed when it is ${name}, with one line`, async (t) => {
      const path = join(temporaryFolder(t), 'rules.toml');
      writeFileSync(path, ADMIN);
      const { store, engine, lines } = makeStore(t, path);
      await store.start();
      await store.change({ add: [userRoute('zoe')], remove: [] });
      await store.reload();
      damage(path);
      const ours = routeName('router', '/user/zoe/');
      await until(() => lines.length > 0 && isHealed(path), 'the file to be healed');
      const { routers, services } = parseDynamicConfiguration(read(path), path);
      assert.deepEqual([...routers.keys()].sort(), [...kept, ours].sort());
      assert.equal(
        services.get(routeName('service', '/user/zoe/'))?.loadBalancer?.servers[0]?.url,
        'http://127.0.0.1:50001',
      );
      assert.deepEqual([...engine.targets.keys()].sort(), [...kept, ours].sort());
      assert.equal(lines.length, 1, JSON.stringify(lines));
      assert.match(String(lines[0]?.['msg']), line);
      assert.deepEqual([...store.routes.values()], [userRoute('zoe')]);
    });

  it('is left as it is when only somebody else’s part was changed, and the engine gets that part', async (t) => {
    const path = join(temporaryFolder(t), 'rules.toml');
    const { store, engine, lines } = makeStore(t, path);
    await store.start();
    await store.change({ add: [userRoute('zoe')], remove: [] });
    await store.reload();
    const text = `# a remark\n${read(path)}${ADMIN}`;
    writeFileSync(path, text);
    await until(() => engine.targets.has('admin'), 'the engine to hear of it');
    assert.equal(read(path), text);
    assert.equal(lines.length, 1);
    await store.change({ add: [userRoute('amy')], remove: [] });
    await store.reload();
    assert.equal(parseDynamicConfiguration(read(path), path).routers.size, 3);
  });

  it('is healed by the next change at once when the file is the commit', async (t) => {
    const path = join(temporaryFolder(t), 'rules.toml');
    const { store } = makeStore(t, path, { usesJournal: false });
    await store.start();
    await store.change({ add: [userRoute('zoe')], remove: [] });
    truncateSync(path);
    await store.change({ add: [userRoute('amy')], remove: [] });
    assert.equal(parseDynamicConfiguration(read(path), path).routers.size, 2);
  });

  it('is healed later when it cannot be written at first', async (t) => {
    const fs = new FaultyFileSystem();
    const path = join(temporaryFolder(t), 'rules.toml');
    const { store, lines } = makeStore(t, path, { fs, engine: new RememberingEngine() });
    await store.start();
    await store.change({ add: [userRoute('zoe')], remove: [] });
    await store.reload();
    fs.plan = (operation) => (operation === 'write' ? { kind: 'fail', code: 'ENOSPC' } : undefined);
    truncateSync(path);
    await until(() => lines.some(({ msg }) => String(msg).includes('tried again and again')), 'the failure');
    fs.plan = () => undefined;
    await until(() => read(path).includes('/user/zoe/'), 'the file to be healed');
    await until(() => lines.some(({ msg }) => String(msg).includes('can be written again')), 'the good news');
    const about = lines.filter(({ msg }) => /again/.test(String(msg)));
    assert.equal(about.length, 2, JSON.stringify(about));
  });
});
