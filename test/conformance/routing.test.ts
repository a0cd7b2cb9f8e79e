// Which router takes a request: every matcher, operators, spellings, priorities, and what a broken router does to the others.

import { PLAIN_STATIC, READY_RULES, request, routes, services } from './requests.ts';
import { compareSuite } from './suite.ts';
import type { Case } from './suite.ts';

/** One router per path prefix, so that a rule that is refused is a 404 under its prefix. */
const RULES: Readonly<Record<string, readonly [rule: string, ...requests: string[]]>> = {
  host: [
    'Host(`a.example`)',
    request('/x', { host: 'a.example' }),
    request('/x', { host: 'A.Example:99' }),
    request('/x', { host: 'a.example.' }),
    request('/x', { host: 'b.a.example' }),
  ],
  'host dot': [
    'Host(`a.example.`)',
    request('/x', { host: 'a.example' }),
    request('/x', { host: 'a.example.' }),
  ],
  'host upper': ['Host(`A.EXAMPLE`)', request('/x', { host: 'a.example' })],
  'host star': [
    'Host(`*.example`)',
    request('/x', { host: 'a.example' }),
    request('/x', { host: 'b.a.example' }),
    request('/x', { host: 'example' }),
  ],
  'host any': ['Host(`*`)', request('/x'), request('/x', { host: '' })],
  'host address': ['Host(`127.0.0.1`)', request('/x', { host: '127.0.0.1:80' })],
  'host six': ['Host(`::1`)', request('/x', { host: '[::1]:80' }), request('/x', { host: '[::1]' })],
  'host port': ['Host(`a.example:99`)', request('/x', { host: 'a.example:99' })],
  'host unicode': ['Host(`é.example`)', request('/x')],
  'host regexp': [
    'HostRegexp(`^[a-z]+\\.example$`)',
    request('/x', { host: 'ABC.example:1' }),
    request('/x', { host: 'a1.example' }),
  ],
  'host regexp unanchored': ['HostRegexp(`xam`)', request('/x', { host: 'a.example' })],
  path: ['Path(`/p`)', request('/p'), request('/p/'), request('/P'), request('/p?x'), request('//p')],
  'path without slash': ['Path(`p`)', request('/p')],
  prefix: ['PathPrefix(`/foo`)', request('/foobar'), request('/foo'), request('/fo')],
  'prefix space': ['PathPrefix(`/a b`)', request('/a%20b/c'), request('/a+b')],
  'prefix quoted': ['PathPrefix(`/a%2Fb`)', request('/a%2fb/c'), request('/a/b/c')],
  'prefix quoted space': ['PathPrefix(`/a%20b`)', request('/a%20b/c')],
  'prefix lower hex': ['PathPrefix(`/a%2fb`)', request('/a%2fb'), request('/a%2Fb')],
  'prefix unicode': ['PathPrefix(`/é`)', request('/%C3%A9'), request('/é')],
  'prefix double slash': ['PathPrefix(`/a//b`)', request('/a//b'), request('/a/b')],
  'path regexp': ['PathRegexp(`^/u/[0-9]+$`)', request('/u/12'), request('/u/1a'), request('/x/u/1')],
  'path regexp unanchored': ['PathRegexp(`\\.(png|jpg)$`)', request('/x/y.png'), request('/x/y.PNG')],
  'path regexp flag': ['PathRegexp(`(?i)^/ABC`)', request('/abc')],
  header: [
    'Header(`X-K`, `v`)',
    request('/', { headers: ['x-k: v'] }),
    request('/', { headers: ['X-K: V'] }),
    request('/', { headers: ['X-K: w', 'X-K: v'] }),
    request('/', { headers: ['X-K: v, w'] }),
  ],
  'header host': ['Header(`Host`, `localhost`)', request('/')],
  'header regexp': [
    'HeaderRegexp(`X-K`, `^v+$`)',
    request('/', { headers: ['X-K: vvv'] }),
    request('/', { headers: ['X-K: a'] }),
    request('/'),
  ],
  method: [
    'Method(`post`)',
    request('/', { method: 'POST', body: 'x' }),
    request('/'),
    request('/', { method: 'post' }),
  ],
  query: [
    'Query(`k`)',
    request('/?k'),
    request('/?k='),
    request('/?k=v'),
    request('/?a=1&k'),
    request('/?K'),
  ],
  'query value': [
    'Query(`k`, `v w`)',
    request('/?k=v+w'),
    request('/?k=v%20w'),
    request('/?k=v'),
    request('/?k=x&k=v%20w'),
    request('/?%6B=v+w'),
    request('/?a;k=v+w'),
  ],
  'query regexp': ['QueryRegexp(`k`, `^v`)', request('/?k=vw'), request('/?k=w'), request('/?k')],
  'query regexp one': ['QueryRegexp(`k`)', request('/?k'), request('/?k=v')],
  client: ['ClientIP(`127.0.0.0/8`)', request('/'), request('/', { headers: ['X-Forwarded-For: 10.0.0.1'] })],
  'client other': ['ClientIP(`10.0.0.1`)', request('/', { headers: ['X-Forwarded-For: 10.0.0.1'] })],
  'client bad': ['ClientIP(`nonsense`)', request('/')],
  'and or': [
    'PathPrefix(`/a`) || PathPrefix(`/b`) && Method(`POST`)',
    request('/a'),
    request('/b'),
    request('/b', { method: 'POST' }),
  ],
  parentheses: [
    '(PathPrefix(`/a`) || PathPrefix(`/b`)) && Method(`POST`)',
    request('/a'),
    request('/b', { method: 'POST' }),
  ],
  not: ['!PathPrefix(`/a`)', request('/a'), request('/b')],
  'not and': [
    'PathPrefix(`/a`) && !(Path(`/a/x`) || Query(`n`))',
    request('/a'),
    request('/a/x'),
    request('/a?n'),
  ],
  'double not': ['!!PathPrefix(`/a`)', request('/a'), request('/b')],
  lower: ['pathprefix(`/a`)', request('/a')],
  upper: ['PATHPREFIX(`/a`)', request('/a')],
  title: ['Pathprefix(`/a`)', request('/a')],
  mixed: ['pathPrefix(`/a`)', request('/a')],
  'double quotes': ['PathPrefix("/a\\u0062")', request('/ab')],
  'single quotes': ["PathPrefix('/a')", request('/a')],
  'no arguments': ['PathPrefix()', request('/')],
  'empty argument': ['PathPrefix(``)', request('/')],
  'two arguments': ['PathPrefix(`/a`, `/b`)', request('/a')],
  'unknown function': ['Nonsense(`a`)', request('/')],
  'v2 function': ['Headers(`X`, `y`)', request('/', { headers: ['X: y'] })],
  'v2 template': ['PathPrefix(`/{x:[0-9]+}`)', request('/12'), request('/{x:[0-9]+}')],
  'empty rule': ['', request('/')],
  unfinished: ['PathPrefix(`/a`) &&', request('/a')],
  unbalanced: ['(PathPrefix(`/a`)', request('/a')],
  'single and': ['PathPrefix(`/a`) & Method(`GET`)', request('/a')],
  'only a name': ['PathPrefix', request('/')],
  'a bare string': ['`/a`', request('/a')],
  spaces: ['  PathPrefix ( `/a` )  &&   Method( `GET` )', request('/a')],
  'newline after operator': ['PathPrefix(`/a`) &&\n Method(`GET`)', request('/a')],
  'newline before operator': ['PathPrefix(`/a`)\n && Method(`GET`)', request('/a')],
  'bad regexp': ['PathRegexp(`(`)', request('/(')],
  'look-ahead regexp': ['PathRegexp(`^/(?=a)`)', request('/a')],
  'trailing comma': ['PathPrefix(`/a`,)', request('/a')],
  comment: ['PathPrefix(`/a`) /* x */', request('/a')],
};

