// Basic authentication: hashes, spellings of the header, what the server sees, entry point middlewares, broken users.

import { HANDSHAKE_ANSWER, READY_RULES, handshake, request, services } from './requests.ts';
import { compareSuite } from './suite.ts';
import type { Case } from './suite.ts';

/** The password of every user is `secret`. */
const USERS = {
  bcrypt: 'bcrypt:$2b$04$H5lmPsw02D7k/Rznm/HKReRPj1NzVQzXP2KAPHt49FAQrQKNEdqKa',
  apr1: 'apr1:$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/',
  sha: 'sha:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=',
  plain: 'plain:secret',
  md5: 'md5:$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1',
} as const;

const basic = (text: string): string => `Authorization: Basic ${Buffer.from(text).toString('base64')}`;

const STATIC = `
[entryPoints.web]
address = "127.0.0.1:<web>"
[entryPoints.guarded]
address = "127.0.0.1:<guarded>"
[entryPoints.guarded.http]
middlewares = ["all@file"]
[providers]
providersThrottleDuration = "0s"
[providers.file]
filename = "<dir>/rules.toml"
[log]
level = "ERROR"
`;

const router = (name: string, middlewares: string): string =>
  `[http.routers.${name}]\nrule = "PathPrefix(\`/${name}\`)"\nservice = "one"\nentryPoints = ["web"]\nmiddlewares = ${middlewares}\n`;

const RULES =
  READY_RULES +
  ['all', 'realm', 'removed', 'named', 'file', 'nobody', 'broken', 'brokenhash', 'missingfile']
    .map((name) => router(name, `["${name}"]`))
    .join('') +
  router('twice', '["all", "sha"]') +
  router('open', '[]') +
  '[http.routers.guarded]\nrule = "PathPrefix(`/`)"\nservice = "one"\nentryPoints = ["guarded"]\n' +
  services('one') +
  `[http.middlewares.all.basicAuth]
users = ${JSON.stringify(Object.values(USERS))}
[http.middlewares.sha.basicAuth]
users = ["${USERS.sha}"]
[http.middlewares.realm.basicAuth]
users = ["${USERS.sha}"]
realm = "my \\"realm\\" é"
[http.middlewares.removed.basicAuth]
users = ["${USERS.sha}"]
removeHeader = true
[http.middlewares.named.basicAuth]
users = ["${USERS.sha}"]
headerField = "X-WebAuth-User"
[http.middlewares.file.basicAuth]
usersFile = "<dir>/users"
[http.middlewares.nobody.basicAuth]
users = []
removeHeader = true
[http.middlewares.broken.basicAuth]
users = ["no-colon"]
[http.middlewares.brokenhash.basicAuth]
users = ["x:y:z"]
[http.middlewares.missingfile.basicAuth]
usersFile = "<dir>/nothing"
`;

const cases: Case[] = [
  { name: 'no credentials', send: request('/all') },
  { name: 'no credentials, HEAD', send: request('/all', { method: 'HEAD' }) },
  { name: 'no credentials, POST with a body', send: request('/all', { method: 'POST', body: 'abc' }) },
  { name: 'no credentials, handshake', send: handshake('/all') },
  ...Object.keys(USERS).flatMap((name) => [
    { name: `${name}, right`, send: request('/all', { headers: [basic(`${name}:secret`)] }) },
    { name: `${name}, wrong`, send: request('/all', { headers: [basic(`${name}:wrong`)] }) },
    { name: `${name}, empty`, send: request('/all', { headers: [basic(`${name}:`)] }) },
  ]),
  ...Object.entries({
    'an unknown user': basic('nobody:secret'),
    'no colon': basic('sha'),
    'a user without a name': basic(':secret'),
    'the scheme in lower case': basic('sha:secret').replace('Basic', 'basic'),
    'the scheme in capitals': basic('sha:secret').replace('Basic', 'BASIC'),
    'two spaces': basic('sha:secret').replace('Basic ', 'Basic  '),
    'a tab': basic('sha:secret').replace('Basic ', 'Basic\t'),
    'no base64': 'Authorization: Basic !!!',
    nothing: 'Authorization:',
    'only the scheme': 'Authorization: Basic',
    'another scheme': 'Authorization: Bearer x',
    'base64 without padding': basic('sha:secret').replace(/=+$/, ''),
    'base64 with a tail': `${basic('sha:secret')} x`,
    'a user in capitals': basic('SHA:secret'),
    'the hash as password': basic('sha:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ='),
  }).map(([name, header]) => ({ name, send: request('/all', { headers: [header] }) })),
  {
    name: 'two headers, the first right',
    send: request('/all', { headers: [basic('sha:secret'), basic('sha:wrong')] }),
  },
  {
    name: 'two headers, the second right',
    send: request('/all', { headers: [basic('sha:wrong'), basic('sha:secret')] }),
  },
  {
    name: 'Connection names Authorization',
    send: request('/all', { headers: ['Connection: authorization', basic('sha:secret')] }),
  },
  {
    name: 'a handshake with credentials',
    send: handshake('/all', [basic('sha:secret')]),
    reaction: { answer: HANDSHAKE_ANSWER, then: 'echo' },
    tunnelBytes: 'x',
  },
  ...[
    'realm',
    'removed',
    'named',
    'file',
    'nobody',
    'broken',
    'brokenhash',
    'missingfile',
    'twice',
    'open',
  ].flatMap((name) => [
    { name: `${name} without`, send: request(`/${name}`) },
    {
      name: `${name} with`,
      send: request(`/${name}`, { headers: [basic('sha:secret'), 'X-WebAuth-User: forged'] }),
    },
  ]),
  { name: 'an entry point middleware without', entryPoint: 'guarded', send: request('/') },
  {
    name: 'an entry point middleware with',
    entryPoint: 'guarded',
    send: request('/', { headers: [basic('sha:secret')] }),
  },
];

compareSuite({
  name: 'auth',
  setup: {
    entryPoints: ['web', 'guarded'],
    backends: ['ready', 'one'],
    files: { 'traefik.toml': STATIC, 'rules.toml': RULES, users: `# comment\n\n${USERS.sha}\n` },
    ready: { entryPoint: 'web', target: '/__ready' },
  },
  cases,
});
