// From the options of configurable-http-proxy to what the processes are started with: the data plane's static configuration and the
// controller's settings. Every file that an option names is read here, so that a mistake ends the program before anything listens.

import { createPrivateKey } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { createSecureContext } from 'node:tls';
import type { ChpAddress, ChpControllerSettings, ChpTls } from '../config/chp.ts';
import { chpUrl, tlsServerOptions } from '../config/chp.ts';
import { defaultStaticConfiguration } from '../config/load-static.ts';
import type { EntryPointConfiguration, StaticConfiguration } from '../config/static.ts';
import { errorText, ProxyError } from '../errors.ts';
import { isUrl } from '../url.ts';
import type { ChpOptions } from './chp-options.ts';

/** The entry points of the command. */
const PUBLIC = 'public';
const REDIRECT = 'redirect';

/** How long requests in flight may take when the program ends; a hub that starts anew waits a second. */
const GRACE_MS = 2000;

/** What is to be started. */
export interface ChpSetup {
  readonly static: StaticConfiguration;
  readonly controller: ChpControllerSettings;
  /** For the log. */
  readonly publicUrl: string;
  readonly redirectUrl: string | undefined;
  /** Said once, as warnings. */
  readonly warnings: readonly string[];
  /** Said once, and no reason to worry. */
  readonly remarks: readonly string[];
}

/** Which options were given, by their attribute names. */
export type Given = (name: keyof ChpOptions) => boolean;

/** `options`: those that were given a value (`givenOptions`). Throws ProxyError JTP_ERR_SETTINGS_INVALID. */
export function setUpChp(options: ChpOptions, isGiven: Given, env: NodeJS.ProcessEnv): ChpSetup {
  assertConsistent(options, isGiven);
  const warnings: string[] = [];
  const tls = serverTls(options, publicTls(options), env['CONFIGPROXY_SSL_KEY_PASSPHRASE']);
  const apiTls = serverTls(options, apiTlsOptions(options), env['CONFIGPROXY_API_SSL_KEY_PASSPHRASE']);
  const token = tokenOf(env);
  if (token === '') warnings.push('REST API is not authenticated: set CONFIGPROXY_AUTH_TOKEN to protect it');
  if (options.ip === '*')
    warnings.push("--ip '*' is understood as all interfaces; better write '' or 0.0.0.0");
  if (
    options.statsdHost !== undefined ||
    options.statsdPort !== undefined ||
    options.statsdPrefix !== undefined
  )
    warnings.push('--statsd-* has no effect');
  if (options.sslAllowRc4 === true) warnings.push('--ssl-allow-rc4 has no effect: no supported Node has RC4');
  const address = publicAddress(options);
  const redirectTo = options.redirectTo ?? options.port;
  return {
    static: staticConfiguration(options, { address, tls, redirectTo }),
    controller: {
      api: { address: apiAddress(options), ...(apiTls === undefined ? {} : { tls: apiTls }) },
      ...metricsAddress(options),
      token,
      entryPoint: PUBLIC,
      hostRouting: options.hostRouting ?? false,
      changeOrigin: options.changeOrigin ?? false,
      ...(options.defaultTarget === undefined ? {} : { defaultTarget: options.defaultTarget }),
      ...storageOf(options),
    },
    publicUrl: chpUrl(address, tls !== undefined),
    redirectUrl: options.redirectPort === undefined ? undefined : `http://*:${String(options.redirectPort)}`,
    warnings,
    remarks: remarksOn(options),
  };
}

function storageOf({
  storageBackend: name,
}: ChpOptions): Pick<ChpControllerSettings, 'routesFile' | 'storageModule'> {
  if (name === 'memory') return {};
  if (/\.(?:toml|ya?ml)$/i.test(name)) return { routesFile: resolve(name) };
  // From where it is started, or from where this program is installed.
  for (const place of [resolve('any'), import.meta.url])
    try {
      return { storageModule: createRequire(place).resolve(name) };
    } catch (cause) {
      if (place === import.meta.url)
        refuse(
          `--storage-backend "${name}": expected "memory", a file that ends in .toml, .yaml or .yml, or a module: ${errorText(cause).split('\n')[0] ?? ''}`,
        );
    }
  return {};
}

