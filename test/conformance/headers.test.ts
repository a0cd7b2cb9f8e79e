// Which headers reach the server and which come back: X-Forwarded-*, Host, hop-by-hop headers, Connection tokens.

import { PLAIN_STATIC, READY_RULES, request, routes, services } from './requests.ts';
import { compareSuite } from './suite.ts';
import type { Case } from './suite.ts';

const STATIC = `
[entryPoints.web]
address = "127.0.0.1:<web>"
[entryPoints.trusted]
address = "127.0.0.1:<trusted>"
[entryPoints.trusted.forwardedHeaders]
trustedIPs = ["127.0.0.0/8"]
[entryPoints.other]
address = "127.0.0.1:<other>"
[entryPoints.other.forwardedHeaders]
trustedIPs = ["192.0.2.1", "10.0.0.0/8"]
[entryPoints.insecure]
address = "127.0.0.1:<insecure>"
[entryPoints.insecure.forwardedHeaders]
insecure = true
[entryPoints.six]
address = "[::1]:<six>"
[entryPoints.sixtrusted]
address = "[::1]:<sixtrusted>"
[entryPoints.sixtrusted.forwardedHeaders]
trustedIPs = ["::1"]
[providers]
providersThrottleDuration = "0s"
[providers.file]
filename = "<dir>/rules.toml"
[log]
level = "ERROR"
`;

const RULES =
  READY_RULES +
  routes({
    root: ['PathPrefix(`/`)', 'one'],
    own: ['PathPrefix(`/own-host`)', 'own'],
    deep: ['PathPrefix(`/deep`)', 'deep'],
  }) +
  services('one') +
  `[http.services.own.loadBalancer]
passHostHeader = false
[[http.services.own.loadBalancer.servers]]
url = "http://127.0.0.1:<one>"
[[http.services.deep.loadBalancer.servers]]
url = "http://127.0.0.1:<one>/base/path?x=1"
`;

const FORGED = [
  'X-Forwarded-For: 203.0.113.7, 10.1.1.1',
  'X-Forwarded-Proto: https',
  'X-Forwarded-Host: forged.example',
  'X-Forwarded-Port: 4443',
  'X-Forwarded-Server: forged',
  'X-Forwarded-Uri: /forged',
  'X-Forwarded-Method: PUT',
  'X-Forwarded-Prefix: /forged',
  'X-Forwarded-Tls-Client-Cert: forged',
  'X-Forwarded-Tls-Client-Cert-Info: forged',
  'X-Forwarded-Ssl: on',
  'X-Forwarded-User: forged',
  'X-Real-Ip: 203.0.113.7',
  'X-Scheme: https',
  'X-Forwarded-Scheme: https',
  'X-Forwarded: for=1',
  'Forwarded: for=203.0.113.7;proto=https',
  'X_Forwarded_For: 203.0.113.9',
  'X_Real_Ip: 203.0.113.9',
  'X-Forwarded_Proto: https',
];

const cases: Case[] = [];
const at: readonly (readonly [entryPoint: string, host?: string])[] = [
  ['web'],
  ['trusted'],
  ['other'],
  ['insecure'],
  ['six', '::1'],
  ['sixtrusted', '::1'],
];
for (const [entryPoint, host] of at) {
  const place = { entryPoint, ...(host === undefined ? {} : { host }) };
  cases.push(
    { name: `a plain request on ${entryPoint}`, ...place, send: request('/') },
    { name: `forged X-headers on ${entryPoint}`, ...place, send: request('/', { headers: FORGED }) },
    {
      name: `two X-Forwarded-For on ${entryPoint}`,
      ...place,
      send: request('/', {
        headers: ['X-Forwarded-For: 203.0.113.7', 'X-Forwarded-For: 10.1.1.1, 10.2.2.2'],
      }),
    },
    {
      name: `an empty X-Forwarded-For on ${entryPoint}`,
      ...place,
      send: request('/', { headers: ['X-Forwarded-For:'] }),
    },
  );
}
for (const proto of ['http', 'https', 'ws', 'wss', 'gopher'])
  cases.push({
    name: `X-Forwarded-Proto ${proto} from a trusted peer decides the port`,
    entryPoint: 'trusted',
    send: request('/', { headers: [`X-Forwarded-Proto: ${proto}`] }),
  });
for (const host of [
  'LocalHost',
  'localhost:8000',
  'localhost.',
  'xn--fsq.example',
  '127.0.0.1:1',
  '[::1]:99',
  '[::1]',
  'a_b',
  'a:',
  'a:b',
  'user@host',
  'a/b',
  'a b',
  'é',
  '',
  'a,b',
  '%41',
  'a?b',
  'a#b',
])
  cases.push({ name: `Host: ${host}`, send: request('/', { host }) });
