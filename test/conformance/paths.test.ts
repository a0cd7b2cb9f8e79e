// Which path a request has for routing and which one reaches the server, for every spelling that users and attackers choose.

import { PLAIN_STATIC, READY_RULES, request, routes, services } from './requests.ts';
import { compareSuite } from './suite.ts';
import type { Case } from './suite.ts';

/** Rules as the hub's plug-in writes them (the user's name unquoted) beside the quoted form. */
const USERS: Readonly<Record<string, string>> = {
  zoe: 'zoe',
  kanji: '秀樹',
  at: 'has@',
  tilde: '~tilde',
  space: 'a b',
  plus: 'bob+test@x.org',
  quotedslash: 'a%2Fb',
  quotedat: 'quoted%40',
};

const userRoutes = Object.fromEntries(
  Object.entries(USERS).map(([key, name]) => [
    `user-${key}`,
    [`( PathPrefix(\`/user/${name}/\`) || Path(\`/user/${name}\`) )`, `s-${key}`] as const,
  ]),
);
const userServices = Object.keys(USERS).map((key) => `s-${key}`);

const TARGETS = [
  '/',
  '//',
  '///x',
  '/a//b',
  '/a/./b',
  '/a/../b',
  '/a/..',
  '/a/b/..',
  '/a/b/../',
  '/a/.',
  '/..',
  '/../../x',
  '/a/%2e%2e/b',
  '/a/%2E/b',
  '/%2e%2e/b',
  '/user/zoe',
  '/user/zoe/',
  '/user/zoe/lab?x=1',
  '/user/zoe?next=/user/zoe/',
  '/user/zoe/?',
  '/user/zo%65/',
  '/USER/zoe/',
  '/user//zoe/',
  '/user/x/../zoe/',
  '/user/x%2F..%2Fzoe/',
  '/user/秀樹/',
  '/user/%E7%A7%80%E6%A8%B9/',
  '/user/%e7%a7%80%e6%a8%b9/lab',
  '/user/has@/',
  '/user/has%40/',
  '/user/~tilde/',
  '/user/%7Etilde/',
  '/user/%7etilde/lab',
  '/user/a%20b/',
  '/user/a+b/',
  '/user/bob+test@x.org/',
  '/user/bob%2Btest%40x.org/',
  '/user/bob%2btest%40x.org/',
  '/user/a%2Fb/',
  '/user/a%2fb/',
  '/user/a/b/',
  '/user/quoted%40/',
  '/user/quoted@/',
  '/%2F',
  '/x%00y',
  '/x%0Ay',
  '/x%',
  '/x%zz',
  '/x%4',
  '/x%25y',
  '/x%2525y',
  '/x%3Fy?z',
  '/x%23y',
  '/x%5Cy',
  '/x\\y',
  '/x;y=1',
  '/x%3By',
  '/x?a=1;b=2',
  '/x?a;b',
  '/x?a=%3B',
  '/x?a=1&&b',
  '/x?a=%zz',
  '/x?a=b?c',
  '/x?q=\u00e9',
  '/x?q=//..//%2e',
  '/x?a={b}|"c"',
  '/x#frag',
  '/x?y#frag',
  '/x|y',
  '/x"y',
  '/x{y}',
  '/x<y>',
  '/x[y]',
  '/x^y`z',
  "/x!$&'()*,=:@y",
  '/x%21%24%26%27%28%29%2A%2C%3D%3Ay',
  '/x%41%5A%61%7A%30%39%2D%2E%5F%7E',
  '/\u00e9',
  '/%C3%A9',
  '/%FF',
  '/x\u007f',
  '*',
  'x',
  '',
  'http://localhost/user/zoe/?q',
  'http://other.example:99/x',
  'http://localhost',
  'https://localhost/x',
  'localhost:80',
  '?x',
];

const cases: Case[] = TARGETS.map((target) => ({
  name: `GET ${target === '' ? '(empty)' : target}`,
  send: request(target),
}));
cases.push(
  { name: 'a target of 8,000 characters', send: request(`/${'x'.repeat(8000)}`) },
  { name: 'OPTIONS *', send: request('*', { method: 'OPTIONS' }) },
  { name: 'CONNECT host:port', send: request('localhost:80', { method: 'CONNECT' }) },
  { name: 'CONNECT /path', send: request('/x', { method: 'CONNECT' }) },
);

compareSuite({
  name: 'paths',
  setup: {
    entryPoints: ['web'],
    backends: ['ready', 'root', ...userServices],
    files: {
      'traefik.toml': PLAIN_STATIC,
      'rules.toml':
        READY_RULES +
        routes({ root: ['PathPrefix(`/`)', 'root'], ...userRoutes }) +
        services('root', ...userServices),
    },
    ready: { entryPoint: 'web', target: '/__ready' },
  },
  cases,
});

compareSuite({
  name: 'paths without sanitizing',
  isNewOnly: true,
  setup: {
    entryPoints: ['web'],
    backends: ['ready', 'root', ...userServices],
    files: {
      'traefik.toml': `${PLAIN_STATIC}\n[entryPoints.web.http]\nsanitizePath = false\n`,
      'rules.toml':
        READY_RULES +
        routes({ root: ['PathPrefix(`/`)', 'root'], ...userRoutes }) +
        services('root', ...userServices),
    },
    ready: { entryPoint: 'web', target: '/__ready' },
  },
  cases: ['//', '/a//b', '/a/../b', '/user/x/../zoe/', '/a/%2e%2e/b', '/user//zoe/', '/user/zoe/'].map(
    (target) => ({
      name: `GET ${target}`,
      send: request(target),
    }),
  ),
});