/** In that program's words: scripts may look for them. */
function remarksOn({ autoRewrite, changeOrigin, protocolRewrite }: ChpOptions): readonly string[] {
  return [
    ...(autoRewrite === true ? ['AutoRewrite of Location headers enabled.'] : []),
    ...(changeOrigin === true ? ['Change Origin of host headers enabled.'] : []),
    ...(protocolRewrite === undefined ? [] : [`ProtocolRewrite enabled. Rewriting to ${protocolRewrite}`]),
  ];
}

/** Source: the program in configurable-http-proxy's container image takes a file, too. */
function tokenOf(env: NodeJS.ProcessEnv): string {
  const token = env['CONFIGPROXY_AUTH_TOKEN'] ?? '';
  const file = env['CONFIGPROXY_AUTH_TOKEN_FILE'] ?? '';
  if (file === '') return token;
  if (token !== '')
    refuse('CONFIGPROXY_AUTH_TOKEN cannot be combined with CONFIGPROXY_AUTH_TOKEN_FILE: there is one token');
  const text = readText('CONFIGPROXY_AUTH_TOKEN_FILE', file).trim();
  if (text === '') refuse(`CONFIGPROXY_AUTH_TOKEN_FILE "${file}": the file is empty`);
  return text;
}

function refuse(message: string): never {
  throw new ProxyError('JTP_ERR_SETTINGS_INVALID', { message });
}

function assertConsistent(options: ChpOptions, isGiven: Given): void {
  if (options.socket !== undefined && (isGiven('ip') || isGiven('port')))
    refuse('--socket cannot be combined with --ip or --port: the public side is one or the other');
  if (options.apiSocket !== undefined && (isGiven('apiIp') || isGiven('apiPort')))
    refuse('--api-socket cannot be combined with --api-ip or --api-port: the REST API is one or the other');
  if (options.metricsSocket !== undefined && (isGiven('metricsIp') || isGiven('metricsPort')))
    refuse(
      '--metrics-socket cannot be combined with --metrics-ip or --metrics-port: the metrics are one or the other',
    );
  if (options.errorTarget !== undefined && options.errorPath !== undefined)
    refuse('--error-target cannot be combined with --error-path: error pages come from one or the other');
  if (options.redirectPort !== undefined) {
    if (options.sslKey === undefined && options.sslCert === undefined)
      refuse('--redirect-port needs --ssl-key and --ssl-cert: without TLS there is nothing to redirect to');
    if (options.socket !== undefined)
      refuse(
        '--redirect-port cannot be combined with --socket: browsers cannot be redirected to a Unix socket',
      );
    if (options.port === 0 && options.redirectTo === undefined)
      refuse('--redirect-port with --port 0 needs --redirect-to');
  } else if (options.redirectTo !== undefined) refuse('--redirect-to needs --redirect-port');
  for (const [flag, url] of [
    ['--default-target', options.defaultTarget],
    ['--error-target', options.errorTarget],
  ] as const)
    if (url !== undefined && !isTarget(url))
      refuse(`${flag} "${url}": expected http://host:port, https://host:port or http+unix://%2Fpath`);
  if (options.errorPath !== undefined && !isFolder(options.errorPath))
    refuse(`--error-path "${options.errorPath}": there is no such folder`);
}

function isTarget(url: string): boolean {
  if (/^(?:http\+unix|unix\+http):\/\/%2f[^/]/i.test(url)) return true;
  return /^https?:\/\//i.test(url) && isUrl(url);
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    // Not there, or not to be looked at.
    return false;
  }
}

function publicAddress({ ip = '', port, socket }: ChpOptions): ChpAddress {
  if (socket !== undefined) return { path: resolve(socket) };
  return { host: ip === '*' ? '' : ip, port };
}

function apiAddress({ apiIp, apiPort, apiSocket, port, socket }: ChpOptions): ChpAddress {
  if (apiSocket !== undefined) return { path: resolve(apiSocket) };
  const usual = socket !== undefined || port === 0 ? 8001 : port + 1;
  return { host: apiIp === '*' ? '' : apiIp, port: apiPort ?? usual };
}

function metricsAddress({ metricsIp, metricsPort, metricsSocket }: ChpOptions): { metrics?: ChpAddress } {
  if (metricsSocket !== undefined) return { metrics: { path: resolve(metricsSocket) } };
  if (metricsPort === undefined) return {};
  return { metrics: { host: metricsIp === '*' ? '' : metricsIp, port: metricsPort } };
}

