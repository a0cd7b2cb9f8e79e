import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { pino } from 'pino';
import type { RouterConfiguration } from '../../src/config/dynamic.ts';
import { parseDynamicConfiguration } from '../../src/config/load-dynamic.ts';
import { parseStaticConfiguration } from '../../src/config/load-static.ts';
import { createMiddleware } from '../../src/middleware/middleware.ts';
import { builtInServices, internalConfiguration } from '../../src/provider/internal.ts';
import type { DynamicPatch } from '../../src/runtime/dynamic-patch.ts';
import { Runtime } from '../../src/runtime/runtime.ts';
import type { TableChange } from '../../src/runtime/table-change.ts';
import { parseTargetUrl } from '../../src/upstream/target-address.ts';

const STATIC = `
[entryPoints.web]
address = ":8000"
[entryPoints.other]
address = ":8001"
[entryPoints.other.http]
middlewares = ["auth@file"]
[api]
`;

function startRuntime(text = STATIC): Runtime {
  const configuration = parseStaticConfiguration(text, 'traefik.toml');
  const runtime = new Runtime({
    static: configuration,
    log: pino({ level: 'silent' }),
    checks: {
      middleware: (spec) => void createMiddleware(spec),
      serverUrl: (url) => void parseTargetUrl(url),
      transport: () => undefined,
    },
    builtInServices: builtInServices(configuration),
    checkCertificate: () => undefined,
  });
  runtime.replace('internal', internalConfiguration(configuration));
  return runtime;
}

function load(runtime: Runtime, text: string): TableChange | undefined {
  return runtime.replace('file', parseDynamicConfiguration(text, 'rules.toml'));
}

const APP = '[[http.services.app.loadBalancer.servers]]\nurl = "http://127.0.0.1:1"\n';
const AUTH = '[http.middlewares.auth.basicAuth]\nusers = ["zoe:{SHA}x"]\n';

function routerText(name: string, values: Readonly<Record<string, string>>): string {
  const lines = Object.entries(values).map(([key, value]) => `${key} = ${value}\n`);
  return `[http.routers.${name}]\n${lines.join('')}`;
}

