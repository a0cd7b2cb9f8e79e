// `hub`: what JupyterHub's plug-in starts; usable by hand as well.

import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { Command, InvalidArgumentError } from 'commander';
import {
  defaultStaticConfiguration,
  loadStaticConfiguration,
  parseStaticConfiguration,
} from '../config/load-static.ts';
import type { StaticConfiguration } from '../config/static.ts';
import { errorText, ProxyError } from '../errors.ts';
import { parseHubSettings } from '../hub/settings.ts';
import type { HubSettings } from '../hub/settings.ts';
import { writeStaticFile } from '../hub/static-file.ts';
import { createLogger } from '../log.ts';
import { runSupervisor } from '../supervisor/supervisor.ts';
import { sayNotices, workerCount } from './traefik.ts';

interface HubOptions {
  readonly settings?: string;
  readonly readyFd?: number;
  readonly publicUrl?: string;
  readonly routesFile?: string;
  readonly staticFile?: string;
  readonly apiPort?: number;
  readonly apiUrl?: string;
  readonly external?: boolean;
  readonly workers?: number;
}

const DEFAULT_API_PORT = 8001;

export function hubCommand(): Command {
  return new Command('hub')
    .description(
      'run the controller that JupyterHub talks to, with the engine unless that is managed elsewhere',
    )
    .option(
      '--settings <file>',
      'all settings as one JSON object from a file, or as the first line of standard input (-)',
    )
    .option(
      '--ready-fd <number>',
      'tell when it serves, or why it does not, as a JSON line on this descriptor',
      parseNumber,
    )
    .option('--public-url <url>', 'where clients reach the proxy (default: http://127.0.0.1:8000)')
    .option('--routes-file <file>', 'routes file, .toml or .yaml')
    .option('--static-file <file>', 'static configuration to write (default: traefik.toml)')
    .option(
      '--api-port <number>',
      `port of the REST API on 127.0.0.1 (default: ${String(DEFAULT_API_PORT)})`,
      parseNumber,
    )
    .option('--api-url <url>', "URL of the engine's own API (default: http://localhost:8099)")
    .option('--external', 'the engine is managed elsewhere: only the routes file is written')
    .option('--workers <number>', 'worker processes; 0 = one per core', parseNumber)
    .addHelpText(
      'after',
      `
Without --routes-file the first of /etc/traefik/rules.toml, $HOME/.traefik/rules.toml and ./rules.toml that exists is
used, else ./rules.toml is made.

Environment: CONFIGPROXY_AUTH_TOKEN, the token of the REST API; without --settings and without it one is made up that
nobody knows, and the API can only be used by those who are told.`,
    )
    .action(async (options: HubOptions) => {
      process.exitCode = await runHub(options);
    });
}

function parseNumber(text: string): number {
  if (!/^[0-9]{1,5}$/.test(text)) throw new InvalidArgumentError('expected a number');
  return Number(text);
}

async function runHub(options: HubOptions): Promise<number> {
  const report = reporter(options.readyFd);
  try {
    const settings =
      options.settings === undefined ? settingsFromOptions(options) : await readSettings(options.settings);
    return await serve(settings, report);
  } catch (error) {
    report.failed(errorText(error));
    return 1;
  }
}

async function serve(settings: HubSettings, report: Reporter): Promise<number> {
  const routesFile = findRoutesFile(settings.dynamicConfigFile);
  const log = createLogger('supervisor', defaultStaticConfiguration().log);
  const configuration = settings.shouldStart
    ? loadStaticConfiguration(await writeStaticFile(settings, routesFile, log))
    : externalConfiguration(settings);
  if (settings.shouldStart) sayNotices(configuration, log);
  else exitWithParent();
  process.title = 'jtp hub';
  return runSupervisor({
    static: configuration,
    workers: settings.shouldStart ? workerCount(settings.workers) : 0,
    controller: { kind: 'hub', settings: { settings, routesFile } },
    log,
    onReady: ({ apiUrl = '' }) => {
      report.ready(apiUrl, routesFile);
    },
    onFailure: (message) => {
      report.failed(message);
    },
  });
}

/** There is no engine here: only the log's settings count. */
function externalConfiguration(settings: HubSettings): StaticConfiguration {
  const level = settings.traefikLogLevel ?? 'ERROR';
  return parseStaticConfiguration(`[log]\nlevel = ${JSON.stringify(level)}\n`, 'settings.toml');
}

/** The hub that needs this controller holds the other end of our standard input. */
function exitWithParent(): void {
  process.stdin.on('close', () => process.kill(process.pid, 'SIGTERM'));
  process.stdin.on('end', () => process.kill(process.pid, 'SIGTERM'));
  process.stdin.resume();
}

/** The first that exists of the places that the documentation names, else one in the working directory. */
export function findRoutesFile(
  configured: string | undefined,
  places: { readonly cwd?: string; readonly home?: string | undefined; readonly etc?: string } = {},
): string {
  const { cwd = process.cwd(), home = process.env['HOME'], etc = '/etc' } = places;
  if (configured !== undefined && configured !== '') return resolve(cwd, configured);
  const folders = [join(etc, 'traefik'), ...(home === undefined ? [] : [join(home, '.traefik')]), cwd];
  for (const folder of folders) {
    const file = join(folder, 'rules.toml');
    if (existsSync(file)) return resolve(file);
  }
  return resolve(cwd, 'rules.toml');
}

async function readSettings(origin: string): Promise<HubSettings> {
  const text = origin === '-' ? await firstLine() : readFileSync(origin, 'utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ProxyError('JTP_ERR_SETTINGS_INVALID', {
      message: `the settings are not valid JSON: ${errorText(cause)}`,
      cause,
    });
  }
  return parseHubSettings(value, origin === '-' ? 'settings' : origin);
}

/** The rest of standard input is left alone: its end means something. */
async function firstLine(): Promise<string> {
  const lines = createInterface({ input: process.stdin });
  for await (const line of lines) {
    lines.close();
    return line;
  }
  return '';
}

function settingsFromOptions(options: HubOptions): HubSettings {
  const token = process.env['CONFIGPROXY_AUTH_TOKEN'] ?? '';
  const given = {
    publicUrl: options.publicUrl,
    dynamicConfigFile: options.routesFile,
    staticConfigFile: options.staticFile,
    apiPort: options.apiPort ?? DEFAULT_API_PORT,
    traefikApiUrl: options.apiUrl,
    shouldStart: options.external !== true,
    workers: options.workers,
    apiToken: token === '' ? randomBytes(32).toString('hex') : token,
  };
  const settings = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return parseHubSettings(settings, 'command line');
}

interface Reporter {
  ready(apiUrl: string, routesFile: string): void;
  failed(message: string): void;
}

/** To whoever started us: on the descriptor, or in words. */
function reporter(fd: number | undefined): Reporter {
  let isSaid = false;
  const say = (document: object): void => {
    if (isSaid || fd === undefined) return;
    isSaid = true;
    try {
      writeSync(fd, `${JSON.stringify(document)}\n`);
    } catch (error) {
      process.stderr.write(`jupyterhub-traefik-proxy: descriptor ${String(fd)}: ${errorText(error)}\n`);
    }
  };
  return {
    ready: (apiUrl, routesFile) => {
      say({ ready: true, apiUrl, pid: process.pid });
      if (fd === undefined)
        process.stdout.write(`jupyterhub-traefik-proxy: REST API at ${apiUrl}, routes in ${routesFile}\n`);
    },
    failed: (message) => {
      say({ error: message });
      if (fd === undefined) process.stderr.write(`jupyterhub-traefik-proxy: ${message}\n`);
    },
  };
}
