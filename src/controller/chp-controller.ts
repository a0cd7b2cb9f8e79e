// The controller of the configurable-http-proxy command: its REST API → routes in memory or in a routes file → our engine.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FastifyInstance, FastifyServerOptions } from 'fastify';
import { createChpApi } from '../api/chp-api.ts';
import type { RouteActivity, RouteTable } from '../api/requests.ts';
import { chpUrl, tlsServerOptions } from '../config/chp.ts';
import type { ChpControllerSettings, ChpTls } from '../config/chp.ts';
import { parseDynamicConfiguration } from '../config/load-dynamic.ts';
import { errorText, ProxyError } from '../errors.ts';
import { ActivityClock } from '../hub/activity.ts';
import { StoppedRoutes } from '../hub/stopped-routes.ts';
import type { StoppedRoutesOptions } from '../hub/stopped-routes.ts';
import { EmbeddedEngine } from '../hub/engine.ts';
import { NODE_FILE_SYSTEM } from '../hub/file-system.ts';
import { RouteStore } from '../hub/route-store.ts';
import { RoutesFile } from '../hub/routes-file.ts';
import { RoutesOnDisk } from '../hub/routes-on-disk.ts';
import type { Logger } from '../log.ts';
import { ChpMetrics } from '../observe/chp-metrics.ts';
import { tell } from '../supervisor/child.ts';
import type { ControllerStart, FromController } from '../supervisor/messages.ts';
import { EngineController } from './engine-controller.ts';
import type { EngineControllerOptions } from './engine-controller.ts';
import { createGatedTable } from './gated-table.ts';
import type { ServerStart } from './held-servers.ts';
import type { RunningController } from './main.ts';
import { MemoryTable } from './memory-table.ts';
import { createMetricsServer } from './metrics-server.ts';
import { ModuleTable } from './module-table.ts';
import type { StoredActivity } from './module-table.ts';
import { loadStorage } from './storage-module.ts';

/** Where routes are kept, with its life cycle. */
interface Storage {
  readonly table: RouteTable;
  readonly reload: () => Promise<void>;
  readonly stop: () => Promise<void>;
  /** Where the clocks of routes are kept, too. */
  readonly keep?: (activity: StoredActivity) => void;
}

/** Starts the controller and tells the supervisor when it is ready; rejects with a ProxyError whose message says what to do. */
export async function startChpController(
  start: ServerStart,
  settings: ChpControllerSettings,
  log: Logger,
): Promise<RunningController> {
  const metrics = settings.metrics === undefined ? undefined : await ChpMetrics.create();
  const engine = new EngineController({
    static: start.static,
    runtimeFolder: start.runtimeFolder,
    log,
    onSilentWorker: (workerId) => {
      tell({ type: 'silent', workerId } satisfies FromController);
    },
    onActivity: (routes) => {
      activity.note(routes);
    },
    ...countsFor(metrics),
  });
  await engine.listen();
  const storage = await openStorage(start, settings, { engine, log });
  const stopped = await rememberStopped(start, settings, { engine, routes: storage.table.routes, log });
  await engine.start();
  const table = createGatedTable(storage.table, stopped);
  const activity = new ActivityClock({
    routes: storage.table.routes,
    file: stateFile(start, settings, 'activity'),
    log,
  });
  storage.keep?.(activity);
  const timedActivity = metrics === undefined ? activity : timed(activity, metrics);
  const { defaultTarget: target } = settings;
  // A controller that takes another's place has the routes of that one, whatever became of the default route.
  const addsDefault = target !== undefined && isFirst(start.runtimeFolder);
  if (addsDefault) {
    await storage.table.change({ add: [{ routespec: '/', target, data: {} }], remove: [] });
    timedActivity.begin('/');
  }
  const api = createChpApi({
    table,
    activity: timedActivity,
    token: settings.token,
    address: settings.api.address,
    hostRouting: settings.hostRouting,
    counters: metrics ?? NO_COUNTERS,
    log,
    server: tlsServer(settings.api.tls),
  });
  await start.servers.listen('api', api);
  const metricsServer = await serveMetrics(start, settings, { metrics, engine, log });
  const apiUrl = chpUrl(settings.api.address, settings.api.tls !== undefined);
  log.info(`Proxy API at ${apiUrl}/api/routes`);
  tell({ type: 'ready', apiUrl } satisfies FromController);
  return {
    setAccepting: (workerIds) => {
      engine.setAccepting(workerIds);
      table.open();
    },
    reload: storage.reload,
    onServing: () => {
      // Scripts wait for these words, and ask at once.
      if (addsDefault) log.info(`Route added / -> ${target}`);
      return Promise.resolve();
    },
    terminate: () => {
      engine.terminate();
    },
    stop: async () => {
      await Promise.all([api.close(), metricsServer?.close()]);
      // Before the storage: a successor reads them as soon as that has given up its lock.
      activity.close();
      stopped.close();
      await storage.stop();
      await engine.stop();
    },
  };
}