function readText(name: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new ProxyError('JTP_ERR_SETTINGS_INVALID', { message: `${name}: ${errorText(cause)}`, cause });
  }
}

/** The options of one TLS server, under the names they have for the public side. */
interface ServerTlsOptions {
  readonly flag: '--ssl' | '--api-ssl';
  readonly key: string | undefined;
  readonly cert: string | undefined;
  readonly ca: string | undefined;
  readonly requestCert: boolean;
  readonly rejectUnauthorized: boolean;
}

function publicTls(options: ChpOptions): ServerTlsOptions {
  return {
    flag: '--ssl',
    key: options.sslKey,
    cert: options.sslCert,
    ca: options.sslCa,
    requestCert: options.sslRequestCert ?? false,
    rejectUnauthorized: options.sslRejectUnauthorized ?? false,
  };
}

function apiTlsOptions(options: ChpOptions): ServerTlsOptions {
  return {
    flag: '--api-ssl',
    key: options.apiSslKey,
    cert: options.apiSslCert,
    ca: options.apiSslCa,
    requestCert: options.apiSslRequestCert ?? false,
    rejectUnauthorized: options.apiSslRejectUnauthorized ?? false,
  };
}

/** Undefined without key and certificate. */
function serverTls(
  options: ChpOptions,
  own: ServerTlsOptions,
  passphrase: string | undefined,
): ChpTls | undefined {
  const { flag, key: keyFile, cert: certFile, ca: caFile } = own;
  if (keyFile === undefined && certFile === undefined) {
    if (caFile !== undefined) refuse(`${flag}-ca needs ${flag}-key and ${flag}-cert`);
    return undefined;
  }
  if (keyFile === undefined || certFile === undefined)
    return refuse(`a certificate needs its key: give both ${flag}-key and ${flag}-cert`);
  // As with that program, whoever is asked for a certificate has to have one; and without asking there would be nobody to refuse.
  const isWanted = own.requestCert || own.rejectUnauthorized;
  const tls: ChpTls = {
    key: readKey(`${flag}-key`, keyFile, passphrase),
    cert: readText(`${flag}-cert`, certFile),
    ...(caFile === undefined ? {} : { ca: readText(`${flag}-ca`, caFile) }),
    requestCert: isWanted,
    rejectUnauthorized: isWanted,
    ...versionsOf(options.sslProtocol),
    ...(options.sslCiphers === undefined ? {} : { ciphers: options.sslCiphers }),
    ...(options.sslDhparam === undefined ? {} : { dhparam: readText('--ssl-dhparam', options.sslDhparam) }),
  };
  try {
    createSecureContext(tlsServerOptions(tls));
  } catch (cause) {
    throw new ProxyError('JTP_ERR_SETTINGS_INVALID', {
      message: `${flag}-*: these options cannot be used together: ${errorText(cause)}`,
      cause,
    });
  }
  return tls;
}

/** The key without its passphrase, which goes no further than this. */
function readKey(flag: string, file: string, passphrase: string | undefined): string {
  const pem = readText(flag, file);
  try {
    const key = createPrivateKey(passphrase === undefined ? pem : { key: pem, passphrase });
    return key.export({ type: 'pkcs8', format: 'pem' }).toString();
  } catch (cause) {
    const variable =
      flag === '--ssl-key' ? 'CONFIGPROXY_SSL_KEY_PASSPHRASE' : 'CONFIGPROXY_API_SSL_KEY_PASSPHRASE';
    const hint = /ENCRYPTED/.test(pem) ? `; it is encrypted: is ${variable} set and right?` : '';
    throw new ProxyError('JTP_ERR_SETTINGS_INVALID', {
      message: `${flag} "${file}": ${errorText(cause)}${hint}`,
      cause,
    });
  }
}

const VERSIONS = new Map([
  ['TLSv1', 'TLSv1'],
  ['TLSv1_1', 'TLSv1.1'],
  ['TLSv1_2', 'TLSv1.2'],
  ['TLSv1_3', 'TLSv1.3'],
] as const);

