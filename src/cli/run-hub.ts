// What `hub` does: settings → static configuration → supervisor. The first controller has been started already, and loads meanwhile.

import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { defaultStaticConfiguration } from '../config/load-static.ts';
import type { StaticConfiguration } from '../config/static.ts';
import { errorText, ProxyError } from '../errors.ts';
import { NODE_FILE_SYSTEM } from '../hub/file-system.ts';
import { assertRoutesAreFree } from '../hub/routes-lock.ts';
import { findRoutesFile, findStaticFileToWrite } from '../hub/find-files.ts';
import { randomPassword } from '../hub/password.ts';
import { isEmbedded, LOOPBACK, parseHubSettings, parseHubSettingsText } from '../hub/settings.ts';
import type { HubSettings } from '../hub/settings.ts';
import type { TraefikProcess } from '../hub/traefik-process.ts';
import {
  buildStaticConfiguration,
  buildStaticText,
  isOurStaticFile,
  writeStaticFile,
} from '../hub/static-file.ts';
import { createLogger } from '../log.ts';
import type { Logger } from '../log.ts';
import type { EarlyController } from '../supervisor/programs.ts';
import { runSupervisor } from '../supervisor/supervisor.ts';
import { VERSION } from '../config/version.ts';
import type { HubOptions } from './hub.ts';
import { hubStaticConfiguration, HubReload } from './hub-reload.ts';
import type { HubReloadOptions } from './hub-reload.ts';
import { capacityText, sayNotices, workerCount } from './traefik.ts';

/** A settings object is some kilobytes. */
const MAX_SETTINGS_BYTES = 16 * 1024 * 1024;

/** Runs until a signal, or a failure to start; resolves with the exit code, rejects with what is wrong with the settings. */
export async function runHub(
  options: HubOptions,
  command: Command,
  controller: EarlyController,
): Promise<number> {
  const { readyFd } = options;
  try {
    const given = await readSettings(options, command);
    const { settings: file } = options;
    return await serve(
      { given, settings: withSecrets(given), settingsFile: file === '-' ? undefined : file },
      controller,
      (message) => {
        tellStarter(readyFd, message);
      },
    );
  } catch (error) {
    tellStarter(readyFd, { error: oneLine(errorText(error)) });
    throw error;
  }
}

function oneLine(text: string): string {
  return text.split('\n').join('; ');
}

/** One line for whoever started this program. */
function tellStarter(fd: number | undefined, message: object): void {
  if (fd === undefined) return;
  try {
    writeSync(fd, `${JSON.stringify(message)}\n`);
    closeSync(fd);
  } catch {
    // It is gone, or has been told.
  }
}

async function readSettings(options: HubOptions, command: Command): Promise<HubSettings> {
  if (options.settings === undefined) return settingsOfFlags(options);
  const flags = command.options
    .map((option) => option.attributeName())
    .filter(
      (name) => command.getOptionValueSource(name) === 'cli' && name !== 'settings' && name !== 'readyFd',
    );
  if (flags.length > 0)
    throw new ProxyError('JTP_ERR_SETTINGS_INVALID', {
      message: `with --settings, ${flags.join(', ')} cannot be given as flags: put them into the object`,
    });
  if (options.settings === '-') return readSettingsFromInput();
  let text: string;
  try {
    text = readFileSync(options.settings, 'utf8');
  } catch (cause) {
    throw new ProxyError('JTP_ERR_SETTINGS_INVALID', { message: `--settings: ${errorText(cause)}`, cause });
  }
  return parseHubSettingsText(text, options.settings);
}

function settingsOfFlags(options: HubOptions): HubSettings {
  const { publicUrl, apiPort, workers, external } = options;
  const given = {
    publicUrl,
    apiPort,
    workers,
    shouldStart: external !== true,
    dynamicConfigFile: options.routesFile,
    staticConfigFile: options.staticFile,
    sslKey: options.sslKey,
    sslCert: options.sslCert,
    traefikEntrypoint: options.entrypoint,
    engine: options.engine,
    errorTarget: options.errorTarget,
    traefikApiUrl: options.engineUrl,
    traefikApiUsername: options.engineUser,
    traefikApiPassword: process.env['JTP_ENGINE_PASSWORD'],
    traefikLogLevel: options.logLevel,
    stateFile: options.stateFile === undefined ? undefined : resolve(options.stateFile),
  };
  return parseHubSettings(
    Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
  );
}

