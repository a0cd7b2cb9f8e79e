// The command line of configurable-http-proxy: names, defaults and meaning are that program's. Source: its command line reference. What
// it does with wrong values (ignoring them, or failing later) is an error here, with the value and what was expected.

import { Command, InvalidArgumentError } from 'commander';
import { nearest } from '../config/nearest.ts';
import { VERSION } from '../config/version.ts';

/** The options as they were given, defaults filled in. */
export interface ChpOptions {
  readonly ip?: string;
  readonly port: number;
  readonly socket?: string;
  readonly apiIp: string;
  readonly apiPort?: number;
  readonly apiSocket?: string;
  readonly metricsIp: string;
  readonly metricsPort?: number;
  readonly metricsSocket?: string;
  readonly sslKey?: string;
  readonly sslCert?: string;
  readonly sslCa?: string;
  readonly sslRequestCert?: true;
  readonly sslRejectUnauthorized?: true;
  readonly sslProtocol?: string;
  readonly sslCiphers?: string;
  readonly sslAllowRc4?: true;
  readonly sslDhparam?: string;
  readonly apiSslKey?: string;
  readonly apiSslCert?: string;
  readonly apiSslCa?: string;
  readonly apiSslRequestCert?: true;
  readonly apiSslRejectUnauthorized?: true;
  readonly clientSslKey?: string;
  readonly clientSslCert?: string;
  readonly clientSslCa?: string;
  readonly clientSslRequestCert?: true;
  readonly clientSslRejectUnauthorized?: true;
  readonly defaultTarget?: string;
  readonly errorTarget?: string;
  readonly errorPath?: string;
  readonly redirectPort?: number;
  readonly redirectTo?: number;
  readonly pidFile?: string;
  readonly xForward: boolean;
  readonly prependPath: boolean;
  readonly includePrefix: boolean;
  readonly autoRewrite?: true;
  readonly protocolRewrite?: string;
  readonly changeOrigin?: true;
  readonly customHeader: readonly ChpHeader[];
  readonly insecure?: true;
  readonly hostRouting?: true;
  readonly logLevel: ChpLogLevel;
  readonly timeout: number;
  readonly proxyTimeout: number;
  readonly keepAliveTimeout: number;
  readonly storageBackend: string;
  readonly workers: number;
  readonly statsdHost?: string;
  readonly statsdPort?: string;
  readonly statsdPrefix?: string;
}

/** One `--custom-header`. */
export interface ChpHeader {
  readonly name: string;
  readonly value: string;
}

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type ChpLogLevel = (typeof LEVELS)[number];

/** Further levels of that program's logger, and which of its lines they show. */
const OTHER_LEVELS = new Map<string, ChpLogLevel>([
  ['http', 'info'],
  ['verbose', 'info'],
  ['silly', 'debug'],
]);

/** Where an empty value has a meaning. */
const MAY_BE_EMPTY = new Set(['ip', 'apiIp', 'metricsIp']);

/** What the proxy itself has to decide about; an operator's value would contradict the message it is put on. */
const FRAMING_HEADERS = new Set([
  'connection',
  'content-length',
  'transfer-encoding',
  'upgrade',
  'keep-alive',
  'te',
  'trailer',
  'proxy-connection',
]);

/** The options without those whose value is empty: these count as not given. */
export function givenOptions(options: ChpOptions): ChpOptions {
  const given = Object.entries(options).filter(([name, value]) => value !== '' || MAY_BE_EMPTY.has(name));
  // What is left out is optional, or has been given its default by its parser.
  return Object.fromEntries(given) as unknown as ChpOptions;
}

/** All flags, without what is to be done with them. */
export function chpCommand(): Command {
  const command = new Command('configurable-http-proxy')
    .description(
      'a proxy whose routes are changed over a REST API: the command line of configurable-http-proxy',
    )
    .version(VERSION, '-V, --version', 'print the version');
  addAddresses(command);
  addTls(command);
  addBehaviour(command);
  return command.showSuggestionAfterError().addHelpText(
    'after',
    `
Environment:
  CONFIGPROXY_AUTH_TOKEN              token of the REST API; without it the API is open to everybody who can reach it
  CONFIGPROXY_AUTH_TOKEN_FILE         a file with that token
  CONFIGPROXY_SSL_KEY_PASSPHRASE      passphrase of --ssl-key
  CONFIGPROXY_API_SSL_KEY_PASSPHRASE  passphrase of --api-ssl-key

Signals: SIGHUP reads the file of --storage-backend again; SIGTERM and SIGINT stop accepting, let requests
finish for a moment and exit; a second one exits at once.`,
  );
}

