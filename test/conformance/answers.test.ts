// The answers that the proxy makes itself: no router, no server, unreachable, silent, malformed; and upgrades.

import { HANDSHAKE_ANSWER, READY_RULES, handshake, request, routes, services } from './requests.ts';
import { compareSuite } from './suite.ts';
import type { Case } from './suite.ts';

const STATIC = `
[entryPoints.web]
address = "127.0.0.1:<web>"
[entryPoints.empty]
address = "127.0.0.1:<empty>"
[entryPoints.trusted]
address = "127.0.0.1:<trusted>"
[entryPoints.trusted.forwardedHeaders]
insecure = true
[entryPoints.small]
address = "127.0.0.1:<small>"
[entryPoints.small.http]
maxHeaderBytes = 2000
[providers]
providersThrottleDuration = "0s"
[providers.file]
filename = "<dir>/rules.toml"
[serversTransport.forwardingTimeouts]
responseHeaderTimeout = "300ms"
dialTimeout = "300ms"
[log]
level = "ERROR"
`;

const RULES =
  READY_RULES +
  routes({
    one: ['PathPrefix(`/one`)', 'one', 'entryPoints = ["web", "trusted", "small"]'],
    dead: ['PathPrefix(`/dead`)', 'dead', 'entryPoints = ["web"]'],
    none: ['PathPrefix(`/none`)', 'none', 'entryPoints = ["web"]'],
    weightless: ['PathPrefix(`/weightless`)', 'weightless', 'entryPoints = ["web"]'],
    noname: ['PathPrefix(`/noname`)', 'noname', 'entryPoints = ["web"]'],
    plaintls: ['PathPrefix(`/plaintls`)', 'plaintls', 'entryPoints = ["web"]'],
    badurl: ['PathPrefix(`/badurl`)', 'badurl', 'entryPoints = ["web"]'],
    noscheme: ['PathPrefix(`/noscheme`)', 'noscheme', 'entryPoints = ["web"]'],
    nohost: ['PathPrefix(`/nohost`)', 'nohost', 'entryPoints = ["web"]'],
    weighted: ['PathPrefix(`/weighted`)', 'weighted', 'entryPoints = ["web"]'],
    mixed: ['PathPrefix(`/mixed`)', 'mixed', 'entryPoints = ["web"]'],
    noop: ['PathPrefix(`/noop`)', 'noop@internal', 'entryPoints = ["web"]'],
  }) +
  services('one') +
  `[http.services.dead.loadBalancer]
[[http.services.dead.loadBalancer.servers]]
url = "http://127.0.0.1:<closed>"
[http.services.none.loadBalancer]
passHostHeader = true
[http.services.weightless.loadBalancer]
[[http.services.weightless.loadBalancer.servers]]
url = "http://127.0.0.1:<one>"
weight = 0
[http.services.noname.loadBalancer]
[[http.services.noname.loadBalancer.servers]]
url = "http://nothing.invalid:80"
[http.services.plaintls.loadBalancer]
[[http.services.plaintls.loadBalancer.servers]]
url = "https://127.0.0.1:<one>"
[http.services.badurl.loadBalancer]
[[http.services.badurl.loadBalancer.servers]]
url = "http://[nonsense"
[http.services.noscheme.loadBalancer]
[[http.services.noscheme.loadBalancer.servers]]
url = "127.0.0.1:<one>"
[http.services.nohost.loadBalancer]
[[http.services.nohost.loadBalancer.servers]]
url = "http://"
[http.services.weighted.loadBalancer]
[[http.services.weighted.loadBalancer.servers]]
url = "http://127.0.0.1:<one>"
weight = 3
[[http.services.weighted.loadBalancer.servers]]
url = "http://127.0.0.1:<two>"
[http.services.mixed.loadBalancer]
[[http.services.mixed.loadBalancer.servers]]
url = "http://127.0.0.1:<one>"
weight = 0
[[http.services.mixed.loadBalancer.servers]]
url = "http://127.0.0.1:<two>"
[[http.services.mixed.loadBalancer.servers]]
url = "http://127.0.0.1:<three>"
`;

