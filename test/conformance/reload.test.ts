// What a change of the dynamic files does: applied, refused with the old table kept, emptied; one file and a directory.

import { PLAIN_STATIC, READY_RULES, request, routes, services } from './requests.ts';
import { compareSuite } from './suite.ts';
import type { Case, FileChange } from './suite.ts';

const GOOD = READY_RULES + routes({ one: ['PathPrefix(`/`)', 'one'] }) + services('one');
const applied = (target: string, status: string): FileChange['until'] => ({
  entryPoint: 'web',
  target,
  status,
});

/** Contents that must leave the table as it is. */
const REFUSED: Readonly<Record<string, string>> = {
  'broken TOML': '[http.routers\n',
  'an unknown key': `${GOOD}\n[http.routers.two]\nrul = "x"\n`,
  'an unknown key in a service': `${GOOD}\n[http.services.two.loadBalancer]\nnonsense = 1\n`,
  'an empty http table': '[http]\n',
  'an empty routers table': '[http.routers]\n',
  'an empty load balancer': '[http.services.two.loadBalancer]\n',
  'a key twice': '[http.routers.a]\nrule = "Path(`/`)"\nrule = "Path(`/b`)"\n',
  'a table twice': '[http.routers.a]\nrule = "Path(`/`)"\n[http.routers.a]\nservice = "b"\n',
  'a bad type': '[http.routers.a]\nrule = "Path(`/`)"\npriority = "high"\n',
  'an unclosed template': '{{ range',
};

/** Contents that are applied; `/__changed` tells when. */
const CHANGED =
  READY_RULES.replace('/__ready', '/__other') +
  routes({ changed: ['Path(`/__changed`)', 'one'] }) +
  services('one');
const APPLIED: Readonly<Record<string, string>> = {
  'an own root table': `${CHANGED}\n[jupyterhub]\nx = 1\n[jupyterhub.routes."/"]\ndata = { a = [] }\n`,
  'other spellings of keys': CHANGED.replace('[http.routers', '[HTTP.Routers')
    .replace('rule =', 'Rule =')
    .replace('servers', 'Servers'),
  'numbers and booleans as text': `${CHANGED}\n[http.routers.b]\nrule = "Path(\`/b\`)"\nservice = "b"\npriority = "7"\n[http.services.b.loadBalancer]\npassHostHeader = "false"\n[[http.services.b.loadBalancer.servers]]\nurl = "http://127.0.0.1:<one>"\n`,
  'a list as text': `${CHANGED}\n[http.routers.b]\nrule = "Path(\`/b\`)"\nservice = "one"\nentryPoints = "web, other"\n`,
  'inline tables':
    'http = { routers = { changed = { rule = "Path(`/__changed`)", service = "one" } , b = { rule = "Path(`/b`)", service = "one" } }, services = { one = { loadBalancer = { servers = [ { url = "http://127.0.0.1:<one>" } ] } } } }\n',
  'a router without its service': `${CHANGED}\n[http.routers.b]\nrule = "Path(\`/b\`)"\nservice = "nothing"\n`,
};

const cases: Case[] = [{ name: 'the first table', send: request('/x') }];
for (const [name, text] of Object.entries(REFUSED))
  cases.push({
    name: `${name} is refused`,
    change: { file: 'rules.toml', text, until: 'refused' },
    send: request('/x'),
  });
for (const [name, text] of Object.entries(APPLIED)) {
  cases.push(
    {
      name: `back to the first table before ${name}`,
      change: { file: 'rules.toml', text: GOOD, until: applied('/__ready', '200') },
      send: request('/x'),
    },
    {
      name: `${name} is applied`,
      change: {
        file: 'rules.toml',
        text,
        until: applied('/__ready', '404'),
      },
      send: request('/__changed'),
    },
    { name: `${name} is applied: /b`, send: request('/b') },
  );
}
cases.push(
  {
    name: 'an empty file empties the table',
    change: { file: 'rules.toml', text: '', until: applied('/__ready', '404') },
    send: request('/x'),
  },
  {
    name: 'a good file fills it again',
    change: { file: 'rules.toml', text: GOOD, until: applied('/__ready', '200') },
    send: request('/x'),
  },
  {
    name: 'a file with only comments empties it',
    change: { file: 'rules.toml', text: '# nothing\n', until: applied('/__ready', '404') },
    send: request('/x'),
  },
);

compareSuite({
  name: 'reload',
  setup: {
    entryPoints: ['web', 'other'],
    backends: ['ready', 'one'],
    files: {
      'traefik.toml': `${PLAIN_STATIC}[entryPoints.other]\naddress = "127.0.0.1:<other>"\n`,
      'rules.toml': GOOD,
    },
    ready: { entryPoint: 'web', target: '/__ready' },
  },
  cases,
});

const two = (name: string, backend: string): string =>
  routes({ [name]: [`PathPrefix(\`/${name}\`)`, backend] });

compareSuite({
  name: 'directory',
  setup: {
    entryPoints: ['web'],
    backends: ['ready', 'one', 'two'],
    files: {
      'traefik.toml': PLAIN_STATIC.replace('filename = "<dir>/rules.toml"', 'directory = "<dir>/rules"'),
      'rules/1.toml': READY_RULES + two('a', 'one') + services('one'),
      'rules/2.toml': two('a', 'two') + two('b', 'two') + services('two'),
      'rules/3.yml': 'http:\n  routers:\n    c:\n      rule: PathPrefix(`/c`)\n      service: one\n',
      'rules/4.txt': 'nonsense',
      'rules/sub/5.TOML': two('d', 'one'),
    },
    ready: { entryPoint: 'web', target: '/__ready' },
  },
  cases: [
    ...['/a', '/b', '/c', '/d', '/e'].map((target) => ({ name: `GET ${target}`, send: request(target) })),
    {
      name: 'one broken file refuses all',
      change: { file: 'rules/2.toml', text: '[', until: 'refused' as const },
      send: request('/b'),
    },
    {
      name: 'a new file is taken',
      change: { file: 'rules/2.toml', text: two('e', 'two') + services('two'), until: applied('/e', '200') },
      send: request('/b'),
    },
  ],
});

compareSuite({
  name: 'empty at start',
  setup: {
    entryPoints: ['web', 'traefik'],
    backends: ['ready', 'one'],
    files: {
      'traefik.toml': `${PLAIN_STATIC}[entryPoints.traefik]\naddress = "127.0.0.1:<traefik>"\n[ping]\n`,
      'rules.toml': '',
    },
    ready: { entryPoint: 'traefik', target: '/ping' },
  },
  cases: [
    { name: 'nothing is routed', send: request('/x') },
    {
      name: 'the first content is taken',
      change: { file: 'rules.toml', text: GOOD, until: applied('/__ready', '200') },
      send: request('/x'),
    },
  ],
});
