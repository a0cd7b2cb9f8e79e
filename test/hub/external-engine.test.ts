import assert from 'node:assert/strict';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { ProxyError } from '../../src/errors.ts';
import { EngineApi } from '../../src/hub/engine-api.ts';
import { ExternalEngine } from '../../src/hub/external-engine.ts';
import { routeElements } from '../../src/hub/route.ts';
import type { HubRoute } from '../../src/hub/route.ts';
import { EMPTY_DYNAMIC_CONFIGURATION } from '../../src/config/dynamic.ts';
import { rememberingLogger, userRoute } from '../support/hub-store.ts';
import { closedPort } from '../support/sockets.ts';

/** An API whose table the test writes. */
class ScriptedApi {
  readonly routers = new Map<string, Record<string, unknown>>();
  readonly services = new Map<string, Record<string, unknown>>();
  readonly requests: string[] = [];
  kind: 'v3' | 'v1' | 'denied' | 'other' = 'v3';
  version: Record<string, unknown> = { Version: '3.7.15', Codename: 'x' };
  providers: readonly string[] = ['File'];
  entryPoints: readonly string[] = ['http'];
  /** Told of each request, after it has been answered. */
  onRequest: () => void = () => undefined;
  port = 0;

  answer(path: string): { readonly status: number; readonly body: unknown } {
    if (this.kind === 'denied') return { status: 401, body: '401 Unauthorized' };
    if (this.kind === 'other') return { status: 404, body: '<html>' };
    if (path === '/api/version') return { status: 200, body: this.version };
    if (this.kind === 'v1') return this.#v1(path);
    if (path === '/api/overview') return { status: 200, body: { providers: this.providers } };
    if (path === '/api/entrypoints') return { status: 200, body: this.entryPoints.map((name) => ({ name })) };
    if (path === '/api/rawdata')
      return {
        status: 200,
        body: { routers: Object.fromEntries(this.routers), services: Object.fromEntries(this.services) },
      };
    const [, kind, name = ''] = /^\/api\/http\/(routers|services)\/(.*)$/.exec(path) ?? [];
    const found = (kind === 'routers' ? this.routers : this.services).get(decodeURIComponent(name));
    return found === undefined
      ? { status: 404, body: { message: 'not found' } }
      : { status: 200, body: found };
  }

  #v1(path: string): { readonly status: number; readonly body: unknown } {
    if (path === '/api/providers') return { status: 200, body: {} };
    if (path !== '/api/providers/file') return { status: 404, body: '404 page not found' };
    const backends: Record<string, unknown> = {};
    const frontends: Record<string, unknown> = {};
    for (const [name, { rule, service }] of this.routers)
      frontends[name.replace('@file', '')] = { backend: service, routes: { test: { rule } } };
    for (const [name, service] of this.services) {
      const { servers } = service['loadBalancer'] as { servers: { url: string }[] };
      backends[name.replace('@file', '')] = { servers: { server1: servers[0] } };
    }
    return { status: 200, body: { backends, frontends } };
  }

  show(route: HubRoute, overrides: Record<string, unknown> = {}): void {
    const { routerName, serviceName, router, service } = routeElements(route, {
      entryPoint: 'http',
      preservePath: true,
    });
    this.routers.set(`${routerName}@file`, { ...router, status: 'enabled', ...overrides });
    this.services.set(`${serviceName}@file`, { ...service });
  }

  hide(route: HubRoute): void {
    const { routerName, serviceName } = routeElements(route, { entryPoint: 'http', preservePath: true });
    this.routers.delete(`${routerName}@file`);
    this.services.delete(`${serviceName}@file`);
  }
}

