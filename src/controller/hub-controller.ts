// The controller of the `hub` command: REST API → route store → routes file → engine. With our own engine the workers are told; with
// somebody else's (external-hub-controller.ts) its API is asked until it shows what the file says.

import { parseDynamicConfiguration } from '../config/load-dynamic.ts';
import { ActivityClock } from '../hub/activity.ts';
import { EmbeddedEngine } from '../hub/engine.ts';
import { findRoutesFile } from '../hub/find-files.ts';
import { RouteStore } from '../hub/route-store.ts';
import { entryPointOf, isEmbedded, parseHubSettings } from '../hub/settings.ts';
import type { HubSettings } from '../hub/settings.ts';
import { StoppedRoutes } from '../hub/stopped-routes.ts';
import type { Logger } from '../log.ts';
import { tell } from '../supervisor/child.ts';
import type { FromController } from '../supervisor/messages.ts';
import { EngineController } from './engine-controller.ts';
import { createGatedTable } from './gated-table.ts';
import { openRoutes } from './hub-routes.ts';
import { leaveServer } from './held-servers.ts';
import type { ServerStart } from './held-servers.ts';
import type { RunningController } from './main.ts';

/** Starts the controller and tells the supervisor when it is ready; rejects with a ProxyError whose message says what to do. */
export async function startHubController(
  start: ServerStart,
  given: unknown,
  log: Logger,
): Promise<RunningController> {
  const settings = parseHubSettings(given);
  if (isEmbedded(settings)) return startEmbedded(start, settings, log);
  // It is loaded only where it is needed.
  const { startExternalHubController } = await import('./external-hub-controller.ts');
  return startExternalHubController(start, settings, log);
}

async function startEmbedded(
  start: ServerStart,
  settings: HubSettings,
  log: Logger,
): Promise<RunningController> {
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
  });
  await engine.listen();
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
  // What it is made of is loaded while the workers build their tables.
  const { openRestApi } = await import('./hub-rest-api.ts');
  const api = await openRestApi({ start, settings, table, activity, log });
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
    stop: async (isReplaced) => {
      if (isReplaced) await leaveServer(api);
      await api.close();
      // Before the store: a successor reads them as soon as that has given up its lock.
      activity.close();
      stopped.close();
      await store.stop();
      await engine.stop();
    },
  };
}