cases.push(
  { name: 'no Host in HTTP/1.1', send: 'GET / HTTP/1.1\r\nAccept-Encoding: identity\r\n\r\n' },
  { name: 'no Host in HTTP/1.0', send: 'GET / HTTP/1.0\r\nAccept-Encoding: identity\r\n\r\n' },
  {
    name: 'HTTP/1.0 with keep-alive',
    send: 'GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nAccept-Encoding: identity\r\n\r\n',
  },
  { name: 'two Hosts', send: request('/', { headers: ['Host: other'] }) },
  {
    name: 'passHostHeader false sends the server',
    send: request('/own-host', { host: 'public.example:8443' }),
  },
  { name: "the server URL's path and query are ignored", send: request('/deep/x?y=2') },
  { name: 'a request without Accept-Encoding', send: 'GET / HTTP/1.1\r\nHost: a\r\n\r\n' },
  { name: 'a HEAD request without Accept-Encoding', send: 'HEAD / HTTP/1.1\r\nHost: a\r\n\r\n' },
  {
    name: 'a Range request without Accept-Encoding',
    send: 'GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\n\r\n',
  },
);

const HOP: Readonly<Record<string, readonly string[]>> = {
  'Connection: close': ['Connection: close'],
  'Connection: keep-alive': ['Connection: keep-alive', 'Keep-Alive: timeout=5'],
  'Connection names a header': ['Connection: x-gone', 'X-Gone: 1', 'X-Stays: 1'],
  'Connection names several, odd spacing': ['Connection: x-gone ,, X-GONE-TOO', 'X-Gone: 1', 'X-Gone-Too: 1'],
  'two Connection headers': ['Connection: x-a', 'Connection: x-b', 'X-A: 1', 'X-B: 2'],
  'Connection names X-Forwarded-For': ['Connection: X-Forwarded-For, X-Real-Ip, X-Forwarded-Proto'],
  'Connection names Host': ['Connection: host'],
  'Connection names Authorization and Cookie': [
    'Connection: authorization, cookie',
    'Authorization: a',
    'Cookie: b=1',
  ],
  'Connection names Content-Type': ['Connection: content-type', 'Content-Type: a/b'],
  'Connection: upgrade without Upgrade': ['Connection: upgrade'],
  'Upgrade without Connection': ['Upgrade: websocket'],
  'Upgrade: h2c': ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__'],
  'Te: trailers': ['Connection: te', 'Te: trailers'],
  'Te: trailers without Connection': ['Te: trailers'],
  'Te: trailers, deflate': ['Te: trailers, deflate'],
  'Te: gzip': ['Te: gzip'],
  'Proxy headers': [
    'Proxy-Connection: keep-alive',
    'Proxy-Authorization: Basic x',
    'Proxy-Authenticate: Basic',
    'Proxy-Foo: 1',
  ],
  'Trailer without a body': ['Trailer: X-T'],
  'Expect something': ['Expect: nonsense'],
  'repeated headers': ['X-A: 1', 'x-a: 2', 'X-A:', 'Cookie: a=1', 'Cookie: b=2'],
  'spaces around values': ['X-A:    1 \t ', 'X-B:\t2'],
  'bytes above 127': ['X-A: é'],
  'an underscore in a name': ['x_under: 1'],
  'odd names': [
    "x!#$%&'*+-.^`|~9: 1",
    'ETAG: x',
    'sec-websocket-protocol: a',
    'DNT: 1',
    'WWW-authenticate: x',
  ],
  'no User-Agent twice': ['User-Agent: second'],
  'Via and Forwarded': ['Via: 1.0 fred', 'Forwarded: for=1.2.3.4'],
};
for (const [name, headers] of Object.entries(HOP))
  cases.push({ name: `request: ${name}`, send: request('/', { headers }) });

