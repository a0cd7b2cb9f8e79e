import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseDynamicConfiguration } from '../../src/config/load-dynamic.ts';
import { ConfigError } from '../../src/errors.ts';
import type { HubRoute } from '../../src/hub/route.ts';
import {
  parseDocument,
  generationOf,
  renderDocument,
  renderRoutes,
  withoutOurs,
  writeForeign,
  writeRoute,
} from '../../src/hub/routes-document.ts';
import type { Format } from '../../src/hub/routes-document.ts';
import { deepMerge, isSame, newTree, quoted } from '../../src/hub/values.ts';
import type { Tree } from '../../src/hub/values.ts';

const OPTIONS = { entryPoint: 'https', preservePath: true };
const FILES = { toml: '/x/rules.toml', yaml: '/x/rules.yaml' } as const;

function render(format: Format, routes: readonly HubRoute[], foreign: Tree = newTree()): string {
  const written = routes.map((route) => writeRoute(route, OPTIONS));
  const own = writeForeign(format, withoutOurs(foreign, written));
  return Buffer.concat(renderDocument(format, own, [renderRoutes(format, written)], 7)).toString();
}

const zoe: HubRoute = {
  routespec: '/user/zoe/',
  target: 'http://127.0.0.1:50001',
  data: { user: 'zoe', server_name: '' },
};