function matcherSuite(names: readonly string[], part: number): void {
  const slug = (name: string): string => name.replaceAll(' ', '-');
  const cases: Case[] = names.flatMap((name) =>
    (RULES[name] ?? []).slice(1).map((bytes, index) => ({
      name: `${name} ${String(index + 1)}: ${RULES[name]?.[0] ?? ''} · ${bytes.slice(0, bytes.indexOf(' HTTP'))}`,
      entryPoint: slug(name),
      send: bytes,
    })),
  );
  const entryPoints = names
    .map((name) => `[entryPoints.${slug(name)}]\naddress = "127.0.0.1:<${slug(name)}>"\n`)
    .join('');
  compareSuite({
    name: `matchers ${String(part)}`,
    setup: {
      entryPoints: ['web', ...names.map(slug)],
      backends: ['ready', 'one'],
      files: {
        'traefik.toml': PLAIN_STATIC + entryPoints,
        'rules.toml':
          READY_RULES +
          names
            .map(
              (name) =>
                `[http.routers.${slug(name)}]\nrule = ${JSON.stringify(RULES[name]?.[0])}\nservice = "one"\nentryPoints = ["${slug(name)}"]\n`,
            )
            .join('') +
          services('one'),
      },
      ready: { entryPoint: 'web', target: '/__ready' },
    },
    cases,
  });
}