async function startApi(t: TestContext): Promise<ScriptedApi> {
  const api = new ScriptedApi();
  const server = http.createServer((request, response) => {
    api.requests.push(request.url ?? '');
    const { status, body } = api.answer(request.url ?? '');
    response.writeHead(status).end(typeof body === 'string' ? body : JSON.stringify(body), () => {
      api.onRequest();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  api.port = (server.address() as AddressInfo).port;
  return api;
}

function makeEngine(
  t: TestContext,
  port: number,
  options: { readonly timeoutMs?: number; readonly path?: string } = {},
): { readonly engine: ExternalEngine; readonly lines: Record<string, unknown>[] } {
  const { log, lines } = rememberingLogger();
  const engine = new ExternalEngine({
    api: new EngineApi({
      url: `http://127.0.0.1:${String(port)}${options.path ?? ''}`,
      username: 'api_admin',
      password: 'admin',
      validateCertificate: true,
    }),
    checkRouteTimeoutMs: options.timeoutMs ?? 10_000,
    routesFile: '/x/rules.toml',
    entryPoint: 'http',
    log,
  });
  t.after(() => engine.close());
  return { engine, lines };
}

async function tell(
  engine: ExternalEngine,
  routes: readonly HubRoute[],
  gone: readonly HubRoute[] = [],
): Promise<string[]> {
  const elements = routes.map((route) => routeElements(route, { entryPoint: 'http', preservePath: true }));
  const removed = gone.map((route) => routeElements(route, { entryPoint: 'http', preservePath: true }));
  await engine.apply({
    setRouters: new Map(elements.map(({ routerName, router }) => [routerName, router])),
    setServices: new Map(elements.map(({ serviceName, service }) => [serviceName, service])),
    deleteRouters: removed.map(({ routerName }) => routerName),
    deleteServices: removed.map(({ serviceName }) => serviceName),
  });
  return [...routes, ...gone].map(({ routespec }) => routespec);
}

/** Confirms, and says whether that is done already. */
function confirming(
  engine: ExternalEngine,
  routespecs: readonly string[],
): { readonly done: Promise<void>; isDone: boolean } {
  const state = { done: engine.confirm(routespecs), isDone: false };
  state.done.then(
    () => (state.isDone = true),
    () => undefined,
  );
  return state;
}

async function afterRequests(api: ScriptedApi, count: number): Promise<void> {
  const wanted = api.requests.length + count;
  await new Promise<void>((resolve) => {
    api.onRequest = () => {
      if (api.requests.length >= wanted) resolve();
    };
  });
}

function isTimeout(pattern: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof ProxyError, String(error));
    assert.equal(error.code, 'JTP_ERR_ROUTE_TIMEOUT');
    assert.match(error.message, pattern);
    assert.match(error.message, /\/x\/rules\.toml/);
    return true;
  };
}

describe('an engine that somebody else runs', () => {
  for (const kind of ['v3', 'v1'] as const)
    for (const count of [1, 9])
      it(`confirms ${String(count)} when the ${kind} API shows rule and target, not before`, async (t) => {
        const api = await startApi(t);
        api.kind = kind;
        const { engine } = makeEngine(t, api.port);
        const routes = Array.from({ length: count }, (_, index) => userRoute(`u${String(index)}`));
        const state = confirming(engine, await tell(engine, routes));
        await afterRequests(api, 4);
        assert.equal(state.isDone, false);
        for (const route of routes) api.show({ ...route, target: 'http://127.0.0.1:1' });
        await afterRequests(api, 4);
        assert.equal(state.isDone, false);
        for (const route of routes) api.show(route);
        await state.done;
        if (kind === 'v3') assert.equal(api.requests.includes('/api/rawdata'), count > 4);
      });

  it('confirms a removal when the router is gone', async (t) => {
    const api = await startApi(t);
    const { engine } = makeEngine(t, api.port);
    const route = userRoute('zoe');
    api.show(route);
    const state = confirming(engine, await tell(engine, [], [route]));
    await afterRequests(api, 3);
    assert.equal(state.isDone, false);
    api.hide(route);
    await state.done;
  });

  it('lets a change wait for the route as it is by then, when another change overtakes it', async (t) => {
    const api = await startApi(t);
    const { engine } = makeEngine(t, api.port);
    const first = confirming(engine, await tell(engine, [userRoute('zoe', 1)]));
    const second = confirming(engine, await tell(engine, [userRoute('zoe', 2)]));
    api.show(userRoute('zoe', 2));
    await Promise.all([first.done, second.done]);
  });

  it('does not let one router that fails hold up another', async (t) => {
    const api = await startApi(t);
    const { engine } = makeEngine(t, api.port, { timeoutMs: 300 });
    const bad = engine.confirm(await tell(engine, [userRoute('bad')]));
    const good = engine.confirm(await tell(engine, [userRoute('good')]));
    api.show(userRoute('good'));
    api.show(userRoute('bad'), { status: 'disabled', error: ['the reason'] });
    await good;
    await assert.rejects(bad, isTimeout(/disabled the router \(the reason\)/));
  });

  it('shares one look at the table among many that wait', async (t) => {
    const api = await startApi(t);
    const { engine } = makeEngine(t, api.port);
    const routes = Array.from({ length: 200 }, (_, index) => userRoute(`u${String(index)}`));
    for (const route of routes) api.show(route);
    const told = await tell(engine, routes);
    await Promise.all(told.map((routespec) => engine.confirm([routespec])));
    assert.ok(api.requests.length < 20, `${String(api.requests.length)} requests`);
  });

  it('fails at once when the API refuses the credentials', async (t) => {
    const api = await startApi(t);
    api.kind = 'denied';
    const { engine } = makeEngine(t, api.port);
    await assert.rejects(engine.confirm(await tell(engine, [userRoute('zoe')])), (error) => {
      assert.ok(error instanceof ProxyError);
      assert.equal(error.code, 'JTP_ERR_ENGINE_DENIED');
      assert.match(error.message, /refuses user "api_admin" \(status 401\).*traefik_api_password/);
      assert.doesNotMatch(error.message, /"admin"/);
      return true;
    });
  });

  for (const [name, prepare, pattern] of [
    ['the router is missing', () => undefined, /shows no such router; does it watch this very file/],
    [
      'the file provider is off',
      (api: ScriptedApi) => {
        api.providers = ['Redis'];
      },
      /file provider is not on/,
    ],
    [
      'the router is an old one',
      (api: ScriptedApi) => {
        api.show(userRoute('zoe', 9));
      },
      /still shows the target http:\/\/127\.0\.0\.1:9; does it watch the file/,
    ],
    [
      'it is no Traefik',
      (api: ScriptedApi) => {
        api.kind = 'other';
      },
      /404 "<html>", which is no Traefik API; is traefik_api_url right, and does the engine watch this file\?/,
    ],
  ] as const)
    it(`says in time what is wrong when ${name}`, async (t) => {
      const api = await startApi(t);
      prepare(api);
      const { engine } = makeEngine(t, api.port, { timeoutMs: 100 });
      await assert.rejects(engine.confirm(await tell(engine, [userRoute('zoe')])), isTimeout(pattern));
    });

  it('says in time that nobody listens', async (t) => {
    const { engine } = makeEngine(t, await closedPort(), { timeoutMs: 100 });
    await assert.rejects(
      engine.confirm(await tell(engine, [userRoute('zoe')])),
      isTimeout(/ECONNREFUSED.*is it running/),
    );
  });

  it('removes a route although nobody listens, and says so', async (t) => {
    const { engine, lines } = makeEngine(t, await closedPort(), { timeoutMs: 50 });
    await engine.confirm(await tell(engine, [], [userRoute('zoe')]));
    assert.match(String(lines[0]?.['msg']), /the engine is down/);
  });

  it('asks below the path of its URL, whether or not that ends in /api', async (t) => {
    for (const path of ['/base', '/base/', '/base/api']) {
      const api = await startApi(t);
      const { engine } = makeEngine(t, api.port, { path });
      const state = confirming(engine, ['x']);
      await afterRequests(api, 1);
      assert.equal(api.requests[0], '/base/api/overview');
      await engine.close();
      await assert.rejects(state.done);
    }
  });

  for (const [version, want] of [
    [{ Version: '3.7.15', Codename: 'langres' }, true],
    [{ Version: '3.3.0' }, true],
    [{ Version: '3.1.4' }, false],
    [{ Version: '2.11.0' }, false],
    [{ Version: '0.1.0', Codename: 'jupyterhub' }, true],
    [{ Version: 'dev' }, false],
  ] as const)
    it(`knows whether ${JSON.stringify(version)} can put a target's path before the request's`, async (t) => {
      const api = await startApi(t);
      api.version = version;
      const { engine } = makeEngine(t, api.port);
      assert.deepEqual(await engine.examine(0), { preservePath: want });
    });

  it('warns when the engine lacks the entry point of the users', async (t) => {
    const api = await startApi(t);
    api.entryPoints = ['auth_api', 'web'];
    const { engine, lines } = makeEngine(t, api.port);
    await engine.replace(EMPTY_DYNAMIC_CONFIGURATION);
    await engine.examine(0);
    assert.match(String(lines[0]?.['msg']), /set traefik_entrypoint/);
    assert.equal(lines[0]?.['found'], 'auth_api, web');
  });
});
