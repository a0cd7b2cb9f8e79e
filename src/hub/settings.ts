// What the `hub` command is told: the plug-in's traits in camelCase, with their meaning and defaults.

import { z } from 'zod';
import { ConfigError } from '../errors.ts';

const url = (what: string): z.ZodType<string> =>
  z.string().refine((text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol), {
    error: `expected ${what} such as "http://127.0.0.1:8000"`,
  });

const table = z.record(z.string(), z.unknown());

const schema = z.strictObject({
  /** Where clients reach the proxy; host and port of the public entry point. */
  publicUrl: url('a URL').default('http://127.0.0.1:8000'),
  /** PEM files for an https public URL; without them the engine uses a certificate of its own. */
  sslKey: z.string().optional(),
  sslCert: z.string().optional(),
  /** False: somebody else runs the engine, and only the routes file is ours. */
  shouldStart: z.boolean().default(true),
  /** The routes file; its extension says TOML or YAML. Absent: searched for, else made in the working directory. */
  dynamicConfigFile: z.string().optional(),
  staticConfigFile: z.string().default('traefik.toml'),
  traefikEntrypoint: z.string().optional(),
  traefikApiUrl: url('the URL of the API').default('http://localhost:8099'),
  traefikApiUsername: z.string().default(''),
  traefikApiPassword: z.string().default(''),
  traefikApiHashedPassword: z.string().optional(),
  traefikApiEntrypoint: z.string().default('auth_api'),
  traefikApiValidateCert: z.boolean().default(true),
  traefikLogLevel: z.string().optional(),
  traefikProvidersThrottleDuration: z.string().default('0s'),
  /** Seconds until an engine that somebody else runs must show a route. */
  checkRouteTimeout: z.number().positive().default(30),
  enableSetupDynamicConfig: z.boolean().default(true),
  extraStaticConfig: table.default({}),
  extraDynamicConfig: table.default({}),
  /** 0 = one per core. */
  workers: z.int().min(0).max(999).default(0),
  /** Token of the REST API. */
  apiToken: z.string().min(1),
  apiHost: z.string().default('127.0.0.1'),
  /** 0 = any. */
  apiPort: z.int().min(0).max(65535).default(0),
  /** Where a later hub finds this program; absent = nowhere. */
  stateFile: z.string().optional(),
  /** Two hubs with the same digest may share one program. */
  digest: z.string().default(''),
});

/** Checked settings, defaults filled in. */
export type HubSettings = z.output<typeof schema>;

/** Checks settings that came as JSON; throws ConfigError JTP_ERR_SETTINGS_INVALID naming `origin` and every wrong key. */
export function parseHubSettings(value: unknown, origin: string): HubSettings {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => ({
    file: origin,
    ...(issue.path.length === 0 ? {} : { key: issue.path.join('.') }),
    message: issue.message,
  }));
  throw new ConfigError(problems, { code: 'JTP_ERR_SETTINGS_INVALID' });
}

/** The public entry point's name: as configured, else `https` or `http` like the public URL. */
export function publicEntryPoint(settings: HubSettings): string {
  return settings.traefikEntrypoint ?? (settings.publicUrl.startsWith('https:') ? 'https' : 'http');
}
