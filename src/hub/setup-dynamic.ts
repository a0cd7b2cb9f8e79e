// What stands in the routes file beside the routes: the API's router with its users, the certificate of the public side, and whatever
// the settings add. Names as the Python jupyterhub-traefik-proxy writes them.

import type { ElementOptions } from './route.ts';
import { entryPointOf } from './settings.ts';
import type { HubSettings } from './settings.ts';
import { userEntry } from './password.ts';
import { deepMerge, newTree, subtree } from './values.ts';
import type { Tree } from './values.ts';

/** Names of the API's router and of the middleware that guards it. */
export const API_ROUTER = 'route_api';
export const API_MIDDLEWARE = 'auth_api';

/** The servers transport of everything that the hub runs with `internal_ssl`. */
const INTERNAL_TRANSPORT = 'jupyterhub';

/** How routes become routers with these settings. */
export function elementOptions(settings: HubSettings, preservePath: boolean): ElementOptions {
  return {
    entryPoint: entryPointOf(settings),
    preservePath,
    ...(settings.internalSslCa === undefined ? {} : { transport: INTERNAL_TRANSPORT }),
  };
}

/** Builds the settings' part of the routes file; `present` is the file as it is, whose hash is kept when it is still right. */
export async function setupDynamic(settings: HubSettings, present: Tree): Promise<Tree> {
  const isWanted = settings.shouldStart || settings.enableSetupDynamicConfig;
  const setup = isWanted ? deepMerge(await apiSetup(settings, present), tlsSetup(settings)) : newTree();
  return deepMerge(deepMerge(setup, internalSetup(settings)), settings.extraDynamicConfig);
}

/** Routes name it, so it is written in any case. */
function internalSetup({ internalSslCa, internalSslCert, internalSslKey }: HubSettings): Tree {
  if (internalSslCa === undefined) return newTree();
  return {
    http: {
      serversTransports: {
        [INTERNAL_TRANSPORT]: {
          rootCAs: [internalSslCa],
          certificates: [{ certFile: internalSslCert, keyFile: internalSslKey }],
        },
      },
    },
  };
}

async function apiSetup(settings: HubSettings, present: Tree): Promise<Tree> {
  const {
    traefikApiUsername: username,
    traefikApiPassword: password,
    traefikApiHashedPassword: hashed,
  } = settings;
  // An engine run by somebody else without credentials: its API is not ours to open.
  if (!settings.shouldStart && (username === '' || (password === '' && hashed === ''))) return newTree();
  const user = await userEntry({ username, password, hashed, before: presentUser(present) });
  return {
    http: {
      routers: {
        [API_ROUTER]: {
          rule: apiRule(settings),
          entryPoints: [settings.traefikApiEntrypoint],
          service: 'api@internal',
          middlewares: [API_MIDDLEWARE],
        },
      },
      middlewares: { [API_MIDDLEWARE]: { basicAuth: { users: [user] } } },
    },
  };
}

function presentUser(present: Tree): string | undefined {
  const middleware = subtree(subtree(subtree(present, 'http'), 'middlewares'), API_MIDDLEWARE);
  const { users } = subtree(middleware, 'basicAuth');
  const first: unknown = Array.isArray(users) && users.length === 1 ? users[0] : undefined;
  return typeof first === 'string' ? first : undefined;
}

/** On an entry point of its own any name of the machine will do; on somebody else's only the one that is asked for. */
function apiRule(settings: HubSettings): string {
  const { pathname, hostname } = new URL(settings.traefikApiUrl);
  const path = apiBasePath(pathname);
  const prefix = `( PathPrefix(\`${path}/api\`) || PathPrefix(\`${path}/dashboard\`) )`;
  if (settings.shouldStart) return prefix;
  // Rules name an IPv6 address without its brackets.
  const host = hostname.replace(/^\[|\]$/g, '');
  const local = ['localhost', '127.0.0.1', '::1'];
  const hosts = local.includes(host) ? local : [host];
  const anyHost = hosts.map((name) => `Host(\`${name}\`)`).join(' || ');
  return `${hosts.length === 1 ? anyHost : `( ${anyHost} )`} && ${prefix}`;
}

/** The path of the API's URL without the `/api` that every request adds. */
export function apiBasePath(pathname: string): string {
  return pathname
    .replace(/\/+$/, '')
    .replace(/\/api$/, '')
    .replace(/[`"\\]/g, (character) => encodeURIComponent(character));
}

function tlsSetup({ sslCert, sslKey }: HubSettings): Tree {
  if (sslCert === '' || sslKey === '') return newTree();
  return { tls: { stores: { default: { defaultCertificate: { certFile: sslCert, keyFile: sslKey } } } } };
}