/**
 * One line, or everything up to the end when that is no JSON yet. In external mode the end of the input means that the parent is gone.
 */
function readSettingsFromInput(): Promise<HubSettings> {
  const { stdin } = process;
  return new Promise((resolve, reject) => {
    let text = '';
    let settings: HubSettings | undefined;
    const take = (isEnd: boolean): void => {
      if (settings !== undefined || (!isEnd && !text.includes('\n'))) return;
      try {
        if (!isEnd && !isJson(text)) return;
        settings = parseHubSettingsText(text, 'standard input');
        resolve(settings);
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)));
      }
      // Our own engine outlives whoever started it.
      if (settings?.shouldStart !== false) stdin.destroy();
    };
    stdin.setEncoding('utf8');
    stdin.on('data', (chunk: string) => {
      if (settings !== undefined) return;
      text += chunk;
      if (text.length > MAX_SETTINGS_BYTES) {
        reject(
          new ProxyError('JTP_ERR_SETTINGS_INVALID', {
            message: 'standard input: the settings are too long',
          }),
        );
        stdin.destroy();
      } else take(false);
    });
    stdin.on('error', () => stdin.destroy());
    stdin.on('close', () => {
      take(true);
      if (settings?.shouldStart === false) process.kill(process.pid, 'SIGTERM');
    });
  });
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** What has to be secret is made up here, once: every controller of this program gets the same. */
function withSecrets(settings: HubSettings): HubSettings {
  const token =
    settings.apiToken ?? (process.env['CONFIGPROXY_AUTH_TOKEN'] || randomBytes(32).toString('hex'));
  const files = { dynamicConfigFile: findRoutesFile(settings.dynamicConfigFile) };
  if (!settings.shouldStart) return { ...settings, ...files, apiToken: token };
  const { traefikApiUsername, traefikApiPassword } = settings;
  return {
    ...settings,
    ...files,
    apiToken: token,
    traefikApiUsername: traefikApiUsername === '' ? 'jupyterhub' : traefikApiUsername,
    traefikApiPassword: traefikApiPassword === '' ? randomPassword() : traefikApiPassword,
  };
}

async function serve(
  origin: Pick<HubReloadOptions, 'given' | 'settings' | 'settingsFile'>,
  controller: EarlyController,
  tell: (message: object) => void,
): Promise<number> {
  const { settings } = origin;
  const routesFile = findRoutesFile(settings.dynamicConfigFile);
  await assertRoutesAreFree({
    path: routesFile,
    fs: NODE_FILE_SYSTEM,
    log: createLogger('supervisor', defaultStaticConfiguration().log),
    pid: process.pid,
  });
  const { configuration, staticFile, staticText, isNew, log } = await prepare(settings, routesFile);
  process.title = 'jtp hub';
  const traefik =
    settings.shouldStart && !isEmbedded(settings)
      ? await (
          await import('./hub-traefik.ts')
        ).startTraefik(settings, { staticFile, staticText, routesFile }, log)
      : undefined;
  const workers = isEmbedded(settings) ? workerCount(settings.workers) : 0;
  let hasFailed = false;
  const fail = (message: string): void => {
    hasFailed = true;
    process.stderr.write(`jupyterhub-traefik-proxy: ${message}\n`);
    tell({ error: oneLine(message) });
  };
  const reload = new HubReload({ ...origin, staticFile, staticText, routesFile, log });
  const exitCode = await runSupervisor({
    static: configuration,
    workers,
    controller: { kind: 'hub', settings },
    earlyController: controller,
    servers: [{ name: 'api', what: 'the REST API', address: { host: LOOPBACK, port: settings.apiPort } }],
    log,
    reload: () => reload.read(),
    onReady: ({ apiUrl = '' }) => {
      const announce = (): void => {
        writeStateFile(settings, apiUrl, log);
        process.stdout.write(
          `jupyterhub-traefik-proxy ${VERSION} ${whatItDoes(settings, workers)}; routes: ${routesFile}; REST API: ${apiUrl}\n`,
        );
        tell({ ready: true, apiUrl, pid: process.pid });
      };
      if (traefik === undefined) announce();
      else
        void serving(settings, traefik).then(announce, (error: unknown) => {
          fail(errorText(error));
          // Everything else is running: it ends as after a signal.
          process.kill(process.pid, 'SIGTERM');
        });
    },
    onFailure: fail,
  });
  await traefik?.stop();
  removeStateFile(settings);
  // Made for this run only; a Traefik started in this folder would take it for its own.
  if ((isNew || (exitCode === 0 && !hasFailed)) && isOurStaticFile(staticFile)) rmSync(staticFile);
  // In external mode the input is listened to until the end, and would keep this process.
  process.stdin.removeAllListeners('close').destroy();
  return hasFailed ? 1 : exitCode;
}