/** One version, as OpenSSL's methods of that name; none: whatever Node allows. */
function versionsOf(protocol: string | undefined): Pick<ChpTls, 'minVersion' | 'maxVersion'> {
  for (const [name, version] of VERSIONS)
    if (name === protocol) return { minVersion: version, maxVersion: version };
  return {};
}

function clientTls(
  options: ChpOptions,
): Pick<StaticConfiguration['serversTransport'], 'rootCAs' | 'certificates'> {
  const { clientSslKey, clientSslCert, clientSslCa } = options;
  if ((clientSslKey === undefined) !== (clientSslCert === undefined))
    refuse('a certificate needs its key: give both --client-ssl-key and --client-ssl-cert');
  return {
    rootCAs: clientSslCa === undefined ? [] : [readText('--client-ssl-ca', clientSslCa)],
    certificates:
      clientSslKey === undefined || clientSslCert === undefined
        ? []
        : [
            {
              cert: readText('--client-ssl-cert', clientSslCert),
              key: readKey('--client-ssl-key', clientSslKey, undefined),
            },
          ],
  };
}

interface PublicSide {
  readonly address: ChpAddress;
  readonly tls: ChpTls | undefined;
  readonly redirectTo: number;
}

function staticConfiguration(
  options: ChpOptions,
  { address, tls, redirectTo }: PublicSide,
): StaticConfiguration {
  const base = defaultStaticConfiguration();
  const side = entryPoint(PUBLIC, address, options);
  const secured = tls === undefined ? side : { ...side, http: { ...side.http, tls: {} }, serverTls: tls };
  const entryPoints = [secured];
  const { redirectPort } = options;
  if (redirectPort !== undefined)
    entryPoints.push(entryPoint(REDIRECT, { host: '', port: redirectPort }, options));
  const { forwardingTimeouts } = base.serversTransport;
  const { proxyTimeout } = options;
  return {
    format: 'v3',
    entryPoints: new Map(entryPoints.map((configuration) => [configuration.name, configuration])),
    providers: base.providers,
    log: { ...base.log, level: LEVELS[options.logLevel], format: 'chp' },
    limits: base.limits,
    serversTransport: {
      ...base.serversTransport,
      ...clientTls(options),
      insecureSkipVerify: options.insecure ?? false,
      forwardingTimeouts: {
        ...forwardingTimeouts,
        ...(proxyTimeout === 0
          ? {}
          : {
              responseHeaderTimeoutMs: proxyTimeout,
              dialTimeoutMs: Math.min(proxyTimeout, forwardingTimeouts.dialTimeoutMs),
            }),
      },
    },
    chp: {
      forwarded: options.xForward ? 'appended' : 'untouched',
      includePrefix: options.includePrefix,
      prependPath: options.prependPath,
      headers: options.customHeader,
      autoRewrite: options.autoRewrite ?? false,
      ...(options.protocolRewrite === undefined ? {} : { protocolRewrite: options.protocolRewrite }),
      ...(options.errorPath === undefined ? {} : { errorPath: resolve(options.errorPath) }),
      ...(options.errorTarget === undefined ? {} : { errorTarget: options.errorTarget }),
      hasMetrics: metricsAddress(options).metrics !== undefined,
      ...(redirectPort === undefined ? {} : { redirect: { entryPoint: REDIRECT, port: redirectTo } }),
    },
    notices: [],
  };
}

const LEVELS = { debug: 'DEBUG', info: 'INFO', warn: 'WARN', error: 'ERROR' } as const;

function entryPoint(name: string, address: ChpAddress, options: ChpOptions): EntryPointConfiguration {
  const [base] = defaultStaticConfiguration().entryPoints.values();
  if (base === undefined) throw new Error('the default configuration has an entry point');
  const { transport } = base;
  return {
    ...base,
    name,
    addressText: 'path' in address ? address.path : `${address.host}:${String(address.port)}`,
    address: 'path' in address ? { host: '', port: 0, path: address.path } : address,
    transport: {
      ...transport,
      lifeCycle: { ...transport.lifeCycle, graceTimeOutMs: GRACE_MS },
      respondingTimeouts: {
        ...transport.respondingTimeouts,
        idleTimeoutMs: options.keepAliveTimeout,
        ...(options.timeout === 0 ? {} : { silenceTimeoutMs: options.timeout }),
      },
    },
  };
}
