// Entry points that send their clients to another one, and redirectScheme on a router.

import { READY_RULES, handshake, request, routes, services } from './requests.ts';
import { compareSuite } from './suite.ts';
import type { Case } from './suite.ts';

const STATIC = `
[api]
insecure = true
[entryPoints.web]
address = "127.0.0.1:<web>"
[entryPoints.traefik]
address = "127.0.0.1:<traefik>"
[entryPoints.secure]
address = "127.0.0.1:<secure>"
[entryPoints."to-secure_1"]
address = "127.0.0.1:<to-secure_1>"
[entryPoints."to-secure_1".http.redirections.entryPoint]
to = "secure"
[entryPoints.port]
address = "127.0.0.1:<port>"
[entryPoints.port.http.redirections.entryPoint]
to = ":443"
permanent = false
priority = 10
[entryPoints.trusted]
address = "127.0.0.1:<trusted>"
[entryPoints.trusted.forwardedHeaders]
insecure = true
[entryPoints.trusted.http.redirections.entryPoint]
to = ":443"
[entryPoints.down]
address = "127.0.0.1:<down>"
[entryPoints.down.http.redirections.entryPoint]
to = ":80"
scheme = "http"
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
    behind: ['PathPrefix(`/longer-than-ten`)', 'one', 'entryPoints = ["port", "to-secure_1"]'],
    scheme: ['PathPrefix(`/scheme`)', 'one', 'entryPoints = ["web", "trusted"]\nmiddlewares = ["https"]'],
    ported: ['PathPrefix(`/ported`)', 'one', 'entryPoints = ["web"]\nmiddlewares = ["ported"]'],
    same: ['PathPrefix(`/same`)', 'one', 'entryPoints = ["web"]\nmiddlewares = ["same"]'],
    without: ['PathPrefix(`/without`)', 'one', 'entryPoints = ["web"]\nmiddlewares = ["without"]'],
  }) +
  services('one') +
  `[http.middlewares.https.redirectScheme]
scheme = "https"
permanent = true
[http.middlewares.ported.redirectScheme]
scheme = "https"
port = "8443"
[http.middlewares.same.redirectScheme]
scheme = "http"
[http.middlewares.without.redirectScheme]
port = "8443"
`;

const TARGETS = ['/', '/a?b=c&d', '/user/a%20b/lab', '//other.example/x', '/a/../b', '/x|y^z', '/%', '/?'];
const HOSTS = [
  'hub.example',
  'hub.example:8000',
  'HUB.Example',
  '[::1]:8000',
  '127.0.0.1',
  'a_b.example',
  '',
];

const METHODS = ['HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS'];

/** Every way of asking on every entry point that redirects. */
function cases(): readonly Case[] {
  const on = (entryPoint: string, what: string, send: string): Case => ({
    name: `${what} on ${entryPoint}`,
    entryPoint,
    send,
  });
  const proto = (value: string): string => request('/x', { headers: [`X-Forwarded-Proto: ${value}`] });
  return [
    ...TARGETS.map((target) => on('port', `GET ${target}`, request(target))),
    ...HOSTS.map((host) => on('to-secure_1', `GET with host "${host}"`, request('/x', { host }))),
    ...METHODS.map((method) => on('to-secure_1', method, request('/x', { method }))),
    ...METHODS.map((method) => on('port', method, request('/x', { method }))),
    on('to-secure_1', 'a body', request('/x', { method: 'POST', body: 'body' })),
    on('to-secure_1', 'a WebSocket', handshake('/x')),
    on('to-secure_1', 'HTTP/1.0 without a host', 'GET /x HTTP/1.0\r\n\r\n'),
    on(
      'to-secure_1',
      'absolute form',
      'GET http://other.example:81/x?y HTTP/1.1\r\nHost: hub.example\r\n\r\n',
    ),
    on('to-secure_1', 'a router of lower priority', request('/longer-than-ten')),
    on('port', 'a router of higher priority', request('/longer-than-ten')),
    on('down', 'http and port 80 asked for at port 80', request('/x', { host: 'hub.example:80' })),
    on('down', 'http and port 80 asked for at another port', request('/x', { host: 'hub.example:81' })),
    ...['https', 'http', 'wss', 'ws'].flatMap((value) => [
      on('trusted', `X-Forwarded-Proto ${value}`, proto(value)),
      on('to-secure_1', `X-Forwarded-Proto ${value} of a stranger`, proto(value)),
    ]),
    ...['scheme', 'ported', 'same', 'without'].map((name) =>
      on('web', `redirectScheme ${name}`, request(`/${name}/x?y`, { host: 'hub.example:8000' })),
    ),
    on('web', 'redirectScheme same without a port', request('/same/x')),
    ...[
      '/api/entrypoints/to-secure_1',
      '/api/entrypoints/port',
      '/api/http/routers/to-secure-1-to-secure@internal',
      '/api/http/routers/port-to-443@internal',
      '/api/http/middlewares/redirect-to-secure-1-to-secure@internal',
      '/api/http/middlewares/redirect-port-to-443@internal',
      '/api/http/middlewares/ported@file',
      '/api/http/middlewares/without@file',
    ].map((target) => on('traefik', `GET ${target}`, request(target))),
  ];
}

compareSuite({
  name: 'redirections',
  setup: {
    entryPoints: ['web', 'traefik', 'secure', 'to-secure_1', 'port', 'trusted', 'down'],
    backends: ['one', 'ready'],
    files: { 'traefik.toml': STATIC, 'rules.toml': RULES },
    ready: { entryPoint: 'web', target: '/__ready' },
  },
  cases: cases(),
});
