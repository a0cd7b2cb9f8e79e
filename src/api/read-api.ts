// The read API: what the engine runs with, in the documents of Traefik's API, so that whatever polls a Traefik can poll this. Source:
// Traefik documentation, API; for version 1, its API documentation. Authentication is a middleware in the workers and not here.

import { STATUS_CODES } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { StaticConfiguration } from '../config/static.ts';
import type { Runtime } from '../runtime/runtime.ts';
import { DASHBOARD_PAGE } from './dashboard.ts';
import {
  entryPointDocument,
  middlewareDocument,
  overviewDocument,
  rawDataDocument,
  routerDocument,
  serviceDocument,
} from './documents.ts';
import type { Document } from './documents.ts';
import { selectPage } from './paging.ts';
import { registerV1Api } from './v1-api.ts';

/** What the API shows. */
export interface ReadApiOptions {
  readonly static: StaticConfiguration;
  readonly runtime: Runtime;
  readonly startedAt: Date;
  readonly version: string;
  readonly isTerminating: () => boolean;
  /** The text of `prometheus@internal`; absent: there are no metrics. */
  readonly readMetrics?: () => Promise<string>;
}

/** Set by the workers: which of the built-in services is meant. */
const SERVICE_HEADER = 'x-jtp-service';

/** As Traefik says it. */
const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8; escaping=underscores';

/** Traefik's own types say text/plain for errors although they are JSON. */
const ERROR_TYPE = 'text/plain; charset=utf-8';

function sendJson(reply: FastifyReply, document: unknown, type = 'application/json'): FastifyReply {
  const text = JSON.stringify(document).replace(
    /[<>&]/g,
    (character) => `\\u00${character.charCodeAt(0).toString(16)}`,
  );
  // As bytes, or the framework would add a charset that Traefik does not send.
  return reply.header('content-type', type).send(Buffer.from(`${text}\n`));
}

function sendError(reply: FastifyReply, status: number, message: string): FastifyReply {
  return reply
    .code(status)
    .header('x-content-type-options', 'nosniff')
    .type(ERROR_TYPE)
    .send(`${JSON.stringify({ message })}\n`);
}

function sendNotFound(reply: FastifyReply): FastifyReply {
  return reply
    .code(404)
    .header('x-content-type-options', 'nosniff')
    .type(ERROR_TYPE)
    .send('404 page not found\n');
}

/** Puts all read-only paths on `app`. */
export function registerReadApi(app: FastifyInstance, options: ReadApiOptions): void {
  const { static: configuration, runtime } = options;
  const base = (configuration.api?.basePath ?? '/').replace(/\/+$/, '');
  app.addHook('onRequest', async (request, reply) => {
    if (request.headers[SERVICE_HEADER] === 'prometheus@internal') {
      const text = (await options.readMetrics?.()) ?? '';
      return reply.header('content-type', METRICS_TYPE).send(Buffer.from(text));
    }
    if (request.headers[SERVICE_HEADER] !== 'ping@internal') return;
    const status = options.isTerminating() ? (configuration.ping?.terminatingStatusCode ?? 503) : 200;
    const body = STATUS_CODES[status] ?? '';
    // Past the framework, which would add a type that Traefik does not send.
    reply.hijack();
    reply.raw.writeHead(status, { 'content-length': body.length }).end(request.method === 'HEAD' ? '' : body);
    return undefined;
  });
  const list = (path: string, kind: string, documents: () => readonly Document[]): void => {
    app.get(`${base}/api/${path}`, (request, reply) => sendList(request, reply, documents()));
    app.get(`${base}/api/${path}/:id`, (request, reply) => {
      const id = identifier(request);
      const found = documents().find(({ name }) => name === id);
      return found === undefined ? sendError(reply, 404, `${kind} not found: ${id}`) : sendJson(reply, found);
    });
  };
  app.get(`${base}/api/version`, (_request, reply) =>
    sendJson(
      reply,
      {
        Version: options.version,
        Codename: 'jupyterhub',
        startDate: options.startedAt.toISOString(),
      },
      'application/json; charset=UTF-8',
    ),
  );
  app.get(`${base}/api/overview`, (_request, reply) => sendJson(reply, overviewDocument(runtime)));
  app.get(`${base}/api/rawdata`, (_request, reply) => sendJson(reply, rawDataDocument(runtime)));
  list('entrypoints', 'entry point', () => [...configuration.entryPoints.values()].map(entryPointDocument));
  registerElements(app, base, runtime);
  for (const path of ['tcp/routers', 'tcp/services', 'tcp/middlewares', 'udp/routers', 'udp/services'])
    list(path, path.split('/')[1]?.replace(/s$/, '') ?? '', () => []);
  if (configuration.format === 'v1') registerV1Api(app, runtime);
  if (configuration.api?.dashboard === true) registerDashboard(app, base);
  app.setNotFoundHandler((request, reply) =>
    request.method === 'GET' ? sendNotFound(reply) : reply.code(405).send(),
  );
}

