// What both proxies are asked. A group has its own options and therefore its own processes; its calls are made in their order.

import type { Call } from './chp-peer.ts';

/** Calls to proxies that were started with the same options. */
export interface Group {
  readonly name: string;
  readonly args: readonly string[];
  readonly calls: readonly Call[];
}

const api = (method: string, path: string, body?: string, headers?: Record<string, string>): Call => ({
  to: 'api',
  method,
  path,
  ...(body === undefined ? {} : { body }),
  ...(headers === undefined ? {} : { headers }),
});
const get = (path: string, headers?: Record<string, string>): Call => ({
  to: 'proxy',
  path,
  ...(headers === undefined ? {} : { headers }),
});
const TARGET = '{"target":"TARGET"}';

/** The usual routes. */
const ROUTES = [
  api('POST', '/api/routes/bar', '{"target":"TARGET/foo","user":"x"}'),
  api('POST', '/api/routes/b%40r', TARGET),
  api('POST', '/api/routes/user/%E7%A7%80%E6%A8%B9/', TARGET),
  api('POST', '/api/routes/q', '{"target":"TARGET/foo?k=v"}'),
  api('POST', '/api/routes/dead', '{"target":"http://127.0.0.1:1"}'),
];
const REQUESTS = [
  '/bar/x?a=1',
  '/bar',
  '/bar?a=1',
  '/bar/',
  '/barx',
  '/b@r/y%20z',
  '/b%40r/y',
  '/user/%E7%A7%80%E6%A8%B9/tree',
  '/user/%e7%a7%80%e6%a8%b9',
  '/q/x?y=1',
  '/q',
  '/bar//x',
].map((path) => get(path));