function countsFor(metrics: ChpMetrics | undefined): Pick<EngineControllerOptions, 'onCounts'> {
  if (metrics === undefined) return {};
  return {
    onCounts: ({ counts, refused }) => {
      if (counts !== undefined) metrics.note(counts);
      if (refused !== undefined) metrics.noteRefused(refused);
    },
  };
}

/** Beside the routes file when there is one, else for as long as the program lives. */
function stateFile(
  { sharedFolder }: ControllerStart,
  { routesFile }: ChpControllerSettings,
  name: string,
): string {
  return routesFile === undefined ? join(sharedFolder, `${name}.json`) : `${routesFile}.${name}`;
}

async function rememberStopped(
  start: ControllerStart,
  settings: ChpControllerSettings,
  parts: Pick<StoppedRoutesOptions, 'engine' | 'routes' | 'log'>,
): Promise<StoppedRoutes> {
  const stopped = new StoppedRoutes({
    ...parts,
    entryPoint: settings.entryPoint,
    file: stateFile(start, settings, 'stopped'),
  });
  await stopped.start();
  return stopped;
}

async function serveMetrics(
  { servers }: ServerStart,
  settings: ChpControllerSettings,
  parts: {
    readonly metrics: ChpMetrics | undefined;
    readonly engine: EngineController;
    readonly log: Logger;
  },
): Promise<FastifyInstance | undefined> {
  const { metrics, engine, log } = parts;
  if (settings.metrics === undefined || metrics === undefined) return undefined;
  const server = createMetricsServer(metrics, () => engine.count());
  await servers.listen('metrics', server);
  log.info(`Serve metrics at ${chpUrl(settings.metrics, false)}/metrics`);
  return server;
}

/** The same clocks, whose setting is measured. */
function timed(activity: RouteActivity, metrics: ChpMetrics): RouteActivity {
  return {
    clocks: (routespec) => activity.clocks(routespec),
    isUsed: (routespec) => activity.isUsed(routespec),
    begin: (routespec) => {
      const begun = performance.now();
      activity.begin(routespec);
      metrics.updated(performance.now() - begun);
    },
  };
}

const NO_COUNTERS = {
  routesRead: () => undefined,
  routeAdded: () => undefined,
  routeDeleted: () => undefined,
  answered: () => undefined,
};

async function openStorage(
  start: ControllerStart,
  settings: ChpControllerSettings,
  { engine, log }: { readonly engine: EngineController; readonly log: Logger },
): Promise<Storage> {
  const elements = {
    entryPoint: settings.entryPoint,
    preservePath: true,
    passHostHeader: !settings.changeOrigin,
  };
  const embedded = new EmbeddedEngine(engine);
  if (settings.routesFile === undefined) {
    const table = new MemoryTable({
      file: join(start.runtimeFolder, 'routes.jsonl'),
      engine: embedded,
      elements,
    });
    if (settings.storageModule !== undefined)
      return openModule(settings.storageModule, settings, { table, log });
    await table.start();
    return { table, reload: () => Promise.resolve(), stop: () => Promise.resolve() };
  }
  const file = new RoutesFile({
    path: settings.routesFile,
    elements,
    setup: () => Promise.resolve({}),
    readForeign: parseDynamicConfiguration,
    fs: NODE_FILE_SYSTEM,
    log,
  });
  const persistence = new RoutesOnDisk({
    file,
    fs: NODE_FILE_SYSTEM,
    log,
    usesJournal: true,
    pid: start.supervisorPid,
  });
  const store = new RouteStore({ persistence, engine: embedded, log });
  await store.start();
  return { table: store, reload: () => store.reload(), stop: () => store.stop() };
}

/** Rejects with JTP_ERR_SETTINGS_INVALID. */
async function openModule(
  path: string,
  { hostRouting, defaultTarget }: ChpControllerSettings,
  { table, log }: { readonly table: MemoryTable; readonly log: Logger },
): Promise<Storage> {
  const backend = await loadStorage(path, { storageBackend: path, hostRouting, defaultTarget }, log);
  const stored = new ModuleTable({ backend, table, hostRouting, log });
  await stored.start().catch((cause: unknown) => {
    throw new ProxyError('JTP_ERR_SETTINGS_INVALID', {
      message: `--storage-backend "${path}" cannot be read: ${errorText(cause)}`,
      cause,
    });
  });
  return {
    table: stored,
    reload: () => stored.reload(),
    stop: () => {
      stored.stop();
      return Promise.resolve();
    },
    keep: (activity) => {
      stored.keep(activity);
    },
  };
}

function tlsServer(tls: ChpTls | undefined): FastifyServerOptions {
  return tls === undefined ? {} : ({ https: tlsServerOptions(tls) } as FastifyServerOptions);
}

/** Whether this is the first controller of its supervisor. */
function isFirst(runtimeFolder: string): boolean {
  try {
    writeFileSync(join(runtimeFolder, 'started'), '', { flag: 'wx' });
    return true;
  } catch {
    // The first one has made the file.
    return false;
  }
}
