// Every key of Traefik's static configuration (version 3) and its verdict here. Source: Traefik documentation, static configuration
// reference; `docs/configuration.md` lists the same keys, and a test holds the two together.

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
import type { Fields } from './schema.ts';

export const LOG_LEVELS = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL', 'PANIC'] as const;

export const TLS_VERSION = choice('VersionTLS10', 'VersionTLS11', 'VersionTLS12', 'VersionTLS13');

/** `tls` of an entry point or a router. */
export const ROUTER_TLS = struct(
  {
    options: string,
    certResolver: unsupported,
    domains: list(struct({ main: string, sans: strings })),
  },
  { allowEmpty: true },
);

const TRANSPORT = struct({
  lifeCycle: struct({ requestAcceptGraceTimeout: duration, graceTimeOut: duration }),
  respondingTimeouts: struct({ readTimeout: duration, writeTimeout: duration, idleTimeout: duration }),
  keepAliveMaxRequests: int,
  keepAliveMaxTime: duration,
});

const ENTRY_POINT = struct({
  address: string,
  asDefault: bool,
  reusePort: bool,
  transport: TRANSPORT,
  forwardedHeaders: struct({
    insecure: bool,
    trustedIPs: strings,
    connection: strings,
    notAppendXForwardedFor: bool,
    addXForwardedSchemeHeaders: unsupported,
  }),
  http: struct({
    middlewares: strings,
    tls: ROUTER_TLS,
    maxHeaderBytes: int,
    sanitizePath: bool,
    redirections: struct({
      entryPoint: struct({ to: string, scheme: string, permanent: bool, priority: int64 }),
    }),
    ...all(unsupported, 'encodedCharacters', 'encodeQuerySemicolons', 'underscoreHeadersStrategy'),
  }),
  http2: struct(all(int, 'maxConcurrentStreams', 'maxDecoderHeaderTableSize', 'maxEncoderHeaderTableSize')),
  ...all(unsupported, 'allowACMEByPass', 'proxyProtocol', 'http3', 'udp', 'observability'),
});

const OTHER_PROVIDERS = [
  'precedence',
  'redis',
  'etcd',
  'consul',
  'zooKeeper',
  'docker',
  'swarm',
  'kubernetesIngress',
  'kubernetesIngressNGINX',
  'kubernetesCRD',
  'kubernetesGateway',
  'knative',
  'rest',
  'consulCatalog',
  'nomad',
  'ecs',
  'http',
  'plugin',
];

export const STATIC_FIELDS: Fields = {
  // The engine neither calls home nor looks for updates, whatever is asked.
  global: struct(all(ignored, 'checkNewVersion', 'sendAnonymousUsage', 'notAppendXForwardedFor'), {
    allowEmpty: true,
  }),
  entryPoints: map(ENTRY_POINT),
  providers: struct({
    providersThrottleDuration: duration,
    file: struct({
      filename: string,
      directory: string,
      watch: bool,
      debugLogGeneratedTemplate: unsupported,
    }),
    ...all(unsupported, ...OTHER_PROVIDERS),
  }),
  api: struct(
    {
      insecure: bool,
      dashboard: bool,
      debug: bool,
      basePath: string,
      disableDashboardAd: ignored,
      dashboardName: unsupported,
    },
    { allowEmpty: true },
  ),
  ping: struct({ entryPoint: string, manualRouting: bool, terminatingStatusCode: int }, { allowEmpty: true }),
  metrics: struct({
    addInternals: bool,
    prometheus: struct(
      {
        entryPoint: string,
        manualRouting: bool,
        buckets: strings,
        ...all(bool, 'addEntryPointsLabels', 'addRoutersLabels', 'addServicesLabels'),
        headerLabels: map(string),
      },
      { allowEmpty: true },
    ),
    ...all(unsupported, 'datadog', 'statsD', 'influxDB2', 'otlp'),
  }),
  log: struct(
    {
      level: choice(...LOG_LEVELS),
      format: choice('common', 'json'),
      filePath: string,
      noColor: bool,
      ...all(unsupported, 'maxSize', 'maxAge', 'maxBackups', 'compress', 'otlp'),
    },
    { allowEmpty: true },
  ),
  serversTransport: struct({
    insecureSkipVerify: bool,
    rootCAs: strings,
    maxIdleConnsPerHost: int,
    forwardingTimeouts: struct({
      dialTimeout: duration,
      responseHeaderTimeout: duration,
      idleConnTimeout: duration,
    }),
    spiffe: unsupported,
  }),
  ...all(
    unsupported,
    'accessLog',
    'tracing',
    'certificatesResolvers',
    'hostResolver',
    'tcpServersTransport',
    'core',
    'experimental',
    'ocsp',
    'spiffe',
  ),
};

