import assert from 'node:assert/strict';
import net from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { getGlobalDispatcher } from 'undici';
import { pathOfRoutespec, routespecOfPath } from '../../src/api/chp-path.ts';
import { createRoutesApi } from '../../src/api/routes-api.ts';
import type { RouteStore } from '../../src/hub/route-store.ts';
import { FaultyFileSystem } from '../support/faulty-file-system.ts';
import { makeStore, rememberingLogger, temporaryFolder, userRoute } from '../support/hub-store.ts';
import { within } from '../support/sockets.ts';

const TOKEN = 'a-secret';

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly json: unknown;
}

interface Api {
  readonly port: number;
  readonly store: RouteStore;
  readonly fs: FaultyFileSystem;
  readonly call: (method: string, path: string, body?: unknown, authorization?: string) => Promise<Answer>;
}

async function startApi(t: TestContext): Promise<Api> {
  const fs = new FaultyFileSystem();
  const { store } = makeStore(t, join(temporaryFolder(t), 'rules.toml'), { fs });
  await store.start();
  const app = createRoutesApi({
    table: store,
    token: TOKEN,
    health: { pid: 42, digest: 'd', version: '1' },
    log: rememberingLogger().log,
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  t.after(() => app.close());
  const address = app.server.address();
  const port = address !== null && typeof address === 'object' ? address.port : 0;
  const call: Api['call'] = async (method, path, body, authorization = `token ${TOKEN}`) => {
    const { statusCode, body: answer } = await getGlobalDispatcher().request({
      origin: `http://127.0.0.1:${String(port)}`,
      // As it is: a URL would have its dots resolved.
      path,
      method: method,
      headers: { authorization },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await answer.text();
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch {
      json = undefined;
    }
    return { status: statusCode, text, json };
  };
  return { port, store, fs, call };
}

describe('the routespecs API', () => {
  it('gives back exactly what was added, and takes away', async (t) => {
    const { call } = await startApi(t);
    const routes = [
      { routespec: '/', target: 'http://127.0.0.1:1', data: { hub: true } },
      {
        routespec: '/user/%E7%A7%80%E6%A8%B9/',
        target: 'http://127.0.0.1:2',
        data: { user: '秀樹', server_name: '', n: [1, null] },
      },
      { routespec: 'h.example/user/zoe/', target: 'https://[::1]:3', data: {} },
    ];
    assert.equal((await call('POST', '/api/routespecs', { add: routes })).status, 200);
    assert.deepEqual(
      (await call('GET', '/api/routespecs')).json,
      Object.fromEntries(routes.map((route) => [route.routespec, route])),
    );
    const gone = await call('POST', '/api/routespecs', {
      remove: ['/user/%E7%A7%80%E6%A8%B9/', '/unknown/'],
      add: [routes[0]],
    });
    assert.equal(gone.status, 200);
    assert.deepEqual(Object.keys((await call('GET', '/api/routespecs')).json as object), [
      '/',
      'h.example/user/zoe/',
    ]);
  });

  it('replaces a route that exists, data and all', async (t) => {
    const { call, store } = await startApi(t);
    await call('POST', '/api/routespecs', { add: [{ ...userRoute('zoe'), data: { a: 1 } }] });
    await call('POST', '/api/routespecs', { add: [{ ...userRoute('zoe', 2), data: null }] });
    assert.deepEqual([...store.routes.values()], [{ ...userRoute('zoe', 2), data: {} }]);
  });

  for (const [name, body, want] of [
    ['nothing', '', /not valid JSON/],
    ['no JSON', '{', /not valid JSON/],
    ['a list', '[]', /the body is not right/],
    ['an unknown key', '{"ad": []}', /ad/],
    ['a route without a target', '{"add": [{"routespec": "/"}]}', /add\.0\.target/],
    [
      'data that is no object',
      '{"add": [{"routespec": "/", "target": "http://x", "data": [1]}]}',
      /add\.0\.data/,
    ],
    ['a target of another kind', '{"add": [{"routespec": "/", "target": "ftp://x"}]}', /target "ftp:\/\/x"/],
    ['a bad routespec', '{"remove": ["/%"]}', /routespec "\/%"/],
  ] as const)
    it(`answers 400 and why to ${name}`, async (t) => {
      const { call, store } = await startApi(t);
      const { status, json } = await call('POST', '/api/routespecs', body);
      assert.equal(status, 400);
      const { error, code } = json as { error: string; code: string };
      assert.match(error, want);
      assert.match(code, /^JTP_ERR_/);
      assert.equal(store.routes.size, 0);
    });

  it('answers 500 with the reason when the file cannot be written', async (t) => {
    const { call, fs } = await startApi(t);
    fs.plan = (operation) => (operation === 'write' ? { kind: 'fail', code: 'ENOSPC' } : undefined);
    const { status, json } = await call('POST', '/api/routespecs', { add: [userRoute('zoe')] });
    assert.equal(status, 500);
    const { error, code } = json as { error: string; code: string };
    assert.equal(code, 'JTP_ERR_STORE_WRITE');
    assert.match(error, /disk is full/);
    assert.deepEqual((await call('GET', '/api/routespecs')).json, {});
  });

  it('takes ten thousand routes in one request', async (t) => {
    const { call, store } = await startApi(t);
    const add = Array.from({ length: 10_000 }, (_, index) => userRoute(`u${String(index)}`));
    assert.equal((await call('POST', '/api/routespecs', { add })).status, 200);
    assert.equal(store.routes.size, 10_000);
  });
});

describe('the API of configurable-http-proxy', () => {
  it('adds, shows and removes a route', async (t) => {
    const { call } = await startApi(t);
    const body = { user: 'zoe', server_name: '', target: 'http://127.0.0.1:1', jupyterhub: true };
    const added = await call('POST', '/api/routes/user/zoe', body);
    assert.deepEqual([added.status, added.text], [201, '']);
    assert.deepEqual((await call('GET', '/api/routes/user/zoe')).json, body);
    assert.deepEqual((await call('GET', '/api/routes/user/zoe/')).json, body);
    assert.deepEqual((await call('GET', '/api/routes')).json, { '/user/zoe': body });
    assert.deepEqual((await call('GET', '/api/routespecs')).json, {
      '/user/zoe/': {
        routespec: '/user/zoe/',
        target: body.target,
        data: { user: 'zoe', server_name: '', jupyterhub: true },
      },
    });
    assert.equal((await call('DELETE', '/api/routes/user/zoe')).status, 204);
    assert.equal((await call('DELETE', '/api/routes/user/zoe')).status, 404);
    assert.equal((await call('GET', '/api/routes/user/zoe')).status, 404);
  });

  it('has the root route at the table itself', async (t) => {
    const { call } = await startApi(t);
    for (const path of ['/api/routes', '/api/routes/']) {
      assert.equal((await call('POST', path, { target: 'http://127.0.0.1:1' })).status, 201);
      assert.deepEqual((await call('GET', path)).json, { '/': { target: 'http://127.0.0.1:1' } });
      assert.equal((await call('DELETE', path)).status, 204);
      assert.deepEqual((await call('GET', path)).json, {});
    }
  });

  for (const [sent, shown] of [
    ['/user/has@', '/user/has@'],
    ['/user/has%40x', '/user/has@x'],
    ['/user/has%2540x', '/user/has%40x'],
    ['/user/%E7%A7%80%E6%A8%B9/', '/user/秀樹'],
    ['/user/a%2Fb', '/user/a%2Fb'],
    ['/user/a%252Fb', '/user/a%252Fb'],
    ["/a!b'(c)", "/a!b'(c)"],
  ] as const)
    it(`shows ${sent} as ${shown} and finds it again`, async (t) => {
      const { call } = await startApi(t);
      assert.equal((await call('POST', `/api/routes${sent}`, { target: 'http://127.0.0.1:1' })).status, 201);
      assert.deepEqual(Object.keys((await call('GET', '/api/routes')).json as object), [shown]);
      assert.equal((await call('GET', `/api/routes${sent}`)).status, 200);
      assert.equal((await call('DELETE', `/api/routes${sent}`)).status, 204);
    });

  it('has no dots in the place of a name', async (t) => {
    const { call, store } = await startApi(t);
    for (const path of ['/user/mallory/..', '/user/mallory/%2e%2e/', '/./x'])
      assert.equal((await call('POST', `/api/routes${path}`, { target: 'http://127.0.0.1:1' })).status, 400);
    assert.equal(store.routes.size, 0);
  });

  it('finds the route of a host under the host as first segment', async (t) => {
    const { call, store } = await startApi(t);
    await store.change({ add: [{ ...userRoute('zoe'), routespec: 'h.example/user/zoe/' }], remove: [] });
    assert.deepEqual(Object.keys((await call('GET', '/api/routes')).json as object), ['/h.example/user/zoe']);
    assert.equal((await call('DELETE', '/api/routes/h.example/user/zoe')).status, 204);
    assert.equal(store.routes.size, 0);
  });

  it('knows no idle route, because it does not watch activity, and refuses what is no date', async (t) => {
    const { call } = await startApi(t);
    await call('POST', '/api/routes/x', { target: 'http://127.0.0.1:1' });
    assert.deepEqual((await call('GET', '/api/routes?inactiveSince=2030')).json, {});
    assert.equal((await call('GET', '/api/routes?inactive_since=never')).status, 400);
    assert.equal(Object.keys((await call('GET', '/api/routes?inactiveSince=')).json as object).length, 1);
  });

  for (const body of ['', 'x', '{}', 'null', '[]', '{"target": 5}'])
    it(`answers 400 to the body ${JSON.stringify(body)}`, async (t) => {
      const { call } = await startApi(t);
      assert.equal((await call('POST', '/api/routes/x', body)).status, 400);
    });

  it('answers 405 to other methods and 404 to other paths', async (t) => {
    const { call } = await startApi(t);
    for (const method of ['PUT', 'PATCH', 'OPTIONS', 'HEAD'])
      for (const path of ['/api/routes', '/api/routes/x', '/api/routespecs', '/api/health'])
        assert.equal((await call(method, path)).status, 405, `${method} ${path}`);
    for (const path of ['/', '/api', '/api/', '/api/routesx'])
      assert.equal((await call('GET', path)).status, 404, path);
  });

  it('answers 400 to a path that is not percent-encoded UTF-8', async (t) => {
    const { call } = await startApi(t);
    for (const path of ['/api/routes/%zz', '/api/routes/%ff', '/api/routes/%'])
      assert.equal((await call('GET', path)).status, 400, path);
  });
});

describe('the token', () => {
  it('is asked for everywhere, and taken in two spellings', async (t) => {
    const { call } = await startApi(t);
    for (const path of ['/api/health', '/api/routes', '/api/routespecs']) {
      for (const wrong of ['', 'token', 'token wrong', `basic ${TOKEN}`, TOKEN, `token ${TOKEN}x`])
        assert.equal((await call('GET', path, undefined, wrong)).status, 403, wrong);
      for (const right of [`token ${TOKEN}`, `Bearer ${TOKEN}`, `bearer  ${TOKEN} `])
        assert.equal((await call('GET', path, undefined, right)).status, 200, right);
    }
    assert.deepEqual((await call('GET', '/api/health')).json, { pid: 42, digest: 'd', version: '1' });
  });

  it('is checked before a body is read', async (t) => {
    const { port } = await startApi(t);
    const socket = net.connect(port, '127.0.0.1');
    t.after(() => socket.destroy());
    const answer = new Promise<string>((resolve) => {
      let text = '';
      socket.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1');
        if (text.includes('\r\n\r\n')) resolve(text);
      });
    });
    // The body never comes.
    socket.write('POST /api/routespecs HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n');
    assert.match(await within(answer, 'the refusal'), /^HTTP\/1\.1 403 /);
  });
});

describe('paths of configurable-http-proxy', () => {
  it('are routespecs as JupyterHub writes them', () => {
    assert.equal(routespecOfPath('/user/~t*@x y'), '/user/~t%2A@x%20y/');
    assert.equal(routespecOfPath('/user/%FF'), undefined);
    assert.equal(pathOfRoutespec('/user/%FF/'), '/user/%FF');
  });
});