function addAddresses(command: Command): void {
  command
    .option('--ip <address>', "address of the public side; '' = all interfaces (default)")
    .option('--port <number>', 'port of the public side; 0 = any', parsePort, 8000)
    .option('--socket <path>', 'Unix socket of the public side instead of an address')
    .option('--api-ip <address>', 'address of the REST API', 'localhost')
    .option('--api-port <number>', 'port of the REST API (default: the public port + 1)', parsePort)
    .option('--api-socket <path>', 'Unix socket of the REST API instead of an address')
    .option('--metrics-ip <address>', "address of the metrics; '' = all interfaces", '')
    .option('--metrics-port <number>', 'port of the metrics (default: no metrics)', parsePort)
    .option('--metrics-socket <path>', 'Unix socket of the metrics instead of an address');
}

function addTls(command: Command): void {
  command
    .option('--ssl-key <file>', 'private key of the public side (PEM)')
    .option('--ssl-cert <file>', 'certificate of the public side with its chain (PEM)')
    .option('--ssl-ca <file>', 'authorities of client certificates (PEM)')
    .option('--ssl-request-cert', 'refuse clients without a valid certificate')
    .option('--ssl-reject-unauthorized', 'the same')
    .option('--ssl-protocol <name>', 'the one TLS version to use, such as TLSv1_2', parseProtocol)
    .option('--ssl-ciphers <list>', "ciphers, in OpenSSL's notation")
    .option('--ssl-allow-rc4', 'has no effect: no supported Node has RC4')
    .option('--ssl-dhparam <file>', 'Diffie-Hellman parameters (PEM)')
    .option('--api-ssl-key <file>', 'private key of the REST API (PEM)')
    .option('--api-ssl-cert <file>', 'certificate of the REST API (PEM)')
    .option('--api-ssl-ca <file>', 'authorities of client certificates of the REST API (PEM)')
    .option('--api-ssl-request-cert', 'refuse clients of the REST API without a valid certificate')
    .option('--api-ssl-reject-unauthorized', 'the same')
    .option('--client-ssl-key <file>', 'private key shown to https targets (PEM)')
    .option('--client-ssl-cert <file>', 'certificate shown to https targets (PEM)')
    .option('--client-ssl-ca <file>', 'authorities of https targets (PEM)')
    .option('--client-ssl-request-cert', 'has no effect, and is accepted because JupyterHub gives it')
    .option('--client-ssl-reject-unauthorized', 'has no effect: https targets are verified unless --insecure')
    .option('--insecure', 'do not verify certificates of https targets');
}

function addBehaviour(command: Command): void {
  command
    .option('--default-target <url>', 'where requests go that no route takes')
    .option('--error-target <url>', 'server that makes the error pages')
    .option('--error-path <folder>', 'folder with error pages: 404.html, 503.html, error.html')
    .option('--redirect-port <number>', 'port without TLS that redirects to HTTPS', parsePort)
    .option('--redirect-to <number>', 'port that is redirected to (default: the public port)', parsePort)
    .option('--pid-file <path>', 'where to write the process id')
    .option('--no-x-forward', 'do not add X-Forwarded-* headers')
    .option('--no-prepend-path', "ignore the path of targets' URLs")
    .option('--no-include-prefix', "cut the route's prefix off the path of requests")
    .option('--auto-rewrite', "let redirects to a target's own address lead to the proxy")
    .option('--change-origin', "send the target's host as Host")
    .option('--protocol-rewrite <scheme>', "scheme of redirects to a target's own address", parseScheme)
    .option(
      '--custom-header <header>',
      'header of every request to a target, "Name: value"; repeatable',
      addHeader,
      [],
    )
    .option('--host-routing', 'the first part of a route is a host')
    .option('--log-level <level>', LEVELS.join(', '), parseLevel, 'info')
    .option('--timeout <ms>', 'cut a request on which no byte has moved for so long', parseMs, 0)
    .option('--proxy-timeout <ms>', 'how long a target may take to begin its answer', parseMs, 0)
    .option('--keep-alive-timeout <ms>', 'how long a connection may be idle', parseKeepAlive, KEEP_ALIVE_MS)
    .option(
      '--storage-backend <storage>',
      '"memory", a routes file (.toml, .yaml) in which routes outlive the program, or a module for configurable-http-proxy',
      (text: string, before: string) => text || before,
      'memory',
    )
    .option('--workers <number>', 'worker processes; 0 = one per core', parseWorkers, 0);
  // Gone from configurable-http-proxy 4.4 on, and given by hubs that are older.
  for (const name of ['host', 'port', 'prefix'])
    command.addOption(command.createOption(`--statsd-${name} <value>`).hideHelp());
}