/** Single elements are looked up by name, so that polling for one among ten thousand costs nothing. */
function registerElements(app: FastifyInstance, base: string, runtime: Runtime): void {
  app.get(`${base}/api/http/routers`, (request, reply) =>
    sendList(request, reply, [...runtime.routers.values()].map(routerDocument)),
  );
  app.addHook('preHandler', async (request, reply) => {
    // `/api/http/routers/` names nothing.
    if (hasIdentifier(request) && identifier(request) === '') await sendNotFound(reply);
  });
  app.get(`${base}/api/http/routers/:id`, (request, reply) => {
    const router = runtime.routers.get(identifier(request));
    return router === undefined
      ? sendError(reply, 404, `router not found: ${identifier(request)}`)
      : sendJson(reply, routerDocument(router));
  });
  app.get(`${base}/api/http/services`, (request, reply) =>
    sendList(request, reply, [...runtime.services.values()].map(serviceDocument)),
  );
  app.get(`${base}/api/http/services/:id`, (request, reply) => {
    const service = runtime.services.get(identifier(request));
    return service === undefined
      ? sendError(reply, 404, `service not found: ${identifier(request)}`)
      : sendJson(reply, serviceDocument(service));
  });
  app.get(`${base}/api/http/middlewares`, (request, reply) =>
    sendList(request, reply, [...runtime.middlewares.values()].map(middlewareDocument)),
  );
  app.get(`${base}/api/http/middlewares/:id`, (request, reply) => {
    const middleware = runtime.middlewares.get(identifier(request));
    return middleware === undefined
      ? sendError(reply, 404, `middleware not found: ${identifier(request)}`)
      : sendJson(reply, middlewareDocument(middleware));
  });
}

function hasIdentifier(request: FastifyRequest): boolean {
  return typeof request.params === 'object' && request.params !== null && 'id' in request.params;
}

/** Fastify has decoded it already. */
function identifier(request: FastifyRequest): string {
  const { params } = request;
  return typeof params === 'object' && params !== null && 'id' in params ? String(params.id) : '';
}

function sendList(
  request: FastifyRequest,
  reply: FastifyReply,
  documents: readonly Document[],
): FastifyReply {
  const page = selectPage(documents, new URL(request.url, 'http://localhost').searchParams);
  if ('problem' in page) return sendError(reply, 400, page.problem);
  return sendJson(reply.header('X-Next-Page', String(page.next)), page.documents);
}

function registerDashboard(app: FastifyInstance, base: string): void {
  app.get(base === '' ? '/' : base, (_request, reply) => reply.redirect(`${base}/dashboard/`, 302));
  app.get(`${base}/dashboard`, (_request, reply) => reply.redirect(`${base}/dashboard/`, 302));
  app.get(`${base}/dashboard/`, (_request, reply) =>
    reply
      .header(
        'content-security-policy',
        `default-src 'none'; connect-src 'self'; style-src ${DASHBOARD_PAGE.styleHash}; script-src ${DASHBOARD_PAGE.scriptHash}; frame-ancestors 'self'`,
      )
      .header('x-content-type-options', 'nosniff')
      .type('text/html; charset=utf-8')
      .send(DASHBOARD_PAGE.html),
  );
}
