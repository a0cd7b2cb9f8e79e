// Every key of Traefik's dynamic configuration (version 3, and the tables of version 1) and its verdict here. Source: Traefik
// documentation, dynamic configuration reference; `docs/configuration.md` lists the same keys.

import {
  all,
  bool,
  choice,
  duration,
  ignored,
  int,
  int64,
  list,
  map,
  string,
  strings,
  struct,
  unsupported,
} from './schema.ts';
import type { Field, Fields } from './schema.ts';
import { ROUTER_TLS, TLS_VERSION } from './static-schema.ts';

const MIDDLEWARES = [
  'addPrefix',
  'stripPrefix',
  'stripPrefixRegex',
  'replacePath',
  'replacePathRegex',
  'chain',
  'ipWhiteList',
  'ipAllowList',
  'headers',
  'encodedCharacters',
  'errors',
  'rateLimit',
  'redirectRegex',
  'digestAuth',
  'forwardAuth',
  'inFlightReq',
  'buffering',
  'circuitBreaker',
  'compress',
  'passTLSClientCert',
  'retry',
  'contentType',
  'grpcWeb',
  'plugin',
];

const BASIC_AUTH = struct({
  users: strings,
  usersFile: string,
  realm: string,
  removeHeader: bool,
  headerField: string,
});

const REDIRECT_SCHEME = struct({ scheme: string, port: string, permanent: bool });

const LOAD_BALANCER = struct({
  servers: list(
    struct({ url: string, weight: int, preservePath: bool, ...all(unsupported, 'scheme', 'port') }),
  ),
  passHostHeader: bool,
  // Responses are passed on as they come, which no interval can improve on.
  responseForwarding: struct({ flushInterval: ignored }),
  serversTransport: string,
  ...all(unsupported, 'strategy', 'sticky', 'healthCheck', 'passiveHealthCheck'),
});

const SERVERS_TRANSPORT = struct(
  {
    serverName: string,
    insecureSkipVerify: bool,
    rootCAs: strings,
    certificates: list(struct({ certFile: string, keyFile: string })),
    minVersion: TLS_VERSION,
    maxVersion: TLS_VERSION,
    maxIdleConnsPerHost: int,
    forwardingTimeouts: struct({
      dialTimeout: duration,
      responseHeaderTimeout: duration,
      idleConnTimeout: duration,
      // Pings of HTTP/2; servers are spoken to in HTTP/1.1.
      ...all(ignored, 'readIdleTimeout', 'pingTimeout'),
      ...all(unsupported, 'readTimeout', 'writeTimeout'),
    }),
    disableHTTP2: ignored,
    cipherSuites: strings,
    peerCertURI: string,
    peerCertSANs: list(struct({ type: choice('DNSName', 'URI'), value: string })),
    spiffe: unsupported,
  },
  // All of its keys have defaults.
  { allowEmpty: true },
);

const HTTP = struct({
  routers: map(
    struct({
      rule: string,
      entryPoints: strings,
      service: string,
      middlewares: strings,
      priority: int64,
      tls: ROUTER_TLS,
      ...all(unsupported, 'ruleSyntax', 'observability', 'parentRefs'),
    }),
  ),
  services: map(
    struct({
      loadBalancer: LOAD_BALANCER,
      ...all(unsupported, 'weighted', 'mirroring', 'failover', 'highestRandomWeight', 'middlewares'),
    }),
  ),
  middlewares: map(
    struct({ basicAuth: BASIC_AUTH, redirectScheme: REDIRECT_SCHEME, ...all(unsupported, ...MIDDLEWARES) }),
  ),
  serversTransports: map(SERVERS_TRANSPORT),
  models: unsupported,
});

/** Names of suites, curves and kinds of client authentication are checked by the runtime, where a wrong one disables these options only. */
const TLS_OPTIONS = struct(
  {
    minVersion: TLS_VERSION,
    maxVersion: TLS_VERSION,
    cipherSuites: strings,
    curvePreferences: strings,
    clientAuth: struct({ caFiles: strings, clientAuthType: string }),
    sniStrict: bool,
    alpnProtocols: strings,
    disableSessionTickets: bool,
    // Without effect in Traefik as well: the server's order counts.
    preferServerCipherSuites: ignored,
  },
  // All of its keys have defaults.
  { allowEmpty: true },
);

const CERTIFICATE = struct({ certFile: string, keyFile: string, stores: strings });

export const DYNAMIC_FIELDS: Fields = {
  http: HTTP,
  tls: struct({
    certificates: list(CERTIFICATE),
    stores: map(
      struct({
        defaultCertificate: struct({ certFile: string, keyFile: string }),
        defaultGeneratedCert: unsupported,
      }),
    ),
    options: map(TLS_OPTIONS),
  }),
  ...all(unsupported, 'tcp', 'udp'),
};

/** `frontends` and `backends`. Version 1 ignored keys it did not know (`data` below a route, for one). */
export const DYNAMIC_V1_FIELDS: Record<'frontends' | 'backends', Field> = {
  backends: map(
    struct({
      servers: map(struct({ url: string, weight: int })),
      loadBalancer: struct({ method: string, ...all(unsupported, 'sticky', 'stickiness') }),
      responseForwarding: struct({ flushInterval: ignored }),
      ...all(unsupported, 'circuitBreaker', 'maxConn', 'healthCheck', 'buffering'),
    }),
  ),
  frontends: map(
    struct({
      backend: string,
      entryPoints: strings,
      passHostHeader: bool,
      priority: int,
      routes: map(struct({ rule: string, data: ignored })),
      basicAuth: strings,
      auth: struct({ basic: BASIC_AUTH, headerField: string, ...all(unsupported, 'digest', 'forward') }),
      ...all(
        unsupported,
        'passTLSCert',
        'passTLSClientCert',
        'whiteList',
        'headers',
        'errors',
        'rateLimit',
        'redirect',
      ),
    }),
  ),
};
