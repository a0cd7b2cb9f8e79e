// The door through which a hub changes its routes, on a loopback address.

import type { FastifyInstance } from 'fastify';
import type { RouteTable } from '../api/requests.ts';
import { createRoutesApi } from '../api/routes-api.ts';
import { LOOPBACK } from '../hub/settings.ts';
import { ProxyError } from '../errors.ts';
import type { ActivityClock } from '../hub/activity.ts';
import type { HubSettings } from '../hub/settings.ts';
import type { Logger } from '../log.ts';
import { tell } from '../supervisor/child.ts';
import type { FromController } from '../supervisor/messages.ts';
import { VERSION } from '../config/version.ts';
import type { ServerStart } from './held-servers.ts';

/** Opens the REST API and says that the controller is ready. */
export async function openRestApi(options: {
  readonly start: ServerStart;
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
  await start.servers.listen('api', api);
  const address = api.server.address();
  const port = address !== null && typeof address === 'object' ? address.port : settings.apiPort;
  tell({ type: 'ready', apiUrl: `http://${LOOPBACK}:${String(port)}` } satisfies FromController);
  return api;
}
