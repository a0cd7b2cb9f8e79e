// TLS as clients see it: which certificate, which version, suite, group and protocol, who is refused and how, and which host a request
// may name.

import { Authority } from '../support/authority.ts';
import type { IssuedPair } from '../support/authority.ts';
import { PLAIN_STATIC, READY_RULES, request, routes, services } from './requests.ts';
import { CHALLENGER, compareSuite } from './suite.ts';
import type { Case, ProbeCase } from './suite.ts';
import { fingerprintOf, probeTls } from './tls-client.ts';
import type { TlsAttempt } from './tls-client.ts';

const authority = await Authority.create();
const clientAuthority = await Authority.create('CN=authority of clients');
const rightClient = await clientAuthority.issue(['right client']);
const wrongClient = await authority.issue(['wrong client']);

/** File names without `.pem`; which one is served is compared by these. */
const PAIRS: Readonly<Record<string, IssuedPair>> = {
  exact: await authority.issue(['a.example', 'also.example']),
  wildcard: await authority.issue(['*.example']),
  'second-wildcard': await authority.issue(['*.example']),
  early: await authority.issue(['aa.twice', 'twice.test']),
  late: await authority.issue(['zz.twice', 'twice.test']),
  'under-wildcard': await authority.issue(['*.mixed.test']),
  'before-wildcard': await authority.issue(['0.mixed.test']),
  address: await authority.issue(['127.0.0.1']),
  rsa: await authority.issue(['rsa.test'], 'rsa.test', 'RSA'),
  byDefault: await authority.issue(['default.test']),
};
const NAMES = new Map(Object.entries(PAIRS).map(([name, { cert }]) => [fingerprintOf(cert), name]));
const FILES = Object.fromEntries(
  Object.entries(PAIRS).flatMap(([name, { cert, key }]) => [
    [`${name}.pem`, cert],
    [`${name}-key.pem`, key],
  ]),
);

function certificates(...names: readonly string[]): string {
  return names
    .map(
      (name) => `[[tls.certificates]]\ncertFile = "<dir>/${name}.pem"\nkeyFile = "<dir>/${name}-key.pem"\n`,
    )
    .join('');
}

const DEFAULT_STORE =
  '[tls.stores.default.defaultCertificate]\ncertFile = "<dir>/byDefault.pem"\nkeyFile = "<dir>/byDefault-key.pem"\n';

/** `tls.options`, and as many hosts `<name>.opt.test` that use them. */
const OPTIONS: Readonly<Record<string, string>> = {
  only12: 'minVersion = "VersionTLS12"\nmaxVersion = "VersionTLS12"',
  only13: 'minVersion = "VersionTLS13"',
  old: 'minVersion = "VersionTLS10"',
  upto11: 'minVersion = "VersionTLS10"\nmaxVersion = "VersionTLS11"',
  crossed: 'minVersion = "VersionTLS13"\nmaxVersion = "VersionTLS12"',
  suite: 'maxVersion = "VersionTLS12"\ncipherSuites = ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]',
  suites:
    'maxVersion = "VersionTLS12"\ncipherSuites = ["TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305", "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA"]',
  cbc: 'maxVersion = "VersionTLS12"\ncipherSuites = ["TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"]',
  suite13: 'cipherSuites = ["TLS_AES_256_GCM_SHA384"]',
  suite13only: 'cipherSuites = ["TLS_CHACHA20_POLY1305_SHA256"]\nmaxVersion = "VersionTLS12"',
  nosuite: 'cipherSuites = ["ECDHE-RSA-AES128-GCM-SHA256"]',
  p384: 'curvePreferences = ["CurveP384"]',
  curves: 'curvePreferences = ["secp521r1", "CurveP256"]',
  x25519: 'maxVersion = "VersionTLS12"\ncurvePreferences = ["X25519"]',
  nocurve: 'curvePreferences = ["P-256"]',
  noalpn: 'alpnProtocols = []',
  http1: 'alpnProtocols = ["http/1.1"]',
  h2: 'alpnProtocols = ["h2"]',
  reversed: 'alpnProtocols = ["http/1.1", "h2"]',
  strict: 'sniStrict = true',
  // The oldest version does not know it.
  ...(CHALLENGER === 'oldest' ? {} : { tickets: 'disableSessionTickets = true' }),
  nobody: '[tls.options.nobody.clientAuth]\nclientAuthType = "NoClientCert"',
  asked: '[tls.options.asked.clientAuth]\nclientAuthType = "RequestClientCert"',
  any: '[tls.options.any.clientAuth]\nclientAuthType = "RequireAnyClientCert"',
  given:
    '[tls.options.given.clientAuth]\ncaFiles = ["<dir>/clients.pem"]\nclientAuthType = "VerifyClientCertIfGiven"',
  required:
    '[tls.options.required.clientAuth]\ncaFiles = ["<dir>/clients.pem"]\nclientAuthType = "RequireAndVerifyClientCert"',
  implied: '[tls.options.implied.clientAuth]\ncaFiles = ["<dir>/clients.pem"]',
  required12:
    'maxVersion = "VersionTLS12"\n[tls.options.required12.clientAuth]\ncaFiles = ["<dir>/clients.pem"]\nclientAuthType = "RequireAndVerifyClientCert"',
  noca: '[tls.options.noca.clientAuth]\nclientAuthType = "RequireAndVerifyClientCert"',
  notype: '[tls.options.notype.clientAuth]\nclientAuthType = "Perhaps"',
};

