// The route to the engine's own API, and the certificate, as they stand in the routes file beside JupyterHub's routes.

import { compareSync, hashSync } from 'bcryptjs';
import { isTable } from '../config/schema.ts';
import type { ForeignContent } from './routes-file.ts';
import type { HubSettings } from './settings.ts';
import { deepMerge } from './static-file.ts';

/** Name of the router and of its middleware, as the Python jupyterhub-traefik-proxy calls them. */
const API_ROUTER = 'route_api';
const API_MIDDLEWARE = 'auth_api';

/** A password that was made by a machine needs no slow hash; one that a person chose does. */
const MACHINE_MADE_LENGTH = 32;
const COST = { machine: 4, person: 10 };
/** bcrypt reads no more bytes of a password. */
const BCRYPT_BYTES = 72;

/** Puts the route to the API, the certificate and `extraDynamicConfig` into what a routes file holds beside the routes. */
export function completeForeign(foreign: ForeignContent, settings: HubSettings): ForeignContent {
  const sets = settings.shouldStart || settings.enableSetupDynamicConfig;
  const own = sets ? apiTree(foreign, settings) : {};
  return deepMerge(deepMerge(foreign, own), settings.extraDynamicConfig);
}

function apiTree(foreign: ForeignContent, settings: HubSettings): ForeignContent {
  const { traefikApiUsername: user, traefikApiPassword: password, sslCert, sslKey } = settings;
  const hash = settings.traefikApiHashedPassword ?? hashFor(foreign, user, password);
  const tls =
    settings.shouldStart && sslCert !== undefined && sslKey !== undefined
      ? { tls: { stores: { default: { defaultCertificate: { certFile: sslCert, keyFile: sslKey } } } } }
      : {};
  // Without credentials nobody can be let in; an engine that is managed elsewhere may have its own.
  if (user === '' || hash === undefined) return tls;
  return {
    ...tls,
    http: {
      routers: {
        [API_ROUTER]: {
          rule: `${hostRule(settings.traefikApiUrl)} && (PathPrefix(\`/api\`) || PathPrefix(\`/dashboard\`))`,
          entryPoints: [settings.traefikApiEntrypoint],
          service: 'api@internal',
          middlewares: [API_MIDDLEWARE],
        },
      },
      middlewares: { [API_MIDDLEWARE]: { basicAuth: { users: [`${user}:${hash}`] } } },
    },
  };
}

/** All names of this machine count as one. */
function hostRule(apiUrl: string): string {
  const { hostname } = new URL(apiUrl);
  // Rules name an IPv6 address without its brackets.
  const host = hostname.replace(/^\[|\]$/g, '');
  const local = ['localhost', '127.0.0.1', '::1'];
  const hosts = local.includes(host) ? local : [host];
  const terms = hosts.map((name) => `Host(\`${name}\`)`);
  return terms.length === 1 ? (terms[0] ?? '') : `(${terms.join(' || ')})`;
}

/** The hash that is in the file already, if it still fits: a new one at each start would be a change each time. */
function hashFor(foreign: ForeignContent, user: string, password: string): string | undefined {
  if (password === '') return undefined;
  const known = usersIn(foreign)
    .map((entry) => /^([^:]*):(\$2[aby]\$.*)$/.exec(entry))
    .find((match) => match?.[1] === user)?.[2];
  const text = Buffer.from(password, 'utf8').subarray(0, BCRYPT_BYTES).toString('utf8');
  if (known !== undefined && compareSync(text, known)) return known;
  return hashSync(text, password.length >= MACHINE_MADE_LENGTH ? COST.machine : COST.person);
}

function usersIn(foreign: ForeignContent): readonly string[] {
  let value: unknown = foreign;
  for (const key of ['http', 'middlewares', API_MIDDLEWARE, 'basicAuth', 'users'])
    value = isTable(value) ? value[key] : undefined;
  return Array.isArray(value) ? value.map(String) : [];
}