describe('the routes file', () => {
  it('is readable TOML in the layout of the Python plug-in', () => {
    const text = render('toml', [zoe]);
    assert.equal(
      text.slice(text.indexOf('\n\n') + 2),
      `[http.routers.router__2Fuser_2Fzoe_2F]
rule = "( PathPrefix(\`/user/zoe/\`) || Path(\`/user/zoe\`) )"
entryPoints = ["https"]
service = "service__2Fuser_2Fzoe_2F"
[http.services.service__2Fuser_2Fzoe_2F.loadBalancer]
passHostHeader = true
servers = [{ url = "http://127.0.0.1:50001" }]
[jupyterhub.routes.router__2Fuser_2Fzoe_2F]
routespec = "/user/zoe/"
target = "http://127.0.0.1:50001"
router = "router__2Fuser_2Fzoe_2F"
service = "service__2Fuser_2Fzoe_2F"
data = { user = "zoe", server_name = "" }
`,
    );
  });

  it('says its generation', () => {
    for (const format of ['toml', 'yaml'] as const) assert.equal(generationOf(render(format, [zoe])), 7);
    assert.equal(generationOf('# Generation of leaves\n'), 0);
  });

  it('never has two braces in a row, which Traefik would take for a template', () => {
    const route = { ...zoe, routespec: '/user/%7B%7Benv%7D%7D/', data: { '{{x}}': '{{{ env "HOME" }}}' } };
    for (const format of ['toml', 'yaml'] as const) {
      const text = render(format, [route]);
      assert.ok(!text.includes('{{'));
      assert.deepEqual(parseDocument(text, FILES[format], OPTIONS).routes, [route]);
    }
  });

  it('tells a target with a path to keep it, where the engine can', () => {
    const route = { ...zoe, target: 'http://127.0.0.1:9999/test' };
    const servers = (preservePath: boolean): unknown =>
      writeRoute(route, { ...OPTIONS, preservePath }).elements.service.loadBalancer?.servers;
    assert.deepEqual(servers(true), [{ url: route.target, preservePath: true }]);
    assert.deepEqual(servers(false), [{ url: route.target }]);
  });

  for (const format of ['toml', 'yaml'] as const) {
    describe(format, () => {
      const payloads: readonly HubRoute['data'][] = [
        {},
        { hub: true },
        { a: null },
        { a: [1, 'x', { b: [null] }] },
        { n: [0, -0, 1.5, 1e21, 1e-7, -5, 2 ** 53, 123456789012] },
        { '': '', 'a.b': 'c', '"': '\\', 秀樹: '𠮷\u0000\u007f\u0085\u2028\ufeff\n\t' },
        { half: '\ud800' },
        { a: { b: { c: { d: { e: { f: { g: { h: 1 } } } } } } } },
        JSON.parse('{"__proto__": {"x": 1}, "constructor": 2, "<<": 3}') as HubRoute['data'],
        { yes: 'yes', no: 'no', null: '~', date: '2024-01-01', number: '0x10' },
      ];
      for (const data of payloads)
        it(`gives back ${JSON.stringify(data).slice(0, 60)} unchanged`, () => {
          const parsed = parseDocument(render(format, [{ ...zoe, data }]), FILES[format], OPTIONS);
          assert.equal(JSON.stringify(parsed.routes[0]?.data), JSON.stringify(data));
          assert.ok(Object.is(JSON.stringify(parsed.routes), JSON.stringify([{ ...zoe, data }])));
          assert.equal(parsed.damaged.size, 0);
          assert.deepEqual(parsed.complaints, []);
        });

      it('gives back any JSON unchanged', () => {
        fc.assert(
          fc.property(
            fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue({ maxDepth: 4 })),
            (value) => {
              const data = JSON.parse(JSON.stringify(value)) as HubRoute['data'];
              const parsed = parseDocument(render(format, [{ ...zoe, data }]), FILES[format], OPTIONS);
              assert.deepEqual(parsed.routes[0]?.data, data);
            },
          ),
          { numRuns: 300 },
        );
      });

      it('is understood by the engine, with every route', () => {
        const other = { routespec: '/user/has@/', target: 'http://10.0.0.1:1', data: {} };
        const { routers, services } = parseDynamicConfiguration(render(format, [zoe, other]), FILES[format]);
        for (const route of [zoe, other]) {
          const { elements } = writeRoute(route, OPTIONS);
          assert.deepEqual(routers.get(elements.routerName), elements.router);
          assert.deepEqual(services.get(elements.serviceName), elements.service);
        }
        assert.equal(routers.size, 2);
      });

      it('is empty of tables when there is nothing to say', () => {
        const text = render(format, [], { http: { routers: {}, services: {} }, jupyterhub: { routes: {} } });
        assert.deepEqual(
          text.split('\n').filter((line) => line !== '' && !line.startsWith('#')),
          [],
        );
        assert.equal(parseDynamicConfiguration(text, FILES[format]).routers.size, 0);
      });

      it('keeps what is somebody else’s', () => {
        const foreign: Tree = {
          http: {
            routers: { admin: { rule: 'Host(`x`)', service: 'admin', priority: 5n } },
            services: { admin: { loadBalancer: { servers: [{ url: 'http://127.0.0.1:1' }] } } },
            middlewares: { auth_api: { basicAuth: { users: ['a:b'] } } },
            serversTransports: { t: { serverName: 'x' } },
          },
          tls: { options: { default: { minVersion: 'VersionTLS12' } } },
          tcp: { routers: { t: { rule: 'HostSNI(`*`)', service: 's' } } },
          other: { key: [1n, 2n] },
        };
        const parsed = parseDocument(render(format, [zoe], foreign), FILES[format], OPTIONS);
        assert.ok(isSame(parsed.foreign, foreign));
        assert.deepEqual(parsed.routes, [zoe]);
        const again = parseDocument(render(format, [], parsed.foreign), FILES[format], OPTIONS);
        assert.ok(isSame(again.foreign, foreign));
      });

      it('lets our router stand where somebody else’s has the same name', () => {
        const { elements } = writeRoute(zoe, OPTIONS);
        const foreign = {
          http: { routers: { [elements.routerName]: { rule: 'Host(`x`)' }, other: { rule: 'Path(`/`)' } } },
        };
        const { routers } = parseDynamicConfiguration(render(format, [zoe], foreign), FILES[format]);
        assert.deepEqual([...routers.keys()].sort(), ['other', elements.routerName].sort());
        assert.equal(routers.get(elements.routerName)?.rule, elements.router.rule);
      });
    });
  }

  const python = `
[http.routers.route_api]
rule = "Host(\`localhost\`) && PathPrefix(\`/api\`)"
entryPoints = [ "auth_api",]
service = "api@internal"
middlewares = [ "auth_api",]

[http.routers.router__2Fuser_2Fhas_40_2F]
service = "service__2Fuser_2Fhas_40_2F"
rule = "( PathPrefix(\`/user/has@/\`) || Path(\`/user/has@\`) )"
entryPoints = [ "https",]

[http.middlewares.auth_api.basicAuth]
users = [ "jupyterhub:$2b$12$x",]

[http.services.service__2Fuser_2Fhas_40_2F.loadBalancer]
passHostHeader = true
[[http.services.service__2Fuser_2Fhas_40_2F.loadBalancer.servers]]
url = "http://127.0.0.1:50001"

[jupyterhub.routes.router__2Fuser_2Fhas_40_2F]
routespec = "/user/has@/"
target = "http://127.0.0.1:50001"
router = "router__2Fuser_2Fhas_40_2F"
service = "service__2Fuser_2Fhas_40_2F"
[jupyterhub.routes.router__2Fuser_2Fhas_40_2F.data]
user = "has@"
server_name = ""
`;

  it('is read when the Python plug-in wrote it, and rules of old are known to be wrong', () => {
    const parsed = parseDocument(python, FILES.toml, OPTIONS);
    assert.deepEqual(parsed.routes, [
      { routespec: '/user/has@/', target: 'http://127.0.0.1:50001', data: { user: 'has@', server_name: '' } },
    ]);
    assert.deepEqual([...parsed.damaged], ['router__2Fuser_2Fhas_40_2F']);
    assert.deepEqual(Object.keys(parsed.foreign), ['http']);
    assert.ok(
      isSame(parsed.foreign['http'], {
        routers: {
          route_api: {
            rule: 'Host(`localhost`) && PathPrefix(`/api`)',
            entryPoints: ['auth_api'],
            service: 'api@internal',
            middlewares: ['auth_api'],
          },
        },
        middlewares: { auth_api: { basicAuth: { users: ['jupyterhub:$2b$12$x'] } } },
      }),
    );
  });

  it('leaves entries alone that are no routes, and says so', () => {
    const text =
      '[jupyterhub.routes.x]\nrouter = "x"\n[jupyterhub.routes.y]\nroutespec = "/y/"\ntarget = "ftp://x"\n[jupyterhub]\nnote = 1\n';
    const parsed = parseDocument(text, FILES.toml, OPTIONS);
    assert.deepEqual(parsed.routes, []);
    assert.equal(parsed.complaints.length, 2);
    assert.ok(
      isSame(parsed.foreign['jupyterhub'], {
        note: 1,
        routes: { x: { router: 'x' }, y: { routespec: '/y/', target: 'ftp://x' } },
      }),
    );
  });

  it('takes sections whatever the case of their names', () => {
    const { elements } = writeRoute(zoe, OPTIONS);
    const text = render('toml', [zoe]).replace('[http.routers.', '[HTTP.Routers.');
    const parsed = parseDocument(text, FILES.toml, OPTIONS);
    assert.equal(parsed.damaged.has(elements.routerName), false);
    assert.deepEqual(parsed.routes, [zoe]);
  });

  for (const [name, file, text, want] of [
    ['TOML', FILES.toml, '[http]\nrouters = \n', /^\/x\/rules\.toml:2: not valid TOML/],
    ['YAML', FILES.yaml, 'http:\n  - [\n', /^\/x\/rules\.yaml:[0-9]+: not valid YAML/],
    ['YAML that is no mapping', FILES.yaml, '- 1\n', /expected a mapping/],
    ['another ending', '/x/rules.json', '{}', /\.toml, \.yaml or \.yml/],
  ] as const)
    it(`is refused with its place when it is broken ${name}`, () => {
      assert.throws(
        () => parseDocument(text, file, OPTIONS),
        (error) => error instanceof ConfigError && want.test(error.message),
      );
    });
});

describe('deepMerge', () => {
  it('merges tables and lets the later one win elsewhere', () => {
    const merged = deepMerge({ a: { b: 1, c: [1] }, d: 1 }, { a: { c: [2], e: 3 }, d: { f: 1 } });
    assert.ok(isSame(merged, { a: { b: 1, c: [2], e: 3 }, d: { f: 1 } }));
  });
});

describe('quoted', () => {
  it('breaks up braces however many there are', () => {
    for (const text of ['{{', '{{{', '{{{{', '{ {', '{']) {
      assert.ok(!quoted(text).includes('{{'));
      assert.equal(JSON.parse(quoted(text)), text);
    }
  });
});