const OPTION_NAMES = Object.keys(OPTIONS);

const RULES =
  READY_RULES +
  routes({
    plain: ['PathPrefix(`/`)', 'plain', 'entryPoints = ["tls"]\npriority = 1'],
    a: ['Host(`a.example`)', 'one', 'entryPoints = ["tls"]\ntls = {}'],
    catchall: ['PathPrefix(`/`)', 'one', 'entryPoints = ["tls"]\npriority = 1\ntls = {}'],
    nohost: [
      'PathPrefix(`/no-host`)',
      'one',
      'entryPoints = ["tls"]\ntls = { options = "only12" }\npriority = 9999',
    ],
    conflict1: [
      'Host(`conflict.test`) && PathPrefix(`/`)',
      'one',
      'entryPoints = ["tls"]\ntls = { options = "only12" }',
    ],
    conflict2: [
      'Host(`conflict.test`) && PathPrefix(`/x`)',
      'one',
      'entryPoints = ["tls"]\ntls = { options = "http1" }',
    ],
    unknown: ['Host(`unknown-options.test`)', 'one', 'entryPoints = ["tls"]\ntls = { options = "absent" }'],
    several: [
      'Host(`one.several.test`) || Host(`two.several.test`)',
      'one',
      'entryPoints = ["tls"]\ntls = { options = "only12" }',
    ],
    wild: ['Host(`*.wild.test`)', 'one', 'entryPoints = ["tls"]\ntls = { options = "only12" }'],
    regexp: [
      'HostRegexp(`^regexp\\.test$`)',
      'one',
      'entryPoints = ["tls"]\ntls = { options = "only12" }\npriority = 9998',
    ],
    all: ['Host(`all.test`)', 'one', 'entryPoints = ["all", "strict12"]'],
    own: ['Host(`own.test`)', 'one', 'entryPoints = ["strict12"]\ntls = { options = "http1" }'],
    ...Object.fromEntries(
      OPTION_NAMES.map((name) => [
        `option-${name}`,
        [
          `Host(\`${name}.opt.test\`)`,
          'one',
          `entryPoints = ["tls"]\ntls = { options = "${name}" }`,
        ] as const,
      ]),
    ),
  }) +
  services('one', 'plain') +
  certificates(
    'exact',
    'wildcard',
    'second-wildcard',
    'early',
    'late',
    'under-wildcard',
    'before-wildcard',
    'address',
    'rsa',
  ) +
  OPTION_NAMES.map((name) => `[tls.options.${name}]\n${OPTIONS[name] ?? ''}\n`).join('');

const STATIC = `${PLAIN_STATIC}
[entryPoints.tls]
address = "127.0.0.1:<tls>"
[entryPoints.all]
address = "127.0.0.1:<all>"
[entryPoints.all.http.tls]
[entryPoints.strict12]
address = "127.0.0.1:<strict12>"
[entryPoints.strict12.http.tls]
options = "only12@file"
`;

function attempt(name: string, attempted: TlsAttempt): ProbeCase {
  return { name, probe: (peer) => probeTls(peer, attempted, NAMES) };
}

/** A name, asked for with the client's defaults. */
function names(...serverNames: readonly string[]): ProbeCase[] {
  return serverNames.map((serverName) => attempt(`name ${serverName}`, { serverName }));
}

const OLD_CIPHERS = 'ALL:@SECLEVEL=0';
const VERSIONS = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const;