const V1_BASIC = struct({ users: strings, usersFile: string, removeHeader: bool });

/** The keys of version 1, with their verdicts. Source: Traefik 1.7 documentation. */
export const STATIC_V1_FIELDS: Fields = {
  defaultEntryPoints: strings,
  debug: bool,
  logLevel: choice(...LOG_LEVELS),
  traefikLogsFile: string,
  traefikLog: struct({ filePath: string, format: choice('common', 'json') }),
  graceTimeOut: duration,
  idleTimeout: duration,
  lifeCycle: struct({ requestAcceptGraceTimeout: duration, graceTimeOut: duration }),
  respondingTimeouts: struct({ readTimeout: duration, writeTimeout: duration, idleTimeout: duration }),
  forwardingTimeouts: struct({ dialTimeout: duration, responseHeaderTimeout: duration }),
  providersThrottleDuration: duration,
  maxIdleConnsPerHost: int,
  insecureSkipVerify: bool,
  rootCAs: strings,
  file: struct({ filename: string, directory: string, watch: bool }, { allowEmpty: true }),
  api: struct({ entryPoint: string, dashboard: bool, debug: bool }, { allowEmpty: true }),
  ping: struct({ entryPoint: string }, { allowEmpty: true }),
  metrics: struct({
    prometheus: struct({ entryPoint: string, buckets: strings }, { allowEmpty: true }),
    ...all(unsupported, 'datadog', 'statsd', 'influxdb'),
  }),
  entryPoints: map(
    struct({
      address: string,
      tls: struct(
        {
          certificates: list(struct({ certFile: string, keyFile: string })),
          defaultCertificate: struct({ certFile: string, keyFile: string }),
          minVersion: TLS_VERSION,
          cipherSuites: strings,
          sniStrict: bool,
          clientCA: struct({ files: strings, optional: bool }),
        },
        { allowEmpty: true },
      ),
      auth: struct({
        basic: V1_BASIC,
        headerField: string,
        ...all(unsupported, 'digest', 'forward'),
      }),
      forwardedHeaders: struct({ insecure: bool, trustedIPs: strings }),
      redirect: struct({ entryPoint: string, permanent: bool, ...all(unsupported, 'regex', 'replacement') }),
      ...all(unsupported, 'whiteList', 'proxyProtocol', 'compress'),
    }),
  ),
  // Version 1 had no such key either, and ignored it.
  ...all(ignored, 'wss', 'checkNewVersion', 'sendAnonymousUsage', 'AllowMinWeightZero'),
  ...all(
    unsupported,
    'accessLogsFile',
    'accessLog',
    'retry',
    'healthcheck',
    'keepTrailingSlash',
    'hostResolver',
    'etcd',
    'consul',
    'web',
    'rest',
    'acme',
    'tracing',
    'constraints',
    'docker',
    'frontends',
    'backends',
  ),
};

/** Root keys that only version 1 has. */
export const V1_ROOT_MARKS = new Set(
  [
    'defaultEntryPoints',
    'debug',
    'logLevel',
    'traefikLogsFile',
    'accessLogsFile',
    'file',
    'wss',
    'web',
    'rest',
    'retry',
    'lifeCycle',
    'respondingTimeouts',
    'forwardingTimeouts',
    'healthcheck',
    'traefikLog',
    'etcd',
    'consul',
    'acme',
    'frontends',
    'backends',
  ].map((name) => name.toLowerCase()),
);

/** Keys below an entry point that only version 1 has. */
export const V1_ENTRY_POINT_MARKS = new Set(['auth', 'tls', 'redirect', 'whitelist', 'compress']);