const cases: Case[] = [
  ...['GET', 'HEAD', 'POST', 'OPTIONS', 'PUT'].map((method) => ({
    name: `404 for ${method}`,
    send: request('/nothing', { method, ...(method === 'POST' ? { body: 'x' } : {}) }),
  })),
  { name: '404 on an entry point without routers', entryPoint: 'empty', send: request('/') },
  { name: '404 for a handshake', send: handshake('/nothing') },
  { name: '404 to HTTP/1.0', send: 'GET /nothing HTTP/1.0\r\n\r\n' },
  { name: '404 with Connection: close', send: request('/nothing', { headers: ['Connection: close'] }) },
  ...['dead', 'none', 'weightless', 'noname', 'plaintls', 'badurl', 'noscheme', 'nohost', 'noop'].flatMap(
    (name) => [
      { name: `GET to ${name}`, send: request(`/${name}`) },
      { name: `POST to ${name}`, send: request(`/${name}`, { method: 'POST', body: 'abc' }) },
      { name: `HEAD to ${name}`, send: request(`/${name}`, { method: 'HEAD' }) },
      { name: `handshake to ${name}`, send: handshake(`/${name}`) },
    ],
  ),
  { name: 'weights 3 to 1', send: request('/weighted'), repeat: 16 },
  { name: 'a weight of 0 is no server', send: request('/mixed'), repeat: 10 },
  { name: 'the server ends without an answer', send: request('/one'), reaction: { answer: '', then: 'end' } },
  {
    name: 'the server ends without an answer to POST',
    send: request('/one', { method: 'POST', body: 'x' }),
    reaction: { answer: '', then: 'end' },
  },
  {
    name: 'the server resets',
    send: request('/one', { method: 'POST', body: 'x' }),
    reaction: { then: 'reset' },
  },
  { name: 'the server resets a GET', send: request('/one'), reaction: { then: 'reset' } },
  { name: 'the server is silent', send: request('/one'), reaction: { answer: '' } },
  {
    name: 'the server ends inside the head',
    send: request('/one'),
    reaction: { answer: 'HTTP/1.1 200 OK\r\nX: ', then: 'end' },
  },
  {
    name: 'the server ends inside the body',
    send: request('/one'),
    reaction: { answer: 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc', then: 'end' },
  },
  {
    name: 'the server ends inside a chunk',
    send: request('/one'),
    reaction: { answer: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc', then: 'end' },
  },
  ...Object.entries({
    nonsense: 'nonsense\r\n\r\n',
    'a bad status': 'HTTP/1.1 20 OK\r\n\r\n',
    'a bad version': 'HTTP/9.9 200 OK\r\nContent-Length: 0\r\n\r\n',
    'a bad header': 'HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n',
    'a bad length': 'HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n',
    'two lengths': 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx',
    'equal lengths twice': 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx',
    'length and chunks':
      'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n',
    'an unknown coding': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx',
    'a body after 204': 'HTTP/1.1 204 No Content\r\nContent-Length: 1\r\n\r\nx',
    'an unasked upgrade': HANDSHAKE_ANSWER,
  }).map(([name, answer]) => ({
    name: `the server answers ${name}`,
    send: request('/one'),
    reaction: { answer, then: 'end' as const },
  })),
  {
    name: 'a header section above the limit',
    entryPoint: 'small',
    send: request('/one', { headers: [`X-A: ${'x'.repeat(9000)}`] }),
  },
  ...Object.entries({
    garbage: 'garbage garbage\r\n\r\n',
    'a bad version': 'GET /one HTTP/9.9\r\nHost: a\r\n\r\n',
    'HTTP/2 in words': 'GET /one HTTP/2.0\r\nHost: a\r\n\r\n',
    'lower-case http': 'GET /one http/1.1\r\nHost: a\r\n\r\n',
    'a header without a colon': 'GET /one HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n',
    'a space before the colon': 'GET /one HTTP/1.1\r\nHost: a\r\nX-A : 1\r\n\r\n',
    'a folded header': 'GET /one HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n 2\r\n\r\n',
    'a control character in a value': 'GET /one HTTP/1.1\r\nHost: a\r\nX-A: \x01\r\n\r\n',
    'an empty name': 'GET /one HTTP/1.1\r\nHost: a\r\n: 1\r\n\r\n',
    'a bad name': 'GET /one HTTP/1.1\r\nHost: a\r\nX A: 1\r\n\r\n',
    'a bad length': 'POST /one HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n',
    'a negative length': 'POST /one HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n',
    'a signed length':
      'POST /one HTTP/1.1\r\nHost: a\r\nAccept-Encoding: identity\r\nContent-Length: +1\r\n\r\nx',
    'two lengths': 'POST /one HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx',
    'equal lengths twice':
      'POST /one HTTP/1.1\r\nHost: a\r\nAccept-Encoding: identity\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx',
    'length and chunks':
      'POST /one HTTP/1.1\r\nHost: a\r\nAccept-Encoding: identity\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n',
    'an unknown coding': 'POST /one HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n',
    'gzip, chunked': 'POST /one HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
    Chunked:
      'POST /one HTTP/1.1\r\nHost: a\r\nAccept-Encoding: identity\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n',
    'chunked to HTTP/1.0':
      'POST /one HTTP/1.0\r\nHost: a\r\nAccept-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n',
    'a bad chunk size':
      'POST /one HTTP/1.1\r\nHost: a\r\nAccept-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n',
    'bare line feeds': 'GET /one HTTP/1.1\nHost: a\nAccept-Encoding: identity\n\n',
    'an empty line first': '\r\nGET /one HTTP/1.1\r\nHost: a\r\nAccept-Encoding: identity\r\n\r\n',
    'two spaces': 'GET  /one HTTP/1.1\r\nHost: a\r\n\r\n',
    'a bad method': 'G@T /one HTTP/1.1\r\nHost: a\r\n\r\n',
    'a body with CONNECT': 'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n',
    TRACE: 'TRACE /one HTTP/1.1\r\nHost: a\r\nAccept-Encoding: identity\r\n\r\n',
  }).map(([name, send]) => ({ name: `the client sends ${name}`, send })),
];

const UPGRADES: Case[] = [
  {
    name: 'a tunnel',
    send: handshake('/one/ws?x=1'),
    tunnelBytes: 'ping',
    reaction: { answer: HANDSHAKE_ANSWER, then: 'echo' },
  },
  {
    name: 'a tunnel with origin, cookie, protocol and extensions',
    send: handshake('/one', [
      'Origin: http://localhost',
      'Cookie: a=1',
      'Sec-WebSocket-Protocol: v1.kernel, v2',
      'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits',
    ]),
    tunnelBytes: 'x',
    reaction: {
      answer: HANDSHAKE_ANSWER.replace(
        '\r\n\r\n',
        '\r\nSec-WebSocket-Protocol: v2\r\nSet-Cookie: b=2\r\n\r\n',
      ),
      then: 'echo',
    },
  },
  {
    name: 'bytes right behind the 101',
    send: handshake('/one'),
    tunnelBytes: 'x',
    reaction: { answer: `${HANDSHAKE_ANSWER}hello`, then: 'echo' },
  },
  {
    name: 'forged forwarding headers on a trusted entry point',
    entryPoint: 'trusted',
    send: handshake('/one', ['X-Forwarded-Proto: https', 'X-Forwarded-For: 1.2.3.4']),
    reaction: { answer: HANDSHAKE_ANSWER, then: 'echo' },
  },
  {
    name: 'a refusal',
    send: handshake('/one'),
    reaction: { answer: 'HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno' },
  },
  { name: 'a plain 200', send: handshake('/one'), reaction: {} },
  {
    name: 'another protocol in the answer',
    send: handshake('/one'),
    reaction: { answer: HANDSHAKE_ANSWER.replace('Upgrade: websocket', 'Upgrade: other'), then: 'end' },
  },
  {
    name: 'no Upgrade in the answer',
    send: handshake('/one'),
    reaction: { answer: HANDSHAKE_ANSWER.replace('Upgrade: websocket\r\n', ''), then: 'end' },
  },
  {
    name: 'an odd spelling in the answer',
    send: handshake('/one'),
    reaction: { answer: HANDSHAKE_ANSWER.replace('Upgrade: websocket', 'upgrade: WebSocket'), then: 'echo' },
    tunnelBytes: 'x',
  },
  {
    name: 'any token',
    send: request('/one', { headers: ['Connection: keep-alive, Upgrade', 'Upgrade: my-protocol'] }),
    reaction: {
      answer: 'HTTP/1.1 101 Fine\r\nConnection: Upgrade\r\nUpgrade: my-protocol\r\n\r\n',
      then: 'echo',
    },
    tunnelBytes: 'x',
  },
  {
    name: 'two tokens',
    send: request('/one', { headers: ['Connection: Upgrade', 'Upgrade: a, b'] }),
    reaction: {},
  },
  {
    name: 'a token with a version',
    send: request('/one', { headers: ['Connection: Upgrade', 'Upgrade: a/1'] }),
    reaction: {},
  },
  {
    name: 'WebSocket in capitals',
    send: request('/one', {
      headers: [
        'Connection: UPGRADE',
        'Upgrade: WebSocket',
        'Sec-Websocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
        'sec-websocket-version: 13',
      ],
    }),
    reaction: { answer: HANDSHAKE_ANSWER, then: 'echo' },
  },
  {
    name: 'POST with Upgrade',
    send: request('/one', {
      method: 'POST',
      headers: ['Connection: Upgrade', 'Upgrade: websocket'],
      body: 'abc',
    }),
    reaction: {},
  },
  {
    name: 'HTTP/1.0 with Upgrade',
    send: 'GET /one HTTP/1.0\r\nHost: a\r\nAccept-Encoding: identity\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
    reaction: {},
  },
  { name: 'the server ends', send: handshake('/one'), reaction: { answer: '', then: 'end' } },
  { name: 'the server resets', send: handshake('/one'), reaction: { then: 'reset' } },
  { name: 'the server is silent', send: handshake('/one'), reaction: { answer: '' } },
];

const setup = {
  entryPoints: ['web', 'empty', 'trusted', 'small'],
  backends: ['ready', 'one', 'two', 'three'],
  closedPorts: ['closed'],
  files: { 'traefik.toml': STATIC, 'rules.toml': RULES },
  ready: { entryPoint: 'web', target: '/__ready' },
};

compareSuite({ name: 'answers', isNewOnly: true, setup, cases });
compareSuite({ name: 'upgrades', isNewOnly: true, setup, cases: UPGRADES });