/** All of them. */
export const GROUPS: readonly Group[] = [
  {
    name: 'REST API',
    args: [],
    calls: [
      api('GET', '/'),
      api('GET', '/api'),
      api('GET', '/api/'),
      api('GET', '/api/routes'),
      api('GET', '/api/routes/'),
      api('PUT', '/api/routes/x'),
      api('HEAD', '/api/routes'),
      api('OPTIONS', '/api/routes'),
      api('PATCH', '/api/routes/x', '{}'),
      api('GET', '/api/routes', undefined, { authorization: '' }),
      api('GET', '/api/routes', undefined, { authorization: 'Bearer x' }),
      api('POST', '/api/routes/x', TARGET, { authorization: 'token wrong' }),
      api('POST', '/api/routes/x', '{', { authorization: 'token wrong' }),
      api('POST', '/api/routes/x', ''),
      api('POST', '/api/routes/x', 'null'),
      api('POST', '/api/routes/x', '{"target":1}'),
      api('POST', '/api/routes/x', '{"target":"nonsense"}'),
      api('DELETE', '/api/routes/x'),
      api('POST', '/api/routes/user/zoe', '{"target":"TARGET","user":"zoe","deep":{"a":[null,1.5,"é"]}}'),
      api('POST', '/api/routes/user/has%2540x', TARGET),
      api('POST', '/api/routes/user/has%40y/', TARGET),
      api('POST', '/api/routes/tail//', TARGET),
      api('POST', '/api/routes/b', TARGET),
      api('POST', '/api/routes', TARGET),
      api('GET', '/api/routes'),
      api('GET', '/api/routes/user/zoe'),
      api('GET', '/api/routes/user/zoe/'),
      api('GET', '/api/routes/user'),
      api('GET', '/api/routes/user/zoe/x'),
      api('GET', '/api/routes/user/has@y'),
      api('GET', '/api/routes?inactiveSince=2030'),
      api('GET', '/api/routes?inactive_since=2001-01-01T00:00:00.000Z'),
      api('GET', '/api/routes?inactiveSince=nonsense'),
      api('GET', '/api/routes?inactiveSince='),
      api('POST', '/api/routes/user/zoe', '{"target":"TARGET","last_activity":"1999-01-01"}'),
      api('GET', '/api/routes/user/zoe'),
      api('DELETE', '/api/routes/user/zoe'),
      api('DELETE', '/api/routes/user/zoe'),
      api('DELETE', '/api/routes/'),
      api('GET', '/api/routes'),
      api('POST', '/api/routes/a%2Fb', TARGET),
      api('GET', '/api/routes/a/b'),
      api('GET', '/api/routes/%zz'),
      api('DELETE', '/api/routes'),
    ],
  },
  {
    name: 'default',
    args: ['--default-target', 'TARGET'],
    calls: [
      ...ROUTES,
      ...REQUESTS,
      get('/_chp_healthz'),
      get('/_chp_healthz?x'),
      { to: 'proxy', path: '/_chp_healthz', method: 'PUT' },
      get('/', {
        host: 'example.org:8080',
        'X-Forwarded-For': '9.9.9.9',
        'X-Forwarded-Host': 'a',
        'X-Real-IP': '8',
      }),
      get('/', {
        'X-Forwarded-Proto': 'https',
        'X-Forwarded-Port': '443',
        'X-Scheme': 'https',
        Forwarded: 'for=x',
      }),
      get('/', { Connection: 'keep-alive', TE: 'trailers', 'Proxy-Authorization': 'x' }),
      get('/', { 'X-One': 'a', Cookie: 'a=b; c=d' }),
      { to: 'proxy', path: '/x', method: 'DELETE' },
      { to: 'proxy', path: '/x', method: 'OPTIONS' },
      { to: 'proxy', path: '/x', method: 'POST', body: 'abc' },
      { to: 'proxy', path: '/x', method: 'HEAD' },
      get('/toString/x'),
      get('/a/../bar/x'),
      get('/%zz'),
      get('//evil/bar/x'),
      get('/dead/x'),
      get('/status/404'),
      get('/status/500'),
      get('/redirect/302/a'),
      get('/to/302?/relative'),
    ],
  },
  {
    name: 'dots',
    args: [],
    calls: [api('POST', '/api/routes/user/mallory/..', TARGET), api('GET', '/api/routes')],
  },
  { name: 'no target', args: [], calls: [get('/x'), get('/x', { accept: 'application/json' })] },
  { name: 'no prefix', args: ['--no-include-prefix'], calls: [...ROUTES, ...REQUESTS] },
  { name: 'no target path', args: ['--no-prepend-path'], calls: [...ROUTES, ...REQUESTS] },
  { name: 'neither', args: ['--no-prepend-path', '--no-include-prefix'], calls: [...ROUTES, ...REQUESTS] },
  {
    name: 'headers',
    args: [
      ...['--no-x-forward', '--change-origin', '--default-target', 'TARGET'],
      ...['--custom-header', ' X-K : v:1 ', '--custom-header=x-l:2'],
    ],
    calls: [get('/'), get('/', { 'x-k': 'mine', 'X-Forwarded-For': '9.9.9.9' })],
  },
  {
    name: 'auto-rewrite',
    args: ['--auto-rewrite', '--default-target', 'TARGET'],
    calls: [201, 301, 302, 303, 307, 308, 304].flatMap((status) => [
      get(`/redirect/${String(status)}/a?b`),
      get(`/to/${String(status)}?http://elsewhere/x`),
    ]),
  },
  {
    name: 'protocol-rewrite',
    args: ['--protocol-rewrite', 'https', '--default-target', 'TARGET'],
    calls: [get('/redirect/302/a'), get('/to/302?/a'), get('/redirect/303/a')],
  },
  {
    name: 'host routing',
    args: ['--host-routing'],
    calls: [
      api('POST', '/api/routes/a.test/user', '{"target":"TARGET/a"}'),
      api('POST', '/api/routes/b.test', '{"target":"TARGET/b"}'),
      api('GET', '/api/routes'),
      get('/user/x', { host: 'a.test:80' }),
      get('/user/x', { host: 'A.test' }),
      get('/other', { host: 'a.test' }),
      get('/user/x', { host: 'b.test' }),
      get('/user/x', { host: 'c.test' }),
      api('POST', '/api/routes/', '{"target":"TARGET/d"}'),
      get('/user/x', { host: 'c.test' }),
      get('/other', { host: 'a.test' }),
      api('DELETE', '/api/routes/b.test'),
      get('/user/x', { host: 'b.test' }),
      api('GET', '/api/routes/a.test/user'),
    ],
  },
  {
    name: 'error target',
    args: ['--error-target', 'TARGET/pages'],
    calls: [
      ...ROUTES,
      get('/none?a=b', { accept: 'text/html' }),
      get('/dead/x', { accept: 'text/html' }),
      get('/dead/%C3%A9?x=%20', { accept: 'text/html' }),
    ],
  },
  {
    name: 'proxy time-out',
    args: ['--proxy-timeout', '100', '--timeout', '2000'],
    calls: [...ROUTES, get('/bar')],
  },
  {
    name: 'custom headers',
    args: [
      ...['--default-target', 'TARGET', '--custom-header', 'x-a:1', '--custom-header', 'X-A:2'],
      ...[
        '--custom-header',
        'Host: other.test',
        '--custom-header',
        'Cookie:c=1',
        '--custom-header',
        'x-empty:',
      ],
      ...['--custom-header', 'X-Forwarded-For: 1.2.3.4', '--custom-header', 'x-url: http://a:b/?c'],
    ],
    calls: [
      get('/'),
      get('/', { cookie: 'mine=1', 'x-a': '9', 'x-empty': 'no', 'X-Forwarded-For': '9.9.9.9' }),
    ],
  },
  {
    name: 'rewriting both',
    args: ['--auto-rewrite', '--change-origin', '--protocol-rewrite', 'https', '--default-target', 'TARGET'],
    calls: [
      get('/redirect/302/a?b#c'),
      get('/redirect/302/a', { host: 'example.org' }),
      get('/redirect/302/a', { host: 'EXAMPLE.org:81' }),
      get('/to/302?//127.0.0.1/x'),
      get('/to/302?http://127.0.0.1/x'),
      get('/to/302?http://[/x'),
      get('/to/302?HTTP://elsewhere/x'),
      get('/to/302?ftp://127.0.0.1:1/x'),
    ],
  },
  {
    name: 'error target beyond pages',
    args: ['--error-target', 'TARGET/to/302'],
    calls: [
      get('/none', { accept: 'text/html' }),
      { to: 'proxy', path: '/none', method: 'POST', body: 'abc', headers: { accept: 'text/html' } },
      { to: 'proxy', path: '/none', method: 'HEAD', headers: { accept: 'text/html' } },
      get('/none?a=%20&b=%C3%A9', { accept: 'text/html' }),
    ],
  },
];