const ANSWERS: Readonly<Record<string, string>> = {
  'hop-by-hop headers':
    'HTTP/1.1 200 OK\r\nConnection: x-gone, keep-alive\r\nX-Gone: 1\r\nKeep-Alive: timeout=3\r\nProxy-Authenticate: Basic\r\nProxy-Connection: x\r\nTe: x\r\nUpgrade: h2\r\nContent-Length: 1\r\n\r\nx',
  'Server, Date, Via and Alt-Svc':
    'HTTP/1.1 200 OK\r\nServer: s\r\nDate: Tue, 15 Nov 1994 08:12:31 GMT\r\nVia: 1.1 v\r\nAlt-Svc: h3\r\nContent-Length: 0\r\n\r\n',
  'an own reason phrase': 'HTTP/1.1 200 Fine By Me\r\nContent-Length: 0\r\n\r\n',
  'an unknown status': 'HTTP/1.1 299 Odd\r\nContent-Length: 0\r\n\r\n',
  'status 599': 'HTTP/1.1 599 Odd\r\nContent-Length: 0\r\n\r\n',
  'status 999': 'HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n',
  'no reason phrase': 'HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n',
  '204': 'HTTP/1.1 204 No Content\r\n\r\n',
  '304 with Content-Length': 'HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\nETag: "x"\r\n\r\n',
  'no Content-Type': 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>',
  'two Set-Cookie': 'HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n',
  'chunked with a trailer':
    'HTTP/1.1 200 OK\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n3;e=1\r\nabc\r\n0\r\nX-T: 1\r\n\r\n',
  'chunked with an unannounced trailer':
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n',
  '103 before 200':
    'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
  '100 without being asked': 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
  'Content-Encoding gzip unasked':
    'HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nxyz',
  'WWW-Authenticate and Location':
    'HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:<one>/x\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n',
  'bytes above 127': 'HTTP/1.1 200 OK\r\nX-A: \xe9\r\nContent-Length: 1\r\n\r\n\xff',
};
for (const [name, answer] of Object.entries(ANSWERS))
  cases.push({ name: `answer: ${name}`, send: request('/'), reaction: { answer } });
cases.push(
  {
    name: 'answer: HTTP/1.0 until the end',
    send: request('/'),
    reaction: { answer: 'HTTP/1.0 200 OK\r\n\r\nuntil the end', then: 'end' },
  },
  {
    name: 'answer: HTTP/1.1 until the end',
    send: request('/'),
    reaction: { answer: 'HTTP/1.1 200 OK\r\n\r\nuntil the end', then: 'end' },
  },
  {
    name: 'answer: until the end, to an HTTP/1.0 client',
    send: 'GET / HTTP/1.0\r\nHost: a\r\nAccept-Encoding: identity\r\n\r\n',
    reaction: { answer: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n' },
  },
  { name: 'answer: HEAD with Content-Length', send: request('/', { method: 'HEAD' }) },
  { name: 'body: POST with Content-Length', send: request('/', { method: 'POST', body: 'a=1' }) },
  {
    name: 'body: POST with Content-Length 0',
    send: request('/', { method: 'POST', headers: ['Content-Length: 0'] }),
  },
  { name: 'body: POST without one', send: request('/', { method: 'POST' }) },
  { name: 'body: GET with one', send: request('/', { body: 'x' }) },
  { name: 'body: DELETE without one', send: request('/', { method: 'DELETE' }) },
  { name: 'body: own method', send: request('/', { method: 'BREW', body: 'x' }) },
  { name: 'body: lower-case method', send: request('/', { method: 'get' }) },
  {
    name: 'body: chunked',
    send: `${request('/', { method: 'POST', headers: ['Transfer-Encoding: chunked'] })}3\r\nabc\r\n0\r\n\r\n`,
  },
  {
    name: 'body: chunked with trailers',
    send: `${request('/', { method: 'POST', headers: ['Transfer-Encoding: chunked', 'Trailer: X-T'] })}3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n`,
  },
  {
    name: 'body: Expect 100-continue',
    send: request('/', { method: 'POST', headers: ['Expect: 100-continue'], body: 'abc' }),
  },
);

compareSuite({
  name: 'preservePath',
  isNewOnly: true,
  setup: {
    entryPoints: ['web'],
    backends: ['ready', 'one'],
    files: {
      'traefik.toml': PLAIN_STATIC,
      'rules.toml':
        READY_RULES +
        routes({ root: ['PathPrefix(`/`)', 'kept'] }) +
        `[http.services.kept.loadBalancer]
[[http.services.kept.loadBalancer.servers]]
url = "http://127.0.0.1:<one>/base/path/?x=1"
preservePath = true
`,
    },
    ready: { entryPoint: 'web', target: '/__ready' },
  },
  cases: ['/', '/x?y=2', '/x/', '/x%2Fy', '/base/path'].map((target) => ({
    name: `GET ${target}`,
    send: request(target),
  })),
});

compareSuite({
  name: 'headers',
  setup: {
    entryPoints: ['web', 'trusted', 'other', 'insecure', 'six', 'sixtrusted'],
    backends: ['ready', 'one'],
    files: { 'traefik.toml': STATIC, 'rules.toml': RULES },
    ready: { entryPoint: 'web', target: '/__ready' },
  },
  cases,
});
