// The controller of the `hub` command: REST API → route store → routes file → engine. With our own engine the workers are told; with
// somebody else's its API is asked until it shows what the file says.

import type { FastifyInstance } from 'fastify';
import { createRoutesApi } from '../api/routes-api.ts';
import type { RouteTable } from '../api/requests.ts';
import { parseDynamicConfiguration } from '../config/load-dynamic.ts';
import { errnoOf, errorText, ProxyError } from '../errors.ts';
import { ActivityClock } from '../hub/activity.ts';
import { StoppedRoutes } from '../hub/stopped-routes.ts';
import { EmbeddedEngine } from '../hub/engine.ts';
import { EngineApi } from '../hub/engine-api.ts';
import { ExternalEngine, takesPreservePath } from '../hub/external-engine.ts';
import { NODE_FILE_SYSTEM } from '../hub/file-system.ts';
import { findRoutesFile } from '../hub/find-files.ts';
import { RouteStore } from '../hub/route-store.ts';
import { RoutesFile } from '../hub/routes-file.ts';
import { RoutesOnDisk } from '../hub/routes-on-disk.ts';
import { entryPointOf, isEmbedded, parseHubSettings } from '../hub/settings.ts';
import type { HubSettings } from '../hub/settings.ts';
import { elementOptions, setupDynamic } from '../hub/setup-dynamic.ts';
import { traefikVersion } from '../hub/traefik-process.ts';
import type { Logger } from '../log.ts';
import { tell } from '../supervisor/child.ts';
import type { ControllerStart, FromController } from '../supervisor/messages.ts';
import { VERSION } from '../version.ts';
import { EngineController } from './engine-controller.ts';
import { createGatedTable } from './gated-table.ts';
import type { RunningController } from './main.ts';

const LOOPBACK = '127.0.0.1';

/** Starts the controller and tells the supervisor when it is ready; rejects with a ProxyError whose message says what to do. */
export async function startHubController(
  start: ControllerStart,
  given: unknown,
  log: Logger,
): Promise<RunningController> {
  const settings = parseHubSettings(given);
  return isEmbedded(settings) ? startEmbedded(start, settings, log) : startExternal(start, settings, log);
}

async function startEmbedded(
  start: ControllerStart,
  settings: HubSettings,
  log: Logger,
): Promise<RunningController> {
  const engine = await EngineController.create({
    static: start.static,
    runtimeFolder: start.runtimeFolder,
    log,
    onSilentWorker: (workerId) => {
      tell({ type: 'silent', workerId } satisfies FromController);
    },
    onActivity: (routes) => {
      activity.note(routes);
    },
  });
  const persistence = openRoutes(settings, log, {
    preservePath: true,
    usesJournal: true,
    pid: start.supervisorPid,
    readForeign: parseDynamicConfiguration,
  });
  const store = new RouteStore({ persistence, engine: new EmbeddedEngine(engine), log });
  await store.start();
  const routesFile = findRoutesFile(settings.dynamicConfigFile);
  const activity = new ActivityClock({
    routes: store.routes,
    file: `${routesFile}.activity`,
    log,
  });
  const stopped = new StoppedRoutes({
    engine,
    routes: store.routes,
    entryPoint: entryPointOf(settings),
    file: `${routesFile}.stopped`,
    log,
  });
  await stopped.start();
  await engine.start();
  const table = createGatedTable(store, stopped);
  const api = await listen({ start, settings, table, activity, log });
  return {
    setAccepting: (workerIds) => {
      engine.setAccepting(workerIds);
      table.open();
    },
    reload: () => store.reload(),
    onServing: () => Promise.resolve(),
    terminate: () => {
      engine.terminate();
    },
    stop: async () => {
      await api.close();
      // Before the store: a successor reads them as soon as that has given up its lock.
      activity.close();
      stopped.close();
      await store.stop();
      await engine.stop();
    },
  };
}