function versions(...hosts: readonly string[]): ProbeCase[] {
  return hosts.flatMap((host) =>
    VERSIONS.map((version) =>
      attempt(`${host} with ${version}`, {
        serverName: host,
        client: { minVersion: version, maxVersion: version, ciphers: OLD_CIPHERS },
      }),
    ),
  );
}

function ciphers(host: string, ...lists: readonly string[]): ProbeCase[] {
  return lists.map((list) =>
    attempt(`${host} with ${list}`, {
      serverName: host,
      client: { maxVersion: 'TLSv1.2', ciphers: `${list}:@SECLEVEL=0` },
    }),
  );
}

function curves(host: string, ...lists: readonly string[]): ProbeCase[] {
  return lists.map((list) =>
    attempt(`${host} with ${list}`, { serverName: host, client: { ecdhCurve: list } }),
  );
}

const PROTOCOLS = [
  ['h2', 'http/1.1'],
  ['http/1.1', 'h2'],
  ['h2'],
  ['http/1.1'],
  ['http/1.0'],
  ['spdy/3', 'h2'],
];

function protocols(...hosts: readonly string[]): ProbeCase[] {
  return hosts.flatMap((host) =>
    PROTOCOLS.map((list) =>
      attempt(`${host} with ALPN ${list.join()}`, { serverName: host, client: { ALPNProtocols: list } }),
    ),
  );
}

function clients(...hosts: readonly string[]): ProbeCase[] {
  const certificatesOf = {
    'no certificate': {},
    'the wrong certificate': wrongClient,
    'the right certificate': rightClient,
  };
  return hosts.flatMap((host) =>
    Object.entries(certificatesOf).map(([name, pair]) =>
      attempt(`${host} with ${name}`, { serverName: host, client: pair }),
    ),
  );
}

function hosts(serverName: string | undefined, ...named: readonly string[]): ProbeCase[] {
  return named.map((host) =>
    attempt(`name ${serverName ?? '(none)'}, Host ${host}`, {
      host,
      ...(serverName === undefined ? {} : { serverName }),
    }),
  );
}

const CASES: readonly (Case | ProbeCase)[] = [
  attempt('no name', {}),
  ...names('a.example', 'A.EXAMPLE', 'also.example', 'b.example', 'c.b.example', 'example', 'twice.test'),
  ...names('0.mixed.test', 'x.mixed.test', 'rsa.test', 'default.test', 'unknown.test', 'conflict.test'),
  ...names('unknown-options.test', 'one.several.test', 'two.several.test', 'x.wild.test', 'regexp.test'),
  ...names(...OPTION_NAMES.map((name) => `${name}.opt.test`)),
  ...versions('a.example', 'only12.opt.test', 'only13.opt.test', 'old.opt.test', 'upto11.opt.test'),
  ...ciphers(
    'a.example',
    'ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256',
    'ECDHE-ECDSA-AES128-SHA',
  ),
  ...ciphers('a.example', 'ECDHE-ECDSA-AES128-SHA256', 'ECDHE-RSA-AES128-GCM-SHA256', 'ALL'),
  ...ciphers(
    'a.example',
    'ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256',
    'DHE-RSA-AES128-GCM-SHA256',
  ),
  ...ciphers('rsa.test', 'ALL', 'AES128-GCM-SHA256', 'AES128-SHA', 'ECDHE-ECDSA-AES128-GCM-SHA256'),
  ...ciphers('rsa.test', 'ECDHE-RSA-AES256-SHA', 'ECDHE-RSA-AES256-SHA384'),
  ...ciphers('suite.opt.test', 'ALL', 'ECDHE-ECDSA-AES128-GCM-SHA256'),
  ...ciphers(
    'suites.opt.test',
    'ALL',
    'ECDHE-ECDSA-AES256-SHA',
    'ECDHE-ECDSA-AES256-SHA:ECDHE-ECDSA-CHACHA20-POLY1305',
  ),
  ...ciphers('cbc.opt.test', 'ALL', 'ECDHE-ECDSA-AES128-SHA'),
  ...curves('a.example', 'X25519', 'P-256', 'P-384', 'P-521', 'P-521:P-256', 'X448'),
  ...curves('p384.opt.test', 'X25519:P-384', 'X25519'),
  ...curves('curves.opt.test', 'P-256:P-521', 'P-256', 'P-384'),
  ...curves('x25519.opt.test', 'P-256:X25519', 'P-256'),
  ...protocols('a.example', 'noalpn.opt.test', 'http1.opt.test', 'h2.opt.test', 'reversed.opt.test'),
  ...clients('nobody.opt.test', 'asked.opt.test', 'any.opt.test', 'given.opt.test', 'required.opt.test'),
  ...clients('implied.opt.test', 'required12.opt.test'),
  ...hosts('a.example', 'b.example', 'only12.opt.test', 'nowhere.test', 'a.example:99', 'A.Example.'),
  ...hosts('a.example', 'unknown-options.test', 'conflict.test', 'noca.opt.test', 'localhost'),
  ...hosts(
    'only12.opt.test',
    'a.example',
    'http1.opt.test',
    'one.several.test',
    'only12.opt.test:8443',
    'x.wild.test',
  ),
  ...hosts('one.several.test', 'two.several.test', 'one.several.test.'),
  ...hosts('unknown.test', 'a.example', 'only12.opt.test'),
  ...hosts(undefined, 'a.example', 'only12.opt.test', 'unknown.test'),
  { name: 'plain text where there are both', entryPoint: 'tls', send: request('/', { host: 'a.example' }) },
  { name: 'plain text for a TLS router only', entryPoint: 'all', send: request('/', { host: 'all.test' }) },
  {
    name: 'plain text for an entry point with options',
    entryPoint: 'strict12',
    send: request('/', { host: 'own.test' }),
  },
  attempt('TLS without any TLS router', { entryPoint: 'web', serverName: 'a.example' }),
  attempt('an entry point with TLS', { entryPoint: 'all', serverName: 'all.test' }),
  attempt('an entry point with options', { entryPoint: 'strict12', serverName: 'all.test' }),
  attempt('a router with options of its own on an entry point with others', {
    entryPoint: 'strict12',
    serverName: 'own.test',
  }),
  attempt('another host on an entry point with options', { entryPoint: 'strict12', serverName: 'x.test' }),
  attempt('a host of the other entry point', { entryPoint: 'all', serverName: 'only12.opt.test' }),
];