async function serving(settings: HubSettings, traefik: TraefikProcess): Promise<void> {
  await (await import('./hub-traefik.ts')).untilTraefikServes(settings, traefik);
}

function whatItDoes(settings: HubSettings, workers: number): string {
  if (!settings.shouldStart) return `drives the engine at ${settings.traefikApiUrl}`;
  return isEmbedded(settings)
    ? `serves ${settings.publicUrl} (${capacityText(workers)})`
    : `has ${settings.engine} serve ${settings.publicUrl}`;
}

/** The configuration that our processes are started with, and what an engine of ours was written; '' when it is somebody else's. */
async function prepare(
  settings: HubSettings,
  routesFile: string,
): Promise<{
  readonly configuration: StaticConfiguration;
  readonly staticFile: string;
  readonly staticText: string;
  /** There was no such file before. */
  readonly isNew: boolean;
  readonly log: Logger;
}> {
  // A hub's administrator wants to see what happens to the routes, which Traefik's own default would hide.
  const level = settings.traefikLogLevel ?? 'INFO';
  const base = defaultStaticConfiguration();
  const idle = { ...base, entryPoints: new Map<never, never>(), log: { ...base.log, level } };
  if (!settings.shouldStart)
    return {
      configuration: idle,
      staticFile: '',
      staticText: '',
      isNew: false,
      log: createLogger('supervisor', idle.log),
    };
  const staticFile = findStaticFileToWrite(settings.staticConfigFile, isOurStaticFile);
  const files = { staticFile, routesFile };
  let configuration: StaticConfiguration = idle;
  // What a real Traefik can be told is for it to judge.
  let staticText = isEmbedded(settings) ? '' : buildStaticText(settings, files);
  if (isEmbedded(settings)) {
    const built = buildStaticConfiguration(settings, files);
    configuration = hubStaticConfiguration(settings, built.text, staticFile);
    staticText = built.text;
  }
  const log = createLogger('supervisor', configuration.log);
  const isNew = !existsSync(staticFile);
  await writeStaticFile(staticFile, staticText, log);
  log.info({ file: staticFile }, 'wrote the static configuration');
  sayNotices(configuration);
  return { configuration, staticFile, staticText, isNew, log };
}

/** Read by a JupyterHub that comes back and finds this program still running. */
function writeStateFile(settings: HubSettings, apiUrl: string, log: Logger): void {
  const { stateFile, apiToken: token, digest, traefikApiPassword } = settings;
  if (stateFile === undefined) return;
  const temporary = `${stateFile}.${String(process.pid)}`;
  try {
    const text = `${JSON.stringify({ pid: process.pid, apiUrl, token, digest, traefikApiPassword, version: VERSION })}\n`;
    rmSync(temporary, { force: true });
    writeFileSync(temporary, text, { mode: 0o600, flag: 'wx' });
    renameSync(temporary, stateFile);
  } catch (error) {
    rmSync(temporary, { force: true });
    log.error(
      { file: stateFile, reason: errorText(error) },
      'the state file cannot be written; a restarted hub will not find this program',
    );
  }
}

/** Only if it still speaks of this program. */
function removeStateFile({ stateFile }: HubSettings): void {
  if (stateFile === undefined) return;
  try {
    const state: unknown = JSON.parse(readFileSync(stateFile, 'utf8'));
    if (typeof state === 'object' && state !== null && 'pid' in state && state.pid === process.pid)
      rmSync(stateFile);
  } catch {
    // It is gone already, or another program's.
  }
}
