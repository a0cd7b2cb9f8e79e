// Defaults filled in: the decoded tree of a static configuration becomes a StaticConfiguration. Source of the defaults: Traefik
// documentation, static configuration reference.

import { BlockList, isIP } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import { errorText } from '../errors.ts';
import type {
  DynamicServersTransportConfiguration,
  PeerCertSan,
  RedirectSchemeConfiguration,
  TlsOptionsConfiguration,
  TlsVersionName,
} from './dynamic.ts';
import { buildTlsOptions } from './build-tls-options.ts';
import { readLimits } from './limits.ts';
import { buildPrometheus } from './prometheus.ts';
import type { PrometheusConfiguration } from './prometheus.ts';
import { buildRedirection, checkRedirections } from './redirection.ts';
import { isTable } from './schema.ts';
import type { Decoded } from './schema.ts';
import type {
  ApiConfiguration,
  BasicAuthConfiguration,
  EntryPointConfiguration,
  ListenAddress,
  LogConfiguration,
  PingConfiguration,
  RouterTlsConfiguration,
  StaticConfiguration,
} from './static.ts';

/** Something that only shows once defaults are in. */
export interface BuildProblem {
  readonly path: readonly string[];
  readonly message: string;
}

const DEFAULT_MAX_HEADER_BYTES = 1_048_576;

/** Typed access to a decoded table: the decoder has checked the types already. */
export class Table {
  readonly #values: Decoded;

  constructor(values: unknown) {
    this.#values = typeof values === 'object' && values !== null ? (values as Decoded) : {};
  }

  has(name: string): boolean {
    return this.#values[name] !== undefined;
  }