// An empty value is none, as with that program: scripts write --metrics-port "$PORT" whether or not there is one.

function parsePort(text: string, before?: number): number | undefined {
  if (text === '') return before;
  if (!/^[0-9]{1,5}$/.test(text) || Number(text) > 65535)
    throw new InvalidArgumentError('Expected a port, 0 to 65535.');
  return Number(text);
}

function parseWorkers(text: string): number {
  if (!/^[0-9]{1,3}$/.test(text)) throw new InvalidArgumentError('Expected a number from 0 to 999.');
  return Number(text);
}

const KEEP_ALIVE_MS = 5000;
/** The longest that a timer of Node can wait. */
const MAX_MS = 2 ** 31 - 1;

function parseMs(text: string, before: number): number {
  if (text === '') return before;
  if (!/^[0-9]{1,10}$/.test(text) || Number(text) > MAX_MS)
    throw new InvalidArgumentError('Expected a number of milliseconds.');
  return Number(text);
}

/** That program takes 0 for its default, too. */
function parseKeepAlive(text: string, before: number): number {
  return parseMs(text, before) || KEEP_ALIVE_MS;
}

function parseScheme(text: string): string {
  if (text === '') return text;
  const scheme = /^(https?):?$/i.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined) throw new InvalidArgumentError('Expected http or https.');
  return scheme;
}

function parseLevel(text: string, before: ChpLogLevel): ChpLogLevel {
  if (text === '') return before;
  const level = OTHER_LEVELS.get(text.toLowerCase()) ?? LEVELS.find((known) => known === text.toLowerCase());
  if (level !== undefined) return level;
  const near = nearest(text, LEVELS);
  throw new InvalidArgumentError(
    `Expected ${LEVELS.join(', ')}.${near === undefined ? '' : ` Did you mean ${near}?`}`,
  );
}

/** As OpenSSL's methods are called: `TLSv1_2_method`, or without its last part. */
function parseProtocol(text: string): string {
  if (text === '') return text;
  if (!/^(?:TLS|SSLv23|TLSv1(?:_[123])?)(?:_(?:server_|client_)?method)?$/.test(text))
    throw new InvalidArgumentError('Expected TLSv1_2, TLSv1_3, or TLS for whatever both sides can.');
  return text.replace(/_(?:server_|client_)?method$/, '');
}

function addHeader(text: string, before: readonly ChpHeader[]): readonly ChpHeader[] {
  const colon = text.indexOf(':');
  if (colon < 1 || text.slice(0, colon).trim() === '')
    throw new InvalidArgumentError('A colon was expected: "Name: value".');
  const name = text.slice(0, colon).trim();
  const value = text.slice(colon + 1).trim();
  if (!/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/.test(name))
    throw new InvalidArgumentError(`"${name}" cannot be the name of a header.`);
  if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(value))
    throw new InvalidArgumentError('The value has control characters.');
  if (FRAMING_HEADERS.has(name.toLowerCase()))
    throw new InvalidArgumentError(`"${name}" is the proxy's own to decide on.`);
  // A head is written with one character per byte.
  // The last one of a name counts, in whatever case it is written.
  const others = before.filter((header) => header.name.toLowerCase() !== name.toLowerCase());
  return [...others, { name, value: Buffer.from(value, 'utf8').toString('latin1') }];
}
