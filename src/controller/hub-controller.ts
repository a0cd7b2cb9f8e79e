// The controller of the `hub` command: the route store with its REST API, and either the embedded engine or one that is run by others.

import { rm } from 'node:fs/promises';
import { extname } from 'node:path';
import { createRoutesApi } from '../api/routes-api.ts';
import { errnoOf, errorText } from '../errors.ts';
import { completeForeign } from '../hub/api-route.ts';
import { DurableFile } from '../hub/durable-file.ts';
import { EmbeddedEngine } from '../hub/embedded-engine.ts';
import { ExternalEngine } from '../hub/external-engine.ts';
import { RouteStore } from '../hub/route-store.ts';
import type { RouteEngine } from '../hub/route-store.ts';
import { parseHubSettings, publicEntryPoint } from '../hub/settings.ts';
import type { HubSettings } from '../hub/settings.ts';
import type { Logger } from '../log.ts';
import { tell } from '../supervisor/child.ts';
import type { ControllerStart, FromController } from '../supervisor/messages.ts';
import { VERSION } from '../version.ts';
import { EngineController } from './engine-controller.ts';
import type { RunningController } from './main.ts';

/** Settings as the supervisor hands them on: the routes file has been found by then. */
export interface ResolvedHubSettings {
  readonly settings: HubSettings;
  /** Absolute. */
  readonly routesFile: string;
}

export async function startHubController(
  start: ControllerStart,
  resolved: unknown,
  log: Logger,
): Promise<RunningController> {
  const { settings: raw, routesFile } = resolved as ResolvedHubSettings;
  const settings = parseHubSettings(raw, 'settings');
  const entryPoint = publicEntryPoint(settings);
  const store = new RouteStore({
    file: routesFile,
    format: /^\.ya?ml$/i.test(extname(routesFile)) ? 'yaml' : 'toml',
    entryPoint,
    log,
    completeForeign: (foreign) => completeForeign(foreign, settings),
  });
  await store.load();
  const engine = settings.shouldStart
    ? await startEmbedded(start, store, { routesFile, entryPoint, log })
    : undefined;
  const routeEngine: RouteEngine = engine?.routes ?? externalEngine(settings, routesFile, log);
  store.start(routeEngine);
  const api = createRoutesApi({
    token: settings.apiToken,
    routes: () => store.routes.values(),
    route: (routespec) => store.routes.get(routespec),
    change: (changes) => store.change(changes),
    health: () => ({ pid: start.supervisorPid, digest: settings.digest, version: VERSION }),
  });
  const apiPort = await listen(api, settings, start.apiPort);
  const host = settings.apiHost.includes(':') ? `[${settings.apiHost}]` : settings.apiHost;
  const apiUrl = `http://${host}:${String(apiPort)}`;
  tell({ type: 'ready', apiUrl, apiPort } satisfies FromController);
  return {
    setAccepting: (workerIds) => {
      engine?.controller.setAccepting(workerIds);
    },
    reload: () => Promise.resolve(),
    onServing: () => writeState({ settings, pid: start.supervisorPid, apiUrl, log }),
    terminate: () => {
      engine?.controller.terminate();
      if (settings.stateFile !== undefined) void rm(settings.stateFile, { force: true });
    },
  };
}

async function startEmbedded(
  start: ControllerStart,
  store: RouteStore,
  { routesFile, entryPoint, log }: { routesFile: string; entryPoint: string; log: Logger },
): Promise<{ readonly controller: EngineController; readonly routes: EmbeddedEngine }> {
  const controller = await EngineController.create({
    static: start.static,
    runtimeFolder: start.runtimeFolder,
    log,
    onSilentWorker: (workerId) => {
      tell({ type: 'silent', workerId } satisfies FromController);
    },
  });
  const routes = new EmbeddedEngine(controller, store, { file: routesFile, entryPoint, log });
  await routes.start();
  await controller.start();
  return { controller, routes };
}

function externalEngine(settings: HubSettings, file: string, log: Logger): ExternalEngine {
  return new ExternalEngine({
    apiUrl: settings.traefikApiUrl,
    username: settings.traefikApiUsername,
    password: settings.traefikApiPassword,
    validatesCertificate: settings.traefikApiValidateCert,
    timeoutMs: settings.checkRouteTimeout * 1000,
    file,
    log,
  });
}

/** On the port it had before a restart, if any, so that its URL never changes. */
async function listen(
  api: ReturnType<typeof createRoutesApi>,
  settings: HubSettings,
  formerPort: number,
): Promise<number> {
  const port = formerPort > 0 ? formerPort : settings.apiPort;
  try {
    await api.listen({ host: settings.apiHost, port });
  } catch (error) {
    const reason =
      errnoOf(error) === 'EADDRINUSE' ? 'the port is in use by another program' : errorText(error);
    throw new Error(`the REST API cannot listen on ${settings.apiHost}:${String(port)}: ${reason}`, {
      cause: error,
    });
  }
  const address = api.server.address();
  return address !== null && typeof address === 'object' ? address.port : port;
}

/** Where a hub that is restarted finds this program. */
async function writeState(state: {
  readonly settings: HubSettings;
  readonly pid: number;
  readonly apiUrl: string;
  readonly log: Logger;
}): Promise<void> {
  const { stateFile, apiToken: token, digest } = state.settings;
  if (stateFile === undefined) return;
  const document = { pid: state.pid, apiUrl: state.apiUrl, token, digest, version: VERSION };
  try {
    // A file that is there already may be readable by others.
    await rm(stateFile, { force: true });
    await new DurableFile(stateFile, state.log).write(`${JSON.stringify(document)}\n`);
  } catch (error) {
    state.log.warn({ reason: errorText(error) }, 'a restarted hub will not find this program');
  }
}
