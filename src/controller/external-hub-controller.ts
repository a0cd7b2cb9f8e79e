// The controller of the `hub` command where somebody else's engine carries the traffic: REST API → route store → routes file, and the engine's
// API is asked until it shows what the file says.

import { EngineApi } from '../hub/engine-api.ts';
import { ExternalEngine, takesPreservePath } from '../hub/external-engine.ts';
import { findRoutesFile } from '../hub/find-files.ts';
import { RouteStore } from '../hub/route-store.ts';
import { entryPointOf } from '../hub/settings.ts';
import type { HubSettings } from '../hub/settings.ts';
import { elementOptions } from '../hub/setup-dynamic.ts';
import { traefikVersion } from '../hub/traefik-process.ts';
import type { Logger } from '../log.ts';
import { openRestApi } from './hub-rest-api.ts';
import { openRoutes } from './hub-routes.ts';
import type { ServerStart } from './held-servers.ts';
import type { RunningController } from './main.ts';

/** Starts it; rejects with a ProxyError whose message says what to do. */
export async function startExternalHubController(
  start: ServerStart,
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
  const server = await openRestApi({ start, settings, table: store, log });
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
