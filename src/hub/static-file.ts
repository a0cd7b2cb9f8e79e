// The static configuration that the `hub` command writes when JupyterHub starts the proxy: today's Traefik keys, so that a real Traefik
// can be started with it. Written once at start, and again only when the settings ask for something else.

import { extname, resolve } from 'node:path';
import { stringify as stringifyToml } from 'smol-toml';
import { stringify as stringifyYaml } from 'yaml';
import { isTable } from '../config/schema.ts';
import type { Logger } from '../log.ts';
import { DurableFile } from './durable-file.ts';
import { publicEntryPoint } from './settings.ts';
import type { HubSettings } from './settings.ts';

type Table = Readonly<Record<string, unknown>>;

/** Later values win; tables are merged; nothing is changed in place. */
export function deepMerge(base: Table, more: Table): Table {
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(more)) {
    const old = Object.hasOwn(merged, key) ? merged[key] : undefined;
    merged[key] = isTable(old) && isTable(value) ? deepMerge(old, value) : value;
  }
  return merged;
}

/** `host:port` to listen on, from a URL; an empty host (`http://:8000`) means all interfaces. */
export function listenAddress(url: string): string {
  // The WHATWG parser refuses an empty host, which JupyterHub uses for "all interfaces".
  const match = /^(https?):\/\/(\[[^\]]*\]|[^:/?#]*)(?::([0-9]+))?/i.exec(url);
  const port = match?.[3] ?? (match?.[1]?.toLowerCase() === 'https' ? '443' : '80');
  return `${match?.[2] ?? ''}:${port}`;
}

/** The static configuration for these settings; `routesFile` is absolute. */
export function staticTree(settings: HubSettings, routesFile: string): Table {
  const isHttps = /^https:/i.test(settings.publicUrl);
  const tree = {
    api: { dashboard: true },
    ...(settings.traefikLogLevel === undefined ? {} : { log: { level: settings.traefikLogLevel } }),
    providers: {
      providersThrottleDuration: settings.traefikProvidersThrottleDuration,
      file: { filename: resolve(routesFile), watch: true },
    },
    entryPoints: {
      [publicEntryPoint(settings)]: {
        address: listenAddress(settings.publicUrl),
        ...(isHttps ? { http: { tls: { options: 'default' } } } : {}),
      },
      [settings.traefikApiEntrypoint]: { address: listenAddress(settings.traefikApiUrl) },
    },
  };
  return deepMerge(tree, settings.extraStaticConfig);
}

const HEADER = `# Written by jupyterhub-traefik-proxy when JupyterHub starts it: changes made here are lost.
# Use c.TraefikProxy.extra_static_config instead.
`;

/** Writes the static configuration; returns its absolute path. Rejects with ProxyError JTP_ERR_STORE_WRITE. */
export async function writeStaticFile(
  settings: HubSettings,
  routesFile: string,
  log: Logger,
): Promise<string> {
  const path = resolve(settings.staticConfigFile);
  const tree = staticTree(settings, routesFile);
  const isYaml = /^\.ya?ml$/i.test(extname(path));
  await new DurableFile(path, log).write(
    `${HEADER}\n${isYaml ? stringifyYaml(tree) : stringifyToml(tree)}\n`,
  );
  return path;
}