describe('what becomes of a router', () => {
  const good = { rule: '"PathPrefix(`/a`)"', service: '"app"', entryPoints: '["web"]' };
  const cases: readonly {
    readonly name: string;
    readonly router: Readonly<Record<string, string>>;
    readonly more?: string;
    readonly status: 'enabled' | 'warning' | 'disabled';
    readonly errors?: readonly string[];
    readonly specs?: readonly Readonly<Record<string, unknown>>[];
  }[] = [
    {
      name: 'is enabled, with the length of its rule as priority',
      router: good,
      status: 'enabled',
      specs: [
        {
          name: 'r@file',
          entryPoints: ['web'],
          priority: 16,
          tls: false,
          service: 'app@file',
          middlewares: [],
        },
      ],
    },
    {
      name: 'counts the bytes of its rule, not the characters',
      router: { ...good, rule: '"PathPrefix(`/秀`)"' },
      status: 'enabled',
      specs: [{ priority: 18 }],
    },
    {
      name: 'keeps its own priority',
      router: { ...good, priority: '-5' },
      status: 'enabled',
      specs: [{ priority: -5 }],
    },
    {
      name: 'stands on every entry point when it names none, once for each that adds something',
      router: { rule: good.rule, service: good.service },
      more: AUTH,
      status: 'enabled',
      specs: [
        { name: 'r@file on other', entryPoints: ['other'] },
        { name: 'r@file on web', entryPoints: ['web'], middlewares: [] },
      ],
    },
    {
      name: 'is a TLS router with an empty table',
      router: { ...good, tls: '{}' },
      status: 'enabled',
      specs: [{ tls: true }],
    },
    {
      name: 'may name a built-in service',
      router: { ...good, service: '"api@internal"' },
      status: 'enabled',
      specs: [{ service: 'api@internal' }],
    },
    {
      name: 'is warned about an entry point that is not there',
      router: { ...good, entryPoints: '["web", "wbe"]' },
      status: 'warning',
      errors: ['entryPoint "wbe" doesn\'t exist'],
    },
    {
      name: 'is disabled without any entry point',
      router: { ...good, entryPoints: '["wbe"]' },
      status: 'disabled',
      errors: ['entryPoint "wbe" doesn\'t exist', 'no valid entryPoint for this router'],
    },
    {
      name: 'is disabled without its service',
      router: { ...good, service: '"nobody"' },
      status: 'disabled',
      errors: ['the service "nobody@file" does not exist'],
    },
    {
      name: 'is disabled without any service',
      router: { rule: good.rule, entryPoints: good.entryPoints },
      status: 'disabled',
      errors: [
        'router has no service and no child routers',
        'router must have either a service or child routers',
      ],
    },
    {
      name: 'is disabled with a built-in service that is off',
      router: { ...good, service: '"ping@internal"' },
      status: 'disabled',
      errors: ['ping is not enabled'],
    },
    {
      name: 'is disabled with a built-in service that does not exist',
      router: { ...good, service: '"x@internal"' },
      status: 'disabled',
      errors: ['unknown internal service x@internal'],
    },
    {
      name: 'is disabled without its middleware',
      router: { ...good, middlewares: '["auth"]' },
      status: 'disabled',
      errors: ['middleware "auth@file" does not exist'],
    },
    {
      name: 'is disabled with a middleware that is',
      router: { ...good, middlewares: '["auth"]' },
      more: '[http.middlewares.auth.basicAuth]\nusers = ["zoe"]\n',
      status: 'disabled',
      errors: ['error parsing BasicUser: zoe'],
    },
    {
      name: 'is disabled with a service whose server is no URL',
      router: { ...good, service: '"bad"' },
      more: '[[http.services.bad.loadBalancer.servers]]\nurl = "ftp://a"\n',
      status: 'disabled',
      errors: [
        'error parsing server URL ftp://a: server URL "ftp://a": expected http://host:port, https://host:port or unix:/path',
      ],
    },
    {
      name: 'is disabled with a rule that is none',
      router: { ...good, rule: '"Hots(`a`)"' },
      status: 'disabled',
      errors: ['error while parsing rule Hots(`a`): parsing rule Hots(`a`): unsupported function: Hots'],
    },
    {
      name: "is disabled with a priority that is Traefik's own",
      router: { ...good, priority: '9223372036854774808' },
      status: 'disabled',
      errors: [
        'the router priority 9223372036854774808 exceeds the max user-defined priority 9223372036854774807',
      ],
    },
  ];
  for (const { name, router, more = '', status, errors = [], specs } of cases)
    it(name, () => {
      const runtime = startRuntime();
      load(runtime, `${routerText('r', router)}${APP}${more}`);
      const state = runtime.routers.get('r@file');
      assert.equal(state?.status, status, state?.errors.join('\n'));
      assert.deepEqual(state.errors, errors);
      if (status === 'disabled') assert.deepEqual(state.specs, []);
      for (const [index, wanted] of (specs ?? []).entries())
        for (const [key, value] of Object.entries(wanted))
          assert.deepEqual(state.specs[index]?.[key as keyof (typeof state.specs)[number]], value, key);
    });

  it('does not take the others down', () => {
    const runtime = startRuntime();
    load(runtime, `${routerText('bad', { ...good, rule: '"("' })}${routerText('ok', good)}${APP}`);
    assert.equal(runtime.routers.get('bad@file')?.status, 'disabled');
    assert.equal(runtime.routers.get('ok@file')?.status, 'enabled');
  });
});

describe('a change', () => {
  it('is nothing when nothing changed', () => {
    const runtime = startRuntime();
    const text = `${routerText('r', { rule: '"Path(`/`)"', service: '"app"', entryPoints: '["web"]' })}${APP}`;
    assert.ok(load(runtime, text) !== undefined);
    assert.equal(load(runtime, text), undefined);
  });

  it('names only what it touches', () => {
    const runtime = startRuntime();
    const a = routerText('a', { rule: '"Path(`/a`)"', service: '"app"', entryPoints: '["web"]' });
    const b = routerText('b', { rule: '"Path(`/b`)"', service: '"app"', entryPoints: '["web"]' });
    load(runtime, `${a}${b}${APP}`);
    const change = load(runtime, `${a}${b.replace('/b', '/c')}${APP}`);
    assert.deepEqual(
      change?.routers.map(({ name }) => name),
      ['b@file'],
    );
    assert.deepEqual(change.services, []);
    assert.deepEqual(change.removedRouters, []);
    const removal = load(runtime, `${a}${APP}`);
    assert.deepEqual(removal?.removedRouters, ['b@file']);
    assert.deepEqual(removal.routers, []);
  });

  it('brings a router to life when its service arrives, and takes it away with it', () => {
    const runtime = startRuntime();
    const a = routerText('a', { rule: '"Path(`/a`)"', service: '"app"', entryPoints: '["web"]' });
    load(runtime, a);
    assert.equal(runtime.routers.get('a@file')?.status, 'disabled');
    const arrival = load(runtime, `${a}${APP}`);
    assert.deepEqual(
      arrival?.routers.map(({ name }) => name),
      ['a@file'],
    );
    const removal = load(runtime, a);
    assert.deepEqual(removal?.removedRouters, ['a@file']);
    assert.deepEqual(removal.removedServices, ['app@file']);
  });
});

/** What a worker has after applying changes one by one. */
class WorkerModel {
  readonly routers = new Map<string, unknown>();
  readonly services = new Map<string, unknown>();
  #generation = -1;