async function startExternal(
  start: ControllerStart,
  settings: HubSettings,
  log: Logger,
): Promise<RunningController> {
  const api = new EngineApi({
    url: settings.traefikApiUrl,
    username: settings.traefikApiUsername,
    password: settings.traefikApiPassword,
    validateCertificate: settings.traefikApiValidateCert,
  });
  const engine = new ExternalEngine({
    api,
    checkRouteTimeoutMs: settings.checkRouteTimeout * 1000,
    routesFile: findRoutesFile(settings.dynamicConfigFile),
    entryPoint: entryPointOf(settings),
    log,
  });
  const seen = settings.shouldStart
    ? { preservePath: takesPreservePath({ Version: traefikVersion(settings.engine) }) }
    : await engine.examine(0);
  const persistence = openRoutes(settings, log, {
    preservePath: seen?.preservePath ?? true,
    // The engine reads the file.
    usesJournal: false,
    pid: start.supervisorPid,
  });
  const store = new RouteStore({ persistence, engine, log });
  await store.start();
  if (seen === undefined)
    void engine.examine(Infinity).then((later) => {
      if (later?.preservePath === false) store.reconfigure(elementOptions(settings, false));
    });
  const server = await listen({ start, settings, table: store, log });
  return {
    setAccepting: () => undefined,
    reload: () => store.reload(),
    onServing: () => Promise.resolve(),
    terminate: () => undefined,
    stop: async () => {
      await server.close();
      await store.stop();
    },
  };
}

function openRoutes(
  settings: HubSettings,
  log: Logger,
  options: {
    readonly preservePath: boolean;
    readonly usesJournal: boolean;
    readonly pid: number;
    readonly readForeign?: typeof parseDynamicConfiguration;
  },
): RoutesOnDisk {
  const { preservePath, usesJournal, pid, readForeign } = options;
  const file = new RoutesFile({
    path: findRoutesFile(settings.dynamicConfigFile),
    elements: elementOptions(settings, preservePath),
    setup: (present) => setupDynamic(settings, present),
    ...(readForeign === undefined ? {} : { readForeign }),
    fs: NODE_FILE_SYSTEM,
    log,
  });
  return new RoutesOnDisk({ file, fs: NODE_FILE_SYSTEM, log, usesJournal, pid });
}

/** Opens the REST API, on the port that this controller's predecessor had, and says that the controller is ready. */
async function listen(options: {
  readonly start: ControllerStart;
  readonly settings: HubSettings;
  readonly table: RouteTable;
  readonly activity?: ActivityClock;
  readonly log: Logger;
}): Promise<FastifyInstance> {
  const { start, settings, table, activity, log } = options;
  const token = settings.apiToken;
  if (token === undefined)
    throw new ProxyError('JTP_ERR_SETTINGS_INVALID', { message: 'settings: apiToken: missing' });
  const api = createRoutesApi({
    table,
    ...(activity === undefined ? {} : { activity }),
    token,
    health: { pid: start.supervisorPid, digest: settings.digest, version: VERSION },
    log,
  });
  const port = start.apiPort > 0 ? start.apiPort : settings.apiPort;
  try {
    await api.listen({ host: LOOPBACK, port });
  } catch (cause) {
    const isTaken = errnoOf(cause) === 'EADDRINUSE';
    throw new ProxyError('JTP_ERR_ENTRYPOINT_LISTEN', {
      message: `the REST API cannot listen on ${LOOPBACK}:${String(port)}: ${isTaken ? 'another program uses the port (EADDRINUSE); stop it, or choose another apiPort' : errorText(cause)}`,
      cause,
    });
  }
  const address = api.server.address();
  const apiPort = address !== null && typeof address === 'object' ? address.port : port;
  tell({ type: 'ready', apiUrl: `http://${LOOPBACK}:${String(apiPort)}`, apiPort } satisfies FromController);
  return api;
}
