// Removed prefixes: remembered, forgotten, and never in the way of a route that is there. Requests go through real routing tables.

import assert from 'node:assert/strict';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import type { RouterConfiguration } from '../../src/config/dynamic.ts';
import { routeElements } from '../../src/hub/route.ts';
import type { HubRoute, RouteChange } from '../../src/hub/route.ts';
import { StoppedRoutes } from '../../src/hub/stopped-routes.ts';
import { RoutingTable } from '../../src/router/routing-table.ts';
import { parseRule } from '../../src/router/rule.ts';
import { rememberingLogger, temporaryFolder } from '../support/hub-store.ts';
import { until } from '../support/sockets.ts';

class Hub {
  readonly routes = new Map<string, HubRoute>();
  readonly table = new RoutingTable<string>();
  readonly #stopped: StoppedRoutes;

  constructor(t: TestContext, file: string) {
    const set = (routers: ReadonlyMap<string, RouterConfiguration>): void => {
      for (const [name, { rule = '', priority = 0, service = '' }] of routers)
        this.table.set(`${name}@stopped`, { rule: parseRule(rule), priority, value: service });
    };
    this.#stopped = new StoppedRoutes({
      engine: {
        replace: (_provider, { routers }) => {
          set(routers);
          return Promise.resolve();
        },
        patch: (_provider, { setRouters, deleteRouters }) => {
          for (const name of deleteRouters) this.table.delete(`${name}@stopped`);
          set(setRouters);
          return Promise.resolve();
        },
      },
      routes: this.routes,
      entryPoint: 'http',
      file,
      log: rememberingLogger().log,
    });
    t.after(() => {
      this.#stopped.close();
    });
  }

  stop(): void {
    this.#stopped.close();
  }

  start(): Promise<void> {
    return this.#stopped.start();
  }

  async change(add: readonly string[], remove: readonly string[] = []): Promise<void> {
    const change: RouteChange = {
      add: add.map((routespec) => ({ routespec, target: 'http://127.0.0.1:1', data: {} })),
      remove,
    };
    for (const spec of remove) {
      this.routes.delete(spec);
      this.table.delete(spec);
    }
    for (const route of change.add) {
      this.routes.set(route.routespec, route);
      const { router } = routeElements(route, { entryPoint: 'http', preservePath: true });
      const { rule = '', priority } = router;
      this.table.set(route.routespec, {
        rule: parseRule(rule),
        priority: priority ?? Buffer.byteLength(rule),
        value: route.routespec,
      });
    }
    await this.#stopped.onChange(change);
  }

  ask(path: string, headers: Readonly<Record<string, string>> = {}): string | undefined {
    return this.table.lookup({
      host: 'x',
      path,
      method: 'GET',
      query: '',
      clientIp: '127.0.0.1',
      headerValues: (name) => (headers[name] === undefined ? [] : [headers[name]]),
    });
  }
}

const STOPPED = 'stopped@internal';
const POLL = '/user/zoe/api/kernels';
const BROWSER = { accept: 'text/html,*/*' };

async function startHub(t: TestContext, file = join(temporaryFolder(t), 'stopped.json')): Promise<Hub> {
  const hub = new Hub(t, file);
  await hub.start();
  await hub.change(['/', '/user/zoe/']);
  return hub;
}

describe('a route that was removed', () => {
  it('has its polls and WebSockets answered, and its pages by the hub, until it is added again', async (t) => {
    const hub = await startHub(t);
    assert.equal(hub.ask(POLL), '/user/zoe/');
    await hub.change([], ['/user/zoe/']);
    assert.equal(hub.ask(POLL), STOPPED);
    assert.equal(hub.ask('/user/zoe/lab/ws', { upgrade: 'websocket' }), STOPPED);
    assert.equal(hub.ask('/user/zoe/lab', { accept: 'application/json' }), STOPPED);
    assert.equal(hub.ask('/user/zoe/lab', BROWSER), '/');
    assert.equal(hub.ask(POLL, BROWSER), '/');
    assert.equal(hub.ask('/user/zoes/api/kernels'), '/');
    assert.equal(hub.ask('/hub/api/users', { accept: 'application/json' }), '/');
    await hub.change(['/user/zoe/']);
    assert.equal(hub.ask(POLL), '/user/zoe/');
    await hub.change([], ['/user/zoe/']);
    assert.equal(hub.ask(POLL), STOPPED);
  });

  it("is in nobody's way: not above longer routes, not below a shorter one", async (t) => {
    const hub = await startHub(t);
    await hub.change(['/user/zoe/lab2/']);
    await hub.change([], ['/user/zoe/']);
    assert.equal(hub.ask('/user/zoe/lab2/api/kernels'), '/user/zoe/lab2/');
    await hub.change(['/user/zoe/']);
    // A named server "api": its prefix is part of the other server's API.
    await hub.change(['/user/zoe/api/']);
    await hub.change([], ['/user/zoe/api/']);
    assert.equal(hub.ask(POLL), '/user/zoe/');
    await hub.change([], ['/user/zoe/lab2/', '/user/zoe/']);
    await hub.change(['/user/zoe/']);
    assert.equal(hub.ask('/user/zoe/lab2/api/kernels'), '/user/zoe/');
  });

  it('never takes the hub away', async (t) => {
    const hub = await startHub(t);
    await hub.change([], ['/']);
    assert.equal(hub.ask('/hub/api/users'), undefined);
    await hub.change(['/']);
    assert.equal(hub.ask('/hub/api/users'), '/');
  });

  it('is remembered by a controller that takes the place of another', async (t) => {
    const file = join(temporaryFolder(t), 'stopped.json');
    const first = await startHub(t, file);
    await first.change([], ['/user/zoe/']);
    await until(() => existsSync(file), 'the file');
    const second = new Hub(t, file);
    await second.start();
    assert.equal(second.ask(POLL), STOPPED);
  });

  it('is remembered from one start to the next', async (t) => {
    const file = join(temporaryFolder(t), 'rules.toml.stopped');
    const first = await startHub(t, file);
    await first.change([], ['/user/zoe/']);
    first.stop();
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const second = new Hub(t, file);
    await second.start();
    assert.equal(second.ask(POLL), STOPPED);
    await second.change(['/user/zoe/']);
    second.stop();
    const third = new Hub(t, file);
    await third.start();
    assert.equal(third.ask(POLL), undefined);
  });

  for (const { name, text, remembered } of [
    { name: 'broken', text: '["/user/zoe/"', remembered: false },
    { name: 'of another shape', text: '{"/user/zoe/": 1}', remembered: false },
    {
      name: 'edited by hand',
      text: '["user", "/", "/user/%", "", "no`such/", "/user/zoe/"]',
      remembered: true,
    },
  ])
    it(`is no reason not to start when its file is ${name}`, async (t) => {
      const file = join(temporaryFolder(t), 'rules.toml.stopped');
      writeFileSync(file, text);
      const hub = new Hub(t, file);
      await hub.start();
      assert.equal(hub.ask(POLL), remembered ? STOPPED : undefined);
      assert.equal(hub.ask('/hub/api/users'), undefined);
    });
});