  apply(change: TableChange | undefined): void {
    if (change === undefined) return;
    assert.ok(change.generation > this.#generation, 'generations count up');
    this.#generation = change.generation;
    for (const router of change.routers) this.routers.set(router.name, router);
    for (const service of change.services) this.services.set(service.name, service);
    for (const name of change.removedRouters) this.routers.delete(name);
    for (const name of change.removedServices) this.services.delete(name);
  }
}

describe('changes one by one', () => {
  const names = ['a', 'b', 'c'] as const;
  const routerChange = fc.record({
    name: fc.constantFrom(...names),
    value: fc.option(
      fc.record({
        rule: fc.constantFrom('Path(`/a`)', 'Path(`/b`)', 'Nonsense('),
        service: fc.constantFrom('a', 'b', 'noop@internal', 'x'),
        middlewares: fc.constantFrom([], ['a'], ['b', 'a']),
        entryPoints: fc.constantFrom(undefined, ['web'], ['web', 'other'], ['nowhere']),
      }),
    ),
  });
  const serviceChange = fc.record({
    name: fc.constantFrom(...names),
    value: fc.option(fc.constantFrom('http://127.0.0.1:1', 'http://127.0.0.1:2', 'nonsense')),
  });
  const middlewareChange = fc.record({
    name: fc.constantFrom(...names, 'auth'),
    value: fc.option(fc.constantFrom('zoe:{SHA}x', 'bob:{SHA}y', 'nonsense')),
  });
  const step = fc.record({
    routers: fc.array(routerChange, { maxLength: 3 }),
    services: fc.array(serviceChange, { maxLength: 2 }),
    middlewares: fc.array(middlewareChange, { maxLength: 2 }),
  });

  function patchOf({
    routers,
    services,
    middlewares,
  }: typeof step extends fc.Arbitrary<infer T> ? T : never): DynamicPatch {
    const patch = {
      setRouters: new Map<string, RouterConfiguration>(),
      deleteRouters: [] as string[],
      setServices: new Map(),
      deleteServices: [] as string[],
      setMiddlewares: new Map(),
      deleteMiddlewares: [] as string[],
    };
    // The last word on a name counts.
    const last = <T extends { readonly name: string }>(changes: readonly T[]): readonly T[] => [
      ...new Map(changes.map((change) => [change.name, change])).values(),
    ];
    for (const { name, value } of last(routers)) {
      if (value === null) patch.deleteRouters.push(name);
      else {
        const { entryPoints, ...rest } = value;
        patch.setRouters.set(name, { ...rest, ...(entryPoints === undefined ? {} : { entryPoints }) });
      }
    }
    for (const { name, value } of last(services)) {
      if (value === null) patch.deleteServices.push(name);
      else patch.setServices.set(name, { loadBalancer: { servers: [{ url: value }], passHostHeader: true } });
    }
    for (const { name, value } of last(middlewares)) {
      if (value === null) patch.deleteMiddlewares.push(name);
      else patch.setMiddlewares.set(name, { basicAuth: { users: [value] } });
    }
    return patch;
  }

  it('leave a worker with what a snapshot would give it, and that with what a new start would', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const runtime = startRuntime();
        const worker = new WorkerModel();
        worker.apply(runtime.snapshot());
        for (const one of steps) {
          worker.apply(runtime.patch('file', patchOf(one)));
          const { routers, services } = runtime.snapshot();
          assert.deepEqual(sorted(worker.routers), sortedList(routers));
          assert.deepEqual(sorted(worker.services), sortedList(services));
        }
        const fresh = startRuntime();
        const provided = runtime.provided('file');
        if (provided !== undefined) fresh.replace('file', provided);
        assert.deepEqual(sortedList(runtime.snapshot().routers), sortedList(fresh.snapshot().routers));
        assert.deepEqual(sortedList(runtime.snapshot().services), sortedList(fresh.snapshot().services));
        for (const [name, state] of fresh.routers) {
          const { status, errors } = runtime.routers.get(name) ?? {};
          assert.deepEqual({ name, status, errors }, { name, status: state.status, errors: state.errors });
        }
        for (const [name, { usedBy }] of fresh.services)
          assert.deepEqual([...(runtime.services.get(name)?.usedBy ?? [])].sort(), [...usedBy].sort(), name);
        for (const [name, { usedBy }] of fresh.middlewares)
          assert.deepEqual(
            [...(runtime.middlewares.get(name)?.usedBy ?? [])].sort(),
            [...usedBy].sort(),
            name,
          );
      }),
      { numRuns: 80 },
    );
  });
});

function sorted(elements: ReadonlyMap<string, unknown>): unknown[] {
  return [...elements.keys()].sort().map((name) => elements.get(name));
}

function sortedList<T extends { readonly name: string }>(elements: readonly T[]): readonly T[] {
  return [...elements].sort((a, b) => (a.name < b.name ? -1 : 1));
}
