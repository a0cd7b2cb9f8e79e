// The engine's own API, on a socket that only workers reach. It is loaded when the routes are on their way to them: what it is made of takes
// longer to load than everything else of a controller, and nobody asks it for anything before.

import fastify from 'fastify';
import type { FastifyInstance } from 'fastify';
import { NO_SCHEMAS } from '../api/no-schemas.ts';
import { registerReadApi } from '../api/read-api.ts';
import type { ReadApiOptions } from '../api/read-api.ts';

/** Makes it; whoever calls opens it. */
export function createReadApi(options: ReadApiOptions): FastifyInstance {
  const api = fastify({
    logger: false,
    schemaController: NO_SCHEMAS,
    forceCloseConnections: true,
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: 8192 },
  });
  registerReadApi(api, options);
  return api;
}
