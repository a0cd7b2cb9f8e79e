// Where the metrics are read: `/metrics`, and nothing else, without authentication. Source: documentation of configurable-http-proxy.

import fastify from 'fastify';
import type { FastifyInstance } from 'fastify';
import { boundConnections } from '../api/bounded-connections.ts';
import { NO_SCHEMAS } from '../api/no-schemas.ts';
import type { ChpMetrics } from '../observe/chp-metrics.ts';
import type { ProcessMetrics } from '../observe/reports.ts';

/** Builds the server; the caller lets it listen. `readWorkers`: what the workers have to tell at the moment. */
export function createMetricsServer(
  metrics: ChpMetrics,
  readWorkers: () => Promise<readonly ProcessMetrics[]>,
): FastifyInstance {
  const app = fastify({ logger: false, schemaController: NO_SCHEMAS, forceCloseConnections: true });
  boundConnections(app.server);
  app.setNotFoundHandler((_request, reply) => reply.code(404).send('Not Found'));
  app.get('/metrics', async (request, reply) => {
    if (request.url !== '/metrics') return reply.code(404).send('Not Found');
    const text = await metrics.render(await readWorkers());
    return reply.header('content-type', metrics.contentType).send(text);
  });
  return app;
}