const names = Object.keys(RULES);
matcherSuite(names.slice(0, names.length / 2), 1);
matcherSuite(names.slice(names.length / 2), 2);

compareSuite({
  name: 'priorities',
  setup: {
    entryPoints: ['web', 'second'],
    backends: ['ready', 'a', 'b', 'c', 'd', 'e', 'f', 'g'],
    files: {
      'traefik.toml': `${PLAIN_STATIC}[entryPoints.second]\naddress = "127.0.0.1:<second>"\n`,
      'rules.toml':
        READY_RULES +
        routes({
          longer: ['PathPrefix(`/len/long`)', 'a'],
          shorter: ['PathPrefix(`/len`)', 'b'],
          spaces: ['PathPrefix(`/sp`)             ', 'a'],
          nospaces: ['PathPrefix(`/sp/long`)', 'b'],
          low: ['PathPrefix(`/prio/x`)', 'a', 'priority = 1'],
          high: ['PathPrefix(`/prio`)', 'b', 'priority = 100'],
          negative: ['PathPrefix(`/neg/x`)', 'a', 'priority = -1'],
          positive: ['PathPrefix(`/neg`)', 'b', 'priority = 1'],
          zero: ['PathPrefix(`/zero/x`)', 'a', 'priority = 0'],
          one: ['PathPrefix(`/zero`)', 'b', 'priority = 2'],
          max: ['PathPrefix(`/max/x`)', 'a', 'priority = 9223372036854774807'],
          toohigh: ['PathPrefix(`/max/x`)', 'b', 'priority = 9223372036854774808'],
          bytes: ['PathPrefix(`/é`)', 'a'],
          chars: ['PathPrefix(`/`) ', 'g'],
          any: ['PathPrefix(`/`)', 'c', 'entryPoints = ["web"]'],
          elsewhere: ['PathPrefix(`/`)', 'd', 'entryPoints = ["second"]'],
          both: ['PathPrefix(`/both`)', 'e', 'entryPoints = ["web", "second"]'],
          partly: ['PathPrefix(`/partly`)', 'f', 'entryPoints = ["web", "nowhere"]'],
          nowhere: ['PathPrefix(`/len/long/nowhere`)', 'f', 'entryPoints = ["nowhere"]'],
          noservice: ['PathPrefix(`/len/long/noservice`)', 'nothing'],
          nomiddleware: ['PathPrefix(`/len/long/nomiddleware`)', 'f', 'middlewares = ["nothing"]'],
          badrule: ['Nonsense(`/len/long/badrule`)', 'f'],
          qualified: ['PathPrefix(`/qualified`)', 'f@file'],
          otherprovider: ['PathPrefix(`/otherprovider`)', 'f@redis'],
          noop: ['PathPrefix(`/noop`)', 'noop@internal'],
          noapi: ['PathPrefix(`/noapi`)', 'api@internal'],
          badinternal: ['PathPrefix(`/badinternal`)', 'nothing@internal'],
          tls: ['PathPrefix(`/len/long/tls`)', 'f', 'tls = {}'],
        }) +
        '[http.routers.without]\nrule = "PathPrefix(`/without`)"\n' +
        services('a', 'b', 'c', 'd', 'e', 'f', 'g'),
    },
    ready: { entryPoint: 'web', target: '/__ready' },
  },
  cases: [
    ...[
      '/len/long',
      '/len/lo',
      '/sp/long',
      '/prio/x',
      '/neg/x',
      '/zero/x',
      '/max/x',
      '/é',
      '/both',
      '/partly',
      '/len/long/nowhere',
      '/len/long/noservice',
      '/len/long/nomiddleware',
      '/len/long/badrule',
      '/len/long/tls',
      '/qualified',
      '/otherprovider',
      '/noop',
      '/noapi',
      '/badinternal',
      '/without',
      '/',
      '/other',
    ].flatMap((target) => [
      { name: `GET ${target} on web`, send: request(target) },
      { name: `GET ${target} on second`, send: request(target), entryPoint: 'second' },
    ]),
  ],
});
