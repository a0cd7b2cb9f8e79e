// The static configuration that the hub writes, once, when it starts the engine: today's keys, so that a real Traefik takes it as well.
// The engine is started from exactly this text.

import { existsSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { mkdir } from 'node:fs/promises';
import { stringify as stringifyToml } from 'smol-toml';
import { parseStaticConfiguration } from '../config/load-static.ts';
import type { StaticConfiguration } from '../config/static.ts';
import { yaml } from '../config/yaml.ts';
import { ConfigError, errorText, ProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { DurableFile } from './durable-file.ts';
import { NODE_FILE_SYSTEM } from './file-system.ts';
import { formatOf } from './routes-document.ts';
import { apiBasePath } from './setup-dynamic.ts';
import { entryPointOf, isHttps, unixPathOf } from './settings.ts';
import type { HubSettings } from './settings.ts';
import { deepMerge } from './values.ts';
import type { Tree } from './values.ts';

const MARK = '# Written by jupyterhub-traefik-proxy at each start of JupyterHub';

const HEADER = `${MARK}: changes are lost. Set extra_static_config instead,
# or should_start = False to keep a file of your own.
`;

/** True for a static file that this program wrote. */
export function isOurStaticFile(file: string): boolean {
  try {
    return readFileSync(file, 'utf8').startsWith(MARK);
  } catch {
    // Not ours to read, so not ours.
    return false;
  }
}

/** The static configuration as a tree; `routesFile` is absolute. */
export function staticTree(settings: HubSettings, routesFile: string): Tree {
  const entryPoint = entryPointOf(settings);
  const api = new URL(settings.traefikApiUrl);
  const basePath = apiBasePath(api.pathname);
  const withTls = (address: string, isTls: boolean): Tree => ({
    address,
    ...(isTls ? { http: { tls: { options: 'default' } } } : {}),
  });
  const tree: Tree = {
    api: basePath === '' ? {} : { basePath },
    ...(settings.traefikLogLevel === undefined ? {} : { log: { level: settings.traefikLogLevel } }),
    providers: {
      providersThrottleDuration: settings.traefikProvidersThrottleDuration,
      file: { filename: routesFile, watch: true },
    },
    entryPoints: {
      [entryPoint]: withTls(publicAddress(settings.publicUrl), isHttps(settings)),
      [settings.traefikApiEntrypoint]: withTls(apiAddress(api), api.protocol === 'https:'),
    },
  };
  return deepMerge(tree, settings.extraStaticConfig);
}

/** `host:port` to listen on; the host may be empty. `http://[::1]` is `[::1]:80`. Or the path of a Unix socket. */
function publicAddress(url: string): string {
  const path = unixPathOf(url);
  if (path !== undefined) return path;
  const match = /^(https?):\/\/(\[[^\]]*\]|[^:/]*)(?::([0-9]+))?/i.exec(url);
  const port = match?.[3] ?? (match?.[1]?.toLowerCase() === 'https' ? '443' : '80');
  return `${match?.[2] ?? ''}:${port}`;
}

function apiAddress({ hostname, port, protocol }: URL): string {
  // The name may stand for two addresses, of which only one would be listened on.
  const host = hostname === 'localhost' ? '127.0.0.1' : hostname;
  return `${host}:${port === '' ? (protocol === 'https:' ? '443' : '80') : port}`;
}

/** The file's text. */
export function staticText(file: string, tree: Tree): string {
  const body = formatOf(file) === 'toml' ? stringifyToml(tree) : yaml().stringify(tree);
  return `${HEADER}\n${body.trim()}\n`;
}

/** Builds the text without touching the disk; throws ProxyError JTP_ERR_SETTINGS_INVALID. */
export function buildStaticText(
  settings: HubSettings,
  files: { readonly staticFile: string; readonly routesFile: string },
): string {
  if (settings.traefikApiEntrypoint === entryPointOf(settings))
    throw new ProxyError('JTP_ERR_SETTINGS_INVALID', {
      message: `settings: traefikApiEntrypoint: "${settings.traefikApiEntrypoint}" is the entry point of the users, too`,
    });
  try {
    return staticText(files.staticFile, staticTree(settings, files.routesFile));
  } catch (cause) {
    if (cause instanceof ProxyError) throw cause;
    throw new ProxyError('JTP_ERR_SETTINGS_INVALID', {
      message: `settings: extraStaticConfig: cannot be written: ${errorText(cause)}`,
      cause,
    });
  }
}

/** The same, and checked for our own engine; throws ConfigError, too. */
export function buildStaticConfiguration(
  settings: HubSettings,
  files: { readonly staticFile: string; readonly routesFile: string },
): { readonly text: string; readonly configuration: StaticConfiguration } {
  const text = buildStaticText(settings, files);
  try {
    return { text, configuration: parseStaticConfiguration(text, files.staticFile) };
  } catch (error) {
    if (!(error instanceof ConfigError) || Object.keys(settings.extraStaticConfig).length === 0) throw error;
    // Nobody has written that file yet, so nobody could look at its lines; what is wrong is what was added to it.
    throw new ConfigError(
      error.problems.map(({ key, message }) => ({
        file: 'settings: extraStaticConfig',
        message,
        ...(key === undefined ? {} : { key }),
      })),
      { cause: error },
    );
  }
}

/** Writes the file; one that somebody else wrote is kept beside it, once. Rejects with ProxyError JTP_ERR_STORE_WRITE. */
export async function writeStaticFile(file: string, text: string, log: Logger): Promise<void> {
  const durable = new DurableFile({ path: file, fs: NODE_FILE_SYSTEM, log });
  await mkdir(dirname(file), { recursive: true });
  const before = await durable.read();
  if (before?.text === text) return;
  if (
    before !== undefined &&
    before.text.trim() !== '' &&
    !before.text.startsWith(MARK) &&
    !existsSync(`${file}.orig`)
  ) {
    const kept = await durable.keepBeside('.orig', before.text);
    log.warn(
      { file, kept },
      'the static file is replaced, because JupyterHub starts the proxy; the old one is kept',
    );
  }
  await durable.replace(text);
}