  table(name: string): Table {
    return new Table(this.#values[name]);
  }

  entries(name: string): readonly (readonly [string, Table])[] {
    const value = this.#values[name];
    return value instanceof Map
      ? [...value].map(([key, item]: [unknown, unknown]) => [String(key), new Table(item)] as const)
      : [];
  }

  /** Of a map whose values are texts. */
  names(name: string): ReadonlyMap<string, string> {
    const value = this.#values[name];
    return new Map(
      value instanceof Map
        ? [...value].map(([key, text]: [unknown, unknown]) => [String(key), String(text)])
        : [],
    );
  }

  items(name: string): readonly Table[] {
    const value = this.#values[name];
    return Array.isArray(value) ? value.map((item: unknown) => new Table(item)) : [];
  }

  text(name: string): string | undefined {
    const value = this.#values[name];
    return typeof value === 'string' ? value : undefined;
  }

  number(name: string, fallback: number): number {
    const value = this.#values[name];
    return typeof value === 'number' ? value : fallback;
  }

  flag(name: string, fallback: boolean): boolean {
    const value = this.#values[name];
    return typeof value === 'boolean' ? value : fallback;
  }

  texts(name: string): readonly string[] {
    const value = this.#values[name];
    return Array.isArray(value) ? value.map(String) : [];
  }
}

/** The typed configuration and what is wrong with it; with problems, the configuration must not be used. */
export function buildStatic(
  tree: Decoded,
  origin: { readonly file?: string; readonly format: 'v1' | 'v3'; readonly notices: readonly string[] },
): { readonly configuration: StaticConfiguration; readonly problems: readonly BuildProblem[] } {
  const problems: BuildProblem[] = [];
  const root = new Table(tree);
  const api = root.has('api') ? buildApi(root.table('api'), problems) : undefined;
  const ping = root.has('ping') ? buildPing(root.table('ping')) : undefined;
  const prometheus = buildPrometheus(root.table('metrics'), problems);
  const entryPoints = buildEntryPoints(root, { api, ping, prometheus, format: origin.format }, problems);
  if (api?.entryPoint !== undefined && !entryPoints.has(api.entryPoint))
    problems.push({
      path: ['api', 'entryPoint'],
      message: `there is no entry point "${api.entryPoint}"; defined are ${[...entryPoints.keys()].join(', ')}`,
    });
  for (const [path, routed] of [
    [['ping'], ping],
    [['metrics', 'prometheus'], prometheus],
  ] as const)
    if (routed !== undefined && !routed.manualRouting && !entryPoints.has(routed.entryPoint))
      problems.push({
        path: [...path, 'entryPoint'],
        message: `there is no entry point "${routed.entryPoint}"`,
      });
  checkRedirections(entryPoints, problems);
  const providers = root.table('providers');
  const file = buildFileProvider(providers, problems);
  const tlsOptions = buildCommonTlsOptions(tree['tlsOptions'], problems);
  const configuration: StaticConfiguration = {
    ...(origin.file === undefined ? {} : { file: origin.file }),
    format: origin.format,
    entryPoints,
    providers: {
      throttleMs: providers.number('providersThrottleDuration', 2000),
      ...(file === undefined ? {} : { file }),
    },
    ...(tlsOptions === undefined ? {} : { tlsOptions }),
    ...(api === undefined ? {} : { api }),
    ...(ping === undefined ? {} : { ping }),
    ...(prometheus === undefined ? {} : { prometheus }),
    log: buildLog(root.table('log')),
    limits: readLimits(process.env, problems),
    serversTransport: buildServersTransport(root.table('serversTransport')),
    notices: origin.notices,
  };
  return { configuration, problems };
}

/** Options belong to the names of hosts, not to ports: those of version-1 entry points have to be the same everywhere. */
function buildCommonTlsOptions(
  byEntryPoint: unknown,
  problems: BuildProblem[],
): TlsOptionsConfiguration | undefined {
  if (!(byEntryPoint instanceof Map)) return undefined;
  const built = [...byEntryPoint].map(
    ([name, options]: [unknown, unknown]) =>
      [String(name), buildTlsOptions(isTable(options) ? options : {})] as const,
  );
  const [first] = built;
  for (const [name, options] of built)
    if (first !== undefined && !isDeepStrictEqual(options, first[1]))
      problems.push({
        path: ['entryPoints', name, 'tls'],
        message:
          `TLS is set up differently from entry point "${first[0]}": versions, suites, sniStrict and clientCA have to be the same ` +
          "on all of them, or to be written as today's tls.options",
      });
  return first === undefined || isDeepStrictEqual(first[1], buildTlsOptions({})) ? undefined : first[1];
}

function buildApi(api: Table, problems: BuildProblem[]): ApiConfiguration {
  const basePath = api.text('basePath') ?? '/';
  if (!/^\/[a-zA-Z0-9/_.:~-]*$/.test(basePath))
    problems.push({
      path: ['api', 'basePath'],
      message: `expected a path such as "/" or "/proxy", found "${basePath}"`,
    });
  const entryPoint = api.text('entryPoint');
  return {
    insecure: api.flag('insecure', false),
    dashboard: api.flag('dashboard', true),
    debug: api.flag('debug', false),
    basePath,
    ...(entryPoint === undefined ? {} : { entryPoint }),
  };
}

function buildPing(ping: Table): PingConfiguration {
  return {
    entryPoint: ping.text('entryPoint') ?? 'traefik',
    manualRouting: ping.flag('manualRouting', false),
    terminatingStatusCode: ping.number('terminatingStatusCode', 503),
  };
}

function buildFileProvider(
  providers: Table,
  problems: BuildProblem[],
): StaticConfiguration['providers']['file'] {
  if (!providers.has('file')) return undefined;
  const file = providers.table('file');
  const filename = file.text('filename');
  const directory = file.text('directory');
  if (filename === undefined && directory === undefined)
    problems.push({
      path: ['providers', 'file'],
      message: 'neither filename nor directory is defined; name the file with the routes',
    });
  return {
    ...(filename === undefined ? {} : { filename }),
    ...(directory === undefined ? {} : { directory }),
    watch: file.flag('watch', true),
  };
}

function buildLog(log: Table): LogConfiguration {
  const filePath = log.text('filePath');
  return {
    level: (log.text('level') ?? 'ERROR') as LogConfiguration['level'],
    format: (log.text('format') ?? 'common') as LogConfiguration['format'],
    ...(filePath === undefined ? {} : { filePath }),
    noColor: log.flag('noColor', false),
  };
}

function buildServersTransport(transport: Table): StaticConfiguration['serversTransport'] {
  const timeouts = transport.table('forwardingTimeouts');
  return {
    insecureSkipVerify: transport.flag('insecureSkipVerify', false),
    rootCAs: transport.texts('rootCAs'),
    maxIdleConnsPerHost: transport.number('maxIdleConnsPerHost', DEFAULT_MAX_IDLE_CONNS),
    forwardingTimeouts: {
      dialTimeoutMs: timeouts.number('dialTimeout', 30_000),
      responseHeaderTimeoutMs: timeouts.number('responseHeaderTimeout', 0),
      idleConnTimeoutMs: timeouts.number('idleConnTimeout', 90_000),
    },
  };
}

/** Idle connections kept per server and worker where nothing, or 0, is configured. */
const DEFAULT_MAX_IDLE_CONNS = 200;

/** `http.serversTransports.<name>` of the dynamic configuration. */
export function buildDynamicServersTransport(value: Decoded): DynamicServersTransportConfiguration {
  const table = new Table(value);
  const serverName = table.text('serverName');
  const minVersion = table.text('minVersion');
  const maxVersion = table.text('maxVersion');
  return {
    ...buildServersTransport(table),
    ...(serverName === undefined || serverName === '' ? {} : { serverName }),
    certificates: table.items('certificates').map((pair) => ({
      certFile: pair.text('certFile') ?? '',
      keyFile: pair.text('keyFile') ?? '',
    })),
    // The decoder has checked the names.
    ...(minVersion === undefined ? {} : { minVersion: minVersion as TlsVersionName }),
    ...(maxVersion === undefined ? {} : { maxVersion: maxVersion as TlsVersionName }),
    cipherSuites: table.texts('cipherSuites'),
    peerCertSANs: buildPeerCertSans(table),
  };
}

/** One without a type has no value either, which disables the transport. */
function buildPeerCertSans(table: Table): readonly PeerCertSan[] {
  const sans = table.items('peerCertSANs').map((san): PeerCertSan => ({
    type: san.text('type') === 'DNSName' ? 'DNSName' : 'URI',
    value: (san.has('type') ? san.text('value') : undefined) ?? '',
  }));
  const uri = table.text('peerCertURI');
  return uri === undefined || uri === '' ? sans : [...sans, { type: 'URI', value: uri }];
}

/** Source: Traefik documentation, entry points: implicit ones included. */
function buildEntryPoints(
  root: Table,
  context: {
    readonly api: ApiConfiguration | undefined;
    readonly ping: PingConfiguration | undefined;
    readonly prometheus: PrometheusConfiguration | undefined;
    readonly format: 'v1' | 'v3';
  },
  problems: BuildProblem[],
): ReadonlyMap<string, EntryPointConfiguration> {
  const found = new Map<string, EntryPointConfiguration>();
  for (const [name, entryPoint] of root.entries('entryPoints'))
    found.set(name, buildEntryPoint(name, entryPoint, problems));
  const { api, ping, prometheus, format } = context;
  if (found.size === 0 && format === 'v3') found.set('http', implicitEntryPoint('http', ':80'));
  const needsTraefik =
    api?.insecure === true ||
    [ping, prometheus].some((routed) => routed?.entryPoint === 'traefik' && !routed.manualRouting);
  if (needsTraefik && !found.has('traefik')) found.set('traefik', implicitEntryPoint('traefik', ':8080'));
  const names = [...found.keys()].sort();
  const sorted = new Map<string, EntryPointConfiguration>();
  for (const name of names) {
    const entryPoint = found.get(name);
    if (entryPoint !== undefined) sorted.set(name, entryPoint);
  }
  return sorted;
}

function implicitEntryPoint(name: string, address: string): EntryPointConfiguration {
  return buildEntryPoint(name, new Table({ address }), []);
}

function buildEntryPoint(name: string, table: Table, problems: BuildProblem[]): EntryPointConfiguration {
  const path = ['entryPoints', name];
  const addressText = table.text('address');
  if (addressText === undefined)
    problems.push({ path, message: 'an entry point needs an address such as ":8000" or "127.0.0.1:8000"' });
  let address: ListenAddress = { host: '', port: 0 };
  try {
    address = parseListenAddress(addressText ?? ':0');
  } catch (error) {
    problems.push({ path: [...path, 'address'], message: errorText(error) });
  }
  const http = table.table('http');
  const redirections = http.table('redirections');
  const redirection = redirections.has('entryPoint')
    ? buildRedirection(
        redirections.table('entryPoint'),
        [...path, 'http', 'redirections', 'entryPoint'],
        problems,
      )
    : undefined;
  const basicAuth = table.has('basicAuth') ? buildBasicAuth(table.table('basicAuth')) : undefined;
  const certificates = table.items('certificates').map((pair) => ({
    certFile: pair.text('certFile') ?? '',
    keyFile: pair.text('keyFile') ?? '',
  }));
  return {
    name,
    addressText: addressText ?? '',
    address,
    asDefault: table.flag('asDefault', false),
    reusePort: table.flag('reusePort', false),
    transport: buildTransport(table.table('transport')),
    forwardedHeaders: buildForwardedHeaders(table.table('forwardedHeaders'), path, problems),
    http: {
      middlewares: http.texts('middlewares'),
      ...(http.has('tls') ? { tls: buildRouterTls(http.table('tls')) } : {}),
      maxHeaderBytes: http.number('maxHeaderBytes', DEFAULT_MAX_HEADER_BYTES),
      sanitizePath: http.flag('sanitizePath', true),
      ...(redirection === undefined ? {} : { redirection }),
    },
    http2: buildHttp2(table.table('http2'), path, problems),
    ...(basicAuth === undefined ? {} : { basicAuth }),
    ...(certificates.length === 0 ? {} : { certificates }),
  };
}

function buildTransport(transport: Table): EntryPointConfiguration['transport'] {
  const lifeCycle = transport.table('lifeCycle');
  const timeouts = transport.table('respondingTimeouts');
  return {
    lifeCycle: {
      requestAcceptGraceTimeoutMs: lifeCycle.number('requestAcceptGraceTimeout', 0),
      graceTimeOutMs: lifeCycle.number('graceTimeOut', 10_000),
    },
    respondingTimeouts: {
      readTimeoutMs: timeouts.number('readTimeout', 60_000),
      writeTimeoutMs: timeouts.number('writeTimeout', 0),
      idleTimeoutMs: timeouts.number('idleTimeout', 180_000),
    },
    keepAliveMaxRequests: transport.number('keepAliveMaxRequests', 0),
    keepAliveMaxTimeMs: transport.number('keepAliveMaxTime', 0),
  };
}

/** Source of the defaults: Traefik documentation, entry points, HTTP/2. */
function buildHttp2(
  http2: Table,
  path: readonly string[],
  problems: BuildProblem[],
): EntryPointConfiguration['http2'] {
  const built = {
    maxConcurrentStreams: http2.number('maxConcurrentStreams', 250),
    maxDecoderHeaderTableSize: http2.number('maxDecoderHeaderTableSize', 4096),
    maxEncoderHeaderTableSize: http2.number('maxEncoderHeaderTableSize', 4096),
  };
  for (const [name, value] of Object.entries(built)) {
    const least = name === 'maxConcurrentStreams' ? 1 : 0;
    if (value < least || value > 2 ** 31 - 1)
      problems.push({
        path: [...path, 'http2', name],
        message: `expected a number from ${String(least)} to 2147483647, found ${String(value)}`,
      });
  }
  return built;
}

function buildForwardedHeaders(
  forwarded: Table,
  path: readonly string[],
  problems: BuildProblem[],
): EntryPointConfiguration['forwardedHeaders'] {
  const trustedIPs = forwarded.texts('trustedIPs');
  for (const entry of trustedIPs)
    if (!isAddressOrNetwork(entry))
      problems.push({
        path: [...path, 'forwardedHeaders', 'trustedIPs'],
        message: `expected IP addresses or networks such as "10.0.0.0/8", found "${entry}"`,
      });
  return {
    insecure: forwarded.flag('insecure', false),
    trustedIPs,
    connection: forwarded.texts('connection'),
    notAppendXForwardedFor: forwarded.flag('notAppendXForwardedFor', false),
  };
}

function isAddressOrNetwork(entry: string): boolean {
  const [address = '', bits] = entry.split('/');
  const family = isIP(address);
  if (family === 0) return false;
  if (bits === undefined) return true;
  if (!/^[0-9]{1,3}$/.test(bits)) return false;
  try {
    new BlockList().addSubnet(address, Number(bits), family === 6 ? 'ipv6' : 'ipv4');
    return true;
  } catch {
    // The prefix is longer than the address.
    return false;
  }
}

/** `[host]:port`, as Go writes listening addresses; throws a plain Error whose message says what was expected. */
export function parseListenAddress(text: string): ListenAddress {
  if (text.startsWith('/')) return { host: '', port: 0, path: text };
  const protocol = /\/([a-z0-9]+)$/i.exec(text)?.[1]?.toLowerCase();
  if (protocol !== undefined && protocol !== 'tcp')
    throw new Error(
      `protocol "${protocol}" is known to Traefik, but not supported by this engine yet: expected tcp`,
    );
  const match = /^(\[[0-9A-Fa-f:.%a-z]*\]|[^:[\]]*):([0-9]+)$/.exec(text.replace(/\/tcp$/i, ''));
  const port = Number(match?.[2]);
  if (match === null || port > 65535)
    throw new Error(
      `expected an address such as ":8000" or "127.0.0.1:8000", or the absolute path of a Unix socket, found "${text}"`,
    );
  return { host: (match[1] ?? '').replace(/^\[|\]$/g, ''), port };
}

/** Shared with the dynamic configuration. */
export function buildBasicAuth(value: unknown): BasicAuthConfiguration {
  const table = value instanceof Table ? value : new Table(value);
  const usersFile = table.text('usersFile');
  const realm = table.text('realm');
  const headerField = table.text('headerField');
  return {
    users: table.texts('users'),
    ...(usersFile === undefined ? {} : { usersFile }),
    ...(realm === undefined ? {} : { realm }),
    ...(table.has('removeHeader') ? { removeHeader: table.flag('removeHeader', false) } : {}),
    ...(headerField === undefined ? {} : { headerField }),
  };
}

/** Shared with the dynamic configuration. */
export function buildRouterTls(value: unknown): RouterTlsConfiguration {
  const table = value instanceof Table ? value : new Table(value);
  const options = table.text('options');
  const domains = table.items('domains').map((domain) => ({
    main: domain.text('main') ?? '',
    sans: domain.texts('sans'),
  }));
  return { ...(options === undefined ? {} : { options }), ...(domains.length === 0 ? {} : { domains }) };
}

/** Of the dynamic configuration. */
export function buildRedirectScheme(value: unknown): RedirectSchemeConfiguration {
  const table = new Table(value);
  const port = table.text('port');
  return {
    scheme: table.text('scheme') ?? '',
    ...(port === undefined || port === '' ? {} : { port }),
    permanent: table.flag('permanent', false),
  };
}