compareSuite({
  name: 'tls',
  setup: {
    entryPoints: ['web', 'tls', 'all', 'strict12'],
    backends: ['ready', 'one', 'plain'],
    files: {
      ...FILES,
      'clients.pem': clientAuthority.cert,
      'traefik.toml': STATIC,
      'rules.toml': RULES + DEFAULT_STORE,
    },
    ready: { entryPoint: 'web', target: '/__ready' },
  },
  cases: CASES,
});

compareSuite({
  name: 'tls strict',
  setup: {
    entryPoints: ['web', 'tls'],
    backends: ['ready', 'one'],
    files: {
      ...FILES,
      'traefik.toml': `${PLAIN_STATIC}[entryPoints.tls]\naddress = "127.0.0.1:<tls>"\n`,
      'rules.toml':
        READY_RULES +
        routes({
          all: ['PathPrefix(`/`)', 'one', 'entryPoints = ["tls"]\ntls = {}'],
          loose: ['Host(`loose.test`)', 'one', 'entryPoints = ["tls"]\ntls = { options = "loose" }'],
        }) +
        services('one') +
        certificates('exact', 'wildcard') +
        DEFAULT_STORE +
        '[tls.options.default]\nsniStrict = true\nminVersion = "VersionTLS12"\n[tls.options.loose]\n',
    },
    ready: { entryPoint: 'web', target: '/__ready' },
  },
  cases: [
    ...names('a.example', 'b.example', 'c.b.example', 'unknown.test', 'default.test', 'loose.test'),
    attempt('no name', {}),
    ...hosts('a.example', 'loose.test', 'unknown.test'),
    attempt('an unknown name with TLS 1.2', {
      serverName: 'unknown.test',
      client: { maxVersion: 'TLSv1.2' },
    }),
  ],
});

compareSuite({
  name: 'tls without certificates',
  setup: {
    entryPoints: ['web', 'tls'],
    backends: ['ready', 'one'],
    files: {
      'traefik.toml': `${PLAIN_STATIC}[entryPoints.tls]\naddress = "127.0.0.1:<tls>"\n[entryPoints.tls.http.tls]\n`,
      'rules.toml':
        READY_RULES +
        routes({ all: ['PathPrefix(`/`)', 'one', 'entryPoints = ["tls"]'] }) +
        services('one') +
        '[[tls.certificates]]\ncertFile = "<dir>/absent.pem"\nkeyFile = "<dir>/absent.pem"\n',
    },
    ready: { entryPoint: 'web', target: '/__ready' },
  },
  cases: [attempt('no name', {}), ...names('a.example', 'localhost'), ...protocols('a.example')],
});
