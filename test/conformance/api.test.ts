// The read API: the documents that JupyterHub's plug-in and the dashboard ask for, errors, lists, ping, and where all that is mounted.

import { READY_RULES, request, routes, services } from './requests.ts';
import { compareSuite } from './suite.ts';
import type { Case } from './suite.ts';

const USERS = '["api_admin:$apr1$eS/j3kum$q/X2khsIEG/bBGsteP.x./"]';
const ADMIN = `Authorization: Basic ${Buffer.from('api_admin:admin').toString('base64')}`;

/** What the hub writes, with everything that can go wrong in a table beside it. */
const RULES =
  READY_RULES +
  `[http.routers.route_api]
rule = "Host(\`localhost\`) && PathPrefix(\`/api\`)"
entryPoints = ["auth_api"]
service = "api@internal"
middlewares = ["auth_api"]
[http.routers.dashboard]
rule = "PathPrefix(\`/\`)"
entryPoints = ["auth_api"]
service = "api@internal"
[http.routers.dashboard_only]
rule = "PathPrefix(\`/only\`)"
entryPoints = ["auth_api"]
service = "dashboard@internal"
[http.routers.manual_ping]
rule = "Path(\`/own-ping\`)"
entryPoints = ["web"]
service = "ping@internal"
[http.middlewares.auth_api.basicAuth]
users = ${USERS}
[http.middlewares.full.basicAuth]
users = ${USERS}
realm = "r"
removeHeader = true
headerField = "X-User"
[http.middlewares.broken.basicAuth]
users = ["nonsense"]
[http.routers.router__2Fuser_2Fada_2F]
rule = "( PathPrefix(\`/user/ada/\`) || Path(\`/user/ada\`) )"
entryPoints = ["web"]
service = "service__2Fuser_2Fada_2F"
[http.services.service__2Fuser_2Fada_2F.loadBalancer]
passHostHeader = true
[[http.services.service__2Fuser_2Fada_2F.loadBalancer.servers]]
url = "http://127.0.0.1:<one>"
[http.services.two.loadBalancer]
passHostHeader = false
[[http.services.two.loadBalancer.servers]]
url = "http://127.0.0.1:<one>/x"
weight = 3
[[http.services.two.loadBalancer.servers]]
url = "http://127.0.0.1:<one>/y?a=<b>&c"
preservePath = true
[http.services.unused.loadBalancer]
[[http.services.unused.loadBalancer.servers]]
url = "http://127.0.0.1:<one>"
[http.services.none.loadBalancer]
passHostHeader = true
[http.services.badurl.loadBalancer]
[[http.services.badurl.loadBalancer.servers]]
url = "http://[nonsense"
` +
  routes({
    'with-priority': [
      'PathPrefix(`/x`)',
      'two',
      'priority = 77\nentryPoints = ["web"]\nmiddlewares = ["auth_api", "full@file"]',
    ],
    max: ['PathPrefix(`/y`)', 'two', 'priority = 9223372036854774807'],
    toohigh: ['PathPrefix(`/y`)', 'two', 'priority = 9223372036854774808'],
    negative: ['PathPrefix(`/y`)', 'two', 'priority = -5'],
    everywhere: ['Path(`/é`) && Host(`a.example`)', 'two'],
    noservice: ['Path(`/a`)', 'nothing', 'entryPoints = ["web"]'],
    otherprovider: ['Path(`/a`)', 'two@redis', 'entryPoints = ["web"]'],
    nomiddleware: ['Path(`/a`)', 'two', 'entryPoints = ["web"]\nmiddlewares = ["nothing"]'],
    brokenmiddleware: ['Path(`/a`)', 'two', 'entryPoints = ["web"]\nmiddlewares = ["broken"]'],
    badservice: ['Path(`/a`)', 'badurl', 'entryPoints = ["web"]'],
    emptyservice: ['Path(`/a`)', 'none', 'entryPoints = ["web"]'],
    badrule: ['Nonsense(`/a`)', 'two', 'entryPoints = ["web"]'],
    badsyntax: ['Path(`/a`', 'two', 'entryPoints = ["web"]'],
    badarguments: ['Path(`/a`, `/b`)', 'two', 'entryPoints = ["web"]'],
    emptyargument: ['Path(``)', 'two', 'entryPoints = ["web"]'],
    noslash: ['Path(`a`)', 'two', 'entryPoints = ["web"]'],
    badhost: ['Host(`é`)', 'two', 'entryPoints = ["web"]'],
    badregexp: ['PathRegexp(`(`)', 'two', 'entryPoints = ["web"]'],
    emptyrule: ['', 'two', 'entryPoints = ["web"]'],
    partly: ['Path(`/a`)', 'two', 'entryPoints = ["web", "nowhere"]'],
    nowhere: ['Path(`/a`)', 'two', 'entryPoints = ["nowhere"]'],
    twice: ['Path(`/a`)', 'two', 'entryPoints = ["web", "web"]'],
    tls: ['Path(`/tls`)', 'two', 'entryPoints = ["web"]\ntls = {}'],
    tlsoptions: [
      'Host(`a`)',
      'two',
      'entryPoints = ["web"]\n[http.routers.tlsoptions.tls]\noptions = "default"',
    ],
    noop: ['Path(`/noop`)', 'noop@internal', 'entryPoints = ["web"]'],
    noprometheus: ['Path(`/metrics`)', 'prometheus@internal', 'entryPoints = ["web"]'],
    nointernal: ['Path(`/nothing`)', 'nothing@internal', 'entryPoints = ["web"]'],
  }) +
  '[http.routers.without]\nrule = "PathPrefix(`/without`)"\nentryPoints = ["web"]\n' +
  '[http.routers."odd/name ü"]\nrule = "PathPrefix(`/odd`)"\nservice = "two"\nentryPoints = ["web"]\n';

