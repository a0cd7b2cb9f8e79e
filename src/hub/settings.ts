// What `hub` can be told: the traits of the JupyterHub plug-in in camelCase, with the same meaning and defaults, and what the two
// programs need to find each other. Source: the trait tables of jupyterhub-traefik-proxy's documentation.

import { isAbsolute } from 'node:path';
import * as z from 'zod';
import { nearest } from '../config/nearest.ts';
import { LOG_LEVELS } from '../config/static-schema.ts';
import { parseDurationMs } from '../config/duration.ts';
import { errorText, ProxyError } from '../errors.ts';
import { parseUrl } from '../url.ts';

/** Where the REST API is: the hub's machine only. */
export const LOOPBACK = '127.0.0.1';

const text = z.string();
const name = text.min(1, 'expected a name, found an empty string');
const table = z.record(text, z.unknown());

const httpUrl = text.refine((value) => {
  const url = parseUrl(value);
  return (url?.protocol === 'http:' || url?.protocol === 'https:') && url.hostname !== '';
}, 'expected a URL such as "http://127.0.0.1:8099"');

const errorTarget = text.refine(
  (value) => /^(?:https?|http\+unix|unix\+http):\/\/[^/?#\s]+\/?[^?#\s]*$/i.test(value),
  'expected a URL such as "http://127.0.0.1:8081/hub/error"',
);

const publicUrl = text.refine(
  (value) =>
    unixPathOf(value) !== undefined ||
    /^https?:\/\/(?:\[[0-9A-Fa-f:.]+\]|[^:/?#[\]@\s]*)(?::[0-9]{1,5})?(?:\/[^?#\s]*)?$/.test(value),
  'expected a URL such as "http://:8000", "https://127.0.0.1:443" or "http+unix://%2Frun%2Fproxy.sock"',
);

const duration = text.refine((value) => {
  try {
    parseDurationMs(value);
    return true;
  } catch {
    return false;
  }
}, 'expected a duration such as "0s" or "2s"');

const fileName = text.refine(
  (value) => /\.(?:toml|ya?ml)$/i.test(value),
  'expected a file name that ends in .toml, .yaml or .yml',
);

const logLevel = text.transform((value, context) => {
  const level = LOG_LEVELS.find((known) => known === value.toUpperCase());
  if (level !== undefined) return level;
  context.addIssue({ code: 'custom', message: `expected one of ${LOG_LEVELS.join(', ')}` });
  return z.NEVER;
});

const absolutePath = text.refine(isAbsolute, 'expected an absolute path');

const schema = z.strictObject({
  /** Where users come in; an empty host means all interfaces. `https` turns TLS on, `http+unix://%2Fpath` is a Unix socket. */
  publicUrl,
  /** PEM files of the public side; both or none. Without them an https `publicUrl` gets a self-signed certificate. */
  sslKey: text.default(''),
  sslCert: text.default(''),
  /** JupyterHub's `internal_ssl`: PEM files to know its servers by, and to be known to them; all three or none. */
  internalSslCa: absolutePath.optional(),
  internalSslCert: absolutePath.optional(),
  internalSslKey: absolutePath.optional(),
  /** True: our own engine. False: one that somebody else runs, which watches the routes file. */
  shouldStart: z.boolean().default(true),
  /** What carries the traffic with `shouldStart`: `embedded`, or a real Traefik to start: a name on the PATH, or a path. */
  engine: name.default('embedded'),
  /** The routes file; absent: `rules.toml` in `/etc/traefik`, `$HOME/.traefik` or the working directory. */
  dynamicConfigFile: fileName.optional(),
  /** The static configuration, written once at start and only with `shouldStart`; absent: `traefik.toml`, searched for likewise. */
  staticConfigFile: fileName.optional(),
  /** Entry point of user traffic; absent: `https` or `http`, as `publicUrl` is. */
  traefikEntrypoint: name.optional(),
  /** The engine's API. */
  traefikApiUrl: httpUrl.default('http://localhost:8099'),
  /** With `shouldStart`: `jupyterhub`, and a random password, when empty. */
  traefikApiUsername: text.default(''),
  traefikApiPassword: text.default(''),
  /** What the engine is told instead of a hash made from the password: bcrypt, `$apr1$` or `{SHA}`. */
  traefikApiHashedPassword: text.default(''),
  traefikApiEntrypoint: name.default('auth_api'),
  traefikApiValidateCert: z.boolean().default(true),
  /** Absent: Traefik's own default, ERROR. */
  traefikLogLevel: logLevel.optional(),
  /** `providers.providersThrottleDuration` of the static file. */
  traefikProvidersThrottleDuration: duration.default('0s'),
  /** Seconds that an engine run by somebody else gets to show a change. */
  checkRouteTimeout: z.number().positive('expected a number of seconds above 0').default(30),
  /** False: the API's router and the TLS store are not written into the routes file (with `shouldStart` they always are). */
  enableSetupDynamicConfig: z.boolean().default(true),
  /** Merged last into the static file; only with `shouldStart`. */
  extraStaticConfig: table.default({}),
  /** Merged last into the routes file. */
  extraDynamicConfig: table.default({}),
  /** Of the hub: `http://127.0.0.1:8081/hub/error`, to show its pages where a server does not answer; absent: pages of our own. */
  errorTarget: errorTarget.optional(),
  /** Processes that carry traffic; 0 = one per core. */
  workers: z.int().min(0).max(999).default(0),
  /** Token of the REST API; absent: the environment's CONFIGPROXY_AUTH_TOKEN, else a random one. */
  apiToken: name.optional(),
  /** Loopback port of the REST API; 0 = any. */
  apiPort: z.int().min(0).max(65535).default(0),
  /** Absolute; tells a restarted hub about this program. Absent: none. */
  stateFile: absolutePath.optional(),
  /** Opaque; whoever finds the same one in the state file may go on with this program. */
  digest: text.default(''),
});

/** The settings with every default filled in. */
export type HubSettings = z.infer<typeof schema>;

/** The keys, for the test that keeps the documentation in step. */
export const SETTING_NAMES: readonly string[] = Object.keys(schema.shape);

/** Checks settings from JSON or from flags; throws ProxyError JTP_ERR_SETTINGS_INVALID with everything that is wrong. */
export function parseHubSettings(value: unknown): HubSettings {
  const result = schema.safeParse(value);
  if (!result.success)
    throw new ProxyError('JTP_ERR_SETTINGS_INVALID', {
      message: result.error.issues.flatMap(describeIssue).join('\n'),
    });
  const settings = result.data;
  if ((settings.sslKey === '') !== (settings.sslCert === ''))
    throw new ProxyError('JTP_ERR_SETTINGS_INVALID', {
      message: `settings: ${settings.sslKey === '' ? 'sslKey' : 'sslCert'}: a certificate needs its key, so give both or none`,
    });
  if (settings.errorTarget !== undefined && !isEmbedded(settings))
    throw new ProxyError('JTP_ERR_SETTINGS_INVALID', {
      message:
        'settings: errorTarget: only the engine of this program shows pages of the hub; with another engine leave it out',
    });
  if (unixPathOf(settings.publicUrl) !== undefined && settings.shouldStart && !isEmbedded(settings))
    throw new ProxyError('JTP_ERR_SETTINGS_INVALID', {
      message: `settings: publicUrl: "${settings.publicUrl}": only the engine of this program listens on Unix sockets`,
    });
  const internal = [settings.internalSslCa, settings.internalSslCert, settings.internalSslKey];
  if (internal.includes(undefined) && internal.some((file) => file !== undefined))
    throw new ProxyError('JTP_ERR_SETTINGS_INVALID', {
      message: 'settings: internalSslCa, internalSslCert and internalSslKey: give all three or none',
    });
  return settings;
}

/** Checks settings as JSON text. */
export function parseHubSettingsText(json: string, source: string): HubSettings {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    // The text may hold secrets, and the parser's message quotes it.
    const place = / at position [0-9]+.*$/.exec(errorText(cause))?.[0] ?? '';
    throw new ProxyError('JTP_ERR_SETTINGS_INVALID', {
      message: `${source}: the settings are not valid JSON${place}`,
    });
  }
  return parseHubSettings(value);
}

function describeIssue(issue: z.core.$ZodIssue): readonly string[] {
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => {
      const near = nearest(key, SETTING_NAMES);
      return `settings: ${key}: unknown key${near === undefined ? '' : `, did you mean "${near}"?`}`;
    });
  const path = issue.path.map(String).join('.');
  return [
    `settings: ${path === '' ? '' : `${path}: `}${issue.message.charAt(0).toLowerCase()}${issue.message.slice(1)}`,
  ];
}

/** Whether our own engine carries the traffic. */
export function isEmbedded({ shouldStart, engine }: Pick<HubSettings, 'shouldStart' | 'engine'>): boolean {
  return shouldStart && engine === 'embedded';
}

/** Whether users come in over TLS. */
export function isHttps({ publicUrl: url }: Pick<HubSettings, 'publicUrl'>): boolean {
  return url.toLowerCase().startsWith('https:');
}

/** The entry point of user traffic. */
export function entryPointOf(settings: Pick<HubSettings, 'publicUrl' | 'traefikEntrypoint'>): string {
  return settings.traefikEntrypoint ?? (isHttps(settings) ? 'https' : 'http');
}

/** The socket of `http+unix://%2Frun%2Fproxy.sock/base/`; undefined for other URLs. Source: JupyterHub's `bind_url`. */
export function unixPathOf(url: string): string | undefined {
  const encoded = /^http\+unix:\/\/([^/?#\s]+)(?:\/[^?#\s]*)?$/i.exec(url)?.[1];
  if (encoded === undefined) return undefined;
  try {
    const path = decodeURIComponent(encoded);
    return isAbsolute(path) ? path : undefined;
  } catch {
    // An escape that is none.
    return undefined;
  }
}