const STATIC = `
[api]
[ping]
entryPoint = "ping"
[entryPoints.web]
address = "127.0.0.1:<web>"
[entryPoints.auth_api]
address = "127.0.0.1:<auth_api>"
[entryPoints.ping]
address = "127.0.0.1:<ping>"
[entryPoints.full]
address = "127.0.0.1:<full>"
asDefault = true
reusePort = true
[entryPoints.full.transport]
keepAliveMaxRequests = 5
keepAliveMaxTime = "1m"
[entryPoints.full.transport.lifeCycle]
requestAcceptGraceTimeout = 3
graceTimeOut = "90s"
[entryPoints.full.transport.respondingTimeouts]
readTimeout = "0s"
writeTimeout = "1h1m1s"
idleTimeout = "1500ms"
[entryPoints.full.forwardedHeaders]
insecure = true
trustedIPs = ["10.0.0.0/8"]
[entryPoints.full.http]
middlewares = ["auth_api@file"]
maxHeaderBytes = 5000
[providers]
providersThrottleDuration = "0s"
[providers.file]
filename = "<dir>/rules.toml"
[log]
level = "ERROR"
`;

const NAMES = [...RULES.matchAll(/^\[http\.(routers|services|middlewares)\.("[^"]+"|[^.\]]+)/gm)];
const ELEMENTS = [
  ...new Set(
    NAMES.map(
      ([, kind = '', name = '']) => `/api/http/${kind}/${encodeURIComponent(name.replaceAll('"', ''))}@file`,
    ),
  ),
];

const DOCUMENTS = [
  '/api/version',
  '/api/overview',
  '/api/rawdata',
  '/api/entrypoints',
  ...['web', 'auth_api', 'ping', 'full', 'traefik', 'nothing'].map((name) => `/api/entrypoints/${name}`),
  ...['routers', 'services', 'middlewares'].flatMap((kind) => [
    `/api/http/${kind}`,
    `/api/http/${kind}/`,
    `/api/http/${kind}/nothing@file`,
    `/api/http/${kind}/nothing`,
    `/api/http/${kind}/api@internal`,
    `/api/http/${kind}/noop@internal`,
    `/api/http/${kind}/dashboard@internal`,
    `/api/http/${kind}/ping@internal`,
    `/api/http/${kind}?per_page=2`,
    `/api/http/${kind}?per_page=2&page=2`,
    `/api/http/${kind}?page=99`,
    `/api/http/${kind}?page=0`,
    `/api/http/${kind}?page=x`,
    `/api/http/${kind}?per_page=0`,
    `/api/http/${kind}?search=A`,
    `/api/http/${kind}?status=disabled`,
    `/api/http/${kind}?sortBy=status&direction=desc`,
  ]),
  '/api/http/routers?serviceName=two@file',
  '/api/http/routers?middlewareName=auth_api@file',
  '/api/http/routers?sortBy=priority',
  '/api/http/routers/odd%2Fname%20%C3%BC%40file',
  ...ELEMENTS,
  '/api/tcp/routers',
  '/api/udp/services',
  '/api/nothing',
  '/api',
  '/api/',
  '/api/http',
  '/api/Version',
  '/api/version/',
  '//api/version',
  '/',
  '/dashboard',
  '/nothing',
  '/ping',
];

const cases: Case[] = DOCUMENTS.map((target) => ({
  name: `GET ${target}`,
  entryPoint: 'auth_api',
  send: request(target, { headers: [ADMIN] }),
}));
cases.push(
  ...['HEAD', 'POST', 'DELETE', 'OPTIONS'].map((method) => ({
    name: `${method} /api/version`,
    entryPoint: 'auth_api',
    send: request('/api/version', { method, headers: [ADMIN] }),
  })),
  { name: 'GET /api/version without credentials', entryPoint: 'auth_api', send: request('/api/version') },
  {
    name: 'GET / with a prefix',
    entryPoint: 'auth_api',
    send: request('/', { headers: ['X-Forwarded-Prefix: /pre'] }),
  },
  { name: 'GET /only', entryPoint: 'auth_api', send: request('/only') },
  { name: 'the API is not on the public entry point', send: request('/api/version') },
  ...['/ping', '/ping/', '/pingx', '/', '/api/version'].flatMap((target) =>
    ['GET', 'HEAD', 'POST'].map((method) => ({
      name: `${method} ${target} on ping`,
      entryPoint: 'ping',
      send: request(target, { method }),
    })),
  ),
  { name: 'ping by an own router', send: request('/own-ping') },
);

compareSuite({
  name: 'api',
  isNewOnly: true,
  setup: {
    entryPoints: ['web', 'auth_api', 'ping', 'full'],
    backends: ['ready', 'one'],
    files: { 'traefik.toml': STATIC, 'rules.toml': RULES },
    ready: { entryPoint: 'web', target: '/__ready' },
  },
  cases,
});

const insecure = (more: string): string => `
[api]
insecure = true
${more}
[ping]
[entryPoints.web]
address = "127.0.0.1:<web>"
[entryPoints.traefik]
address = "127.0.0.1:<traefik>"
[providers]
providersThrottleDuration = "0s"
[providers.file]
filename = "<dir>/rules.toml"
[log]
level = "ERROR"
`;

for (const [name, more] of [
  ['insecure api', ''],
  ['insecure api without dashboard', 'dashboard = false'],
] as const) {
  compareSuite({
    name,
    isNewOnly: true,
    setup: {
      entryPoints: ['web', 'traefik'],
      backends: ['ready', 'one'],
      files: {
        'traefik.toml': insecure(more),
        'rules.toml':
          READY_RULES +
          routes({ one: ['PathPrefix(`/`)', 'one', 'entryPoints = ["traefik", "web"]'] }) +
          services('one'),
      },
      ready: { entryPoint: 'web', target: '/__ready' },
    },
    cases: [
      '/',
      '/api',
      '/api/version',
      '/api/overview',
      '/api/http/routers',
      '/api/http/services',
      '/api/http/middlewares',
      '/api/rawdata',
      '/api/entrypoints/traefik',
      '/dashboard',
      '/apix',
      '/other',
      '/ping',
      '/debug/vars',
    ].map((target) => ({
      name: `GET ${target}`,
      entryPoint: 'traefik',
      send: request(target),
    })),
  });
}
