// The REST API of configurable-http-proxy, for its own command: paths, statuses, bodies and the form of documents are that program's.
// Source: its REST API documentation and its observed answers. The token is checked before a body is read, which that program does after.

import fastify from 'fastify';
import type {
  FastifyError,
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  FastifyServerOptions,
} from 'fastify';
import * as z from 'zod';
import type { ChpAddress } from '../config/chp.ts';
import { errorText, ProxyError } from '../errors.ts';
import type { Json } from '../hub/route.ts';
import type { Logger } from '../log.ts';
import { boundConnections } from './bounded-connections.ts';
import { hostFirst, pathOfRoutespec, routespecOfPath } from './chp-path.ts';
import { refusalWithoutToken } from './cross-site.ts';
import { listing } from './listing.ts';
import { NO_SCHEMAS } from './no-schemas.ts';
import { openApiDocument } from './open-api.ts';
import {
  chpDocument,
  chpEntry,
  wantedRoutes,
  MAX_ROUTE_BYTES,
  pathOf,
  restOf,
  takeBodiesAsText,
  tokenChecker,
} from './requests.ts';
import type { RouteActivity, RouteTable } from './requests.ts';

/** Counted for the metrics. */
export interface ChpApiCounters {
  readonly routesRead: () => void;
  readonly routeAdded: () => void;
  readonly routeDeleted: () => void;
  readonly answered: (status: number) => void;
}

/** What the API is made of. */
export interface ChpApiOptions {
  readonly table: RouteTable;
  readonly activity: RouteActivity;
  /** Empty: everybody may do everything, pages of other sites in a browser excepted. */
  readonly token: string;
  /** Where it listens. */
  readonly address: ChpAddress;
  /** The first segment of a path is a host. */
  readonly hostRouting: boolean;
  readonly counters: ChpApiCounters;
  readonly log: Logger;
  /** `https` for TLS. */
  readonly server?: FastifyServerOptions;
}

const json: z.ZodType<Json> = z.json();
const route = z.looseObject({ target: z.string() }).catchall(json);

const ROUTES = /^\/api\/routes(?:\/.*)?$/;
const TOKEN = /^token[ \t]+(\S+)[ \t]*$/;
const OPEN_API = '/api/openapi.json';

/** Builds the API; the caller lets it listen. */
export function createChpApi(options: ChpApiOptions): FastifyInstance {
  const app = fastify({
    ...options.server,
    logger: false,
    schemaController: NO_SCHEMAS,
    bodyLimit: MAX_ROUTE_BYTES,
    forceCloseConnections: true,
    exposeHeadRoutes: false,
    routerOptions: { maxParamLength: 8192 },
    // A path with a malformed escape never reaches a route.
    frameworkErrors: (error, _request, reply) => {
      void (reply as FastifyReply).code(400).send(`Invalid path: ${error.message}`);
    },
  });
  takeBodiesAsText(app);
  boundConnections(app.server);
  app.addHook('onResponse', (request, reply, done) => {
    logAnswer(request, reply, options);
    done();
  });
  app.setNotFoundHandler((request, reply) =>
    ROUTES.test(pathOf(request)) || pathOf(request) === OPEN_API
      ? reply.code(405).send('Method not supported')
      : reply.code(404).send('Not Found'),
  );
  app.setErrorHandler((error: FastifyError | ProxyError, _request, reply) =>
    answerError(error, reply, options.log),
  );
  app.register((scope, _options, done) => {
    const refusal = refusalChecker(options);
    scope.addHook('onRequest', ({ headers }, reply, next) => {
      const reason = refusal(headers);
      if (reason === undefined) next();
      // The body is not read: the connection cannot be used any more when there is one.
      else void reply.header('connection', 'close').code(403).send(reason);
    });
    for (const url of ['/api/routes', '/api/routes/*']) {
      scope.get(url, (request, reply) => read(request, reply, options));
      scope.post(url, (request, reply) => add(request, reply, options));
      scope.delete(url, (request, reply) => remove(request, reply, options));
    }
    scope.get(OPEN_API, (_request, reply) => sendJson(reply, openApiDocument()));
    done();
  });
  return app;
}

/** What whoever may not use the API is told; undefined for those who may. */
function refusalChecker({
  token,
  address,
}: ChpApiOptions): (headers: FastifyRequest['headers']) => string | undefined {
  if (token === '') return (headers) => refusalWithoutToken(headers, address);
  const isRightToken = tokenChecker(token, TOKEN);
  return ({ authorization }) => (isRightToken(authorization) ? undefined : '');
}

function read(request: FastifyRequest, reply: FastifyReply, options: ChpApiOptions): FastifyReply {
  if (restOf(request) === '') {
    options.counters.routesRead();
    return reply.header('content-type', 'application/json').send(
      listing(
        wantedRoutes(request, options.table.routes, {
          activity: options.activity,
          wrongDate: (text) => `Invalid datestamp '${text}' must be ISO8601.`,
        }),
        (found) => chpEntry(found, options.activity),
      ),
    );
  }
  const found = options.table.routes.get(wanted(request, options));
  return found === undefined
    ? reply.code(404).send()
    : sendJson(reply, JSON.stringify(chpDocument(found, options.activity)));
}

async function add(
  request: FastifyRequest,
  reply: FastifyReply,
  options: ChpApiOptions,
): Promise<FastifyReply> {
  const { target, ...payload } = parseBody(request);
  const routespec = wanted(request, options);
  // Set by us, below.
  delete payload['last_activity'];
  const host =
    options.hostRouting && routespec !== '/' ? { host: routespec.slice(0, routespec.indexOf('/')) } : {};
  await options.table.change({ add: [{ routespec, target, data: { ...payload, ...host } }], remove: [] });
  options.activity.begin(routespec);
  options.counters.routeAdded();
  options.log.info(`Route added ${pathOfRoutespec(routespec)} -> ${target}`);
  return reply.code(201).send();
}

async function remove(
  request: FastifyRequest,
  reply: FastifyReply,
  options: ChpApiOptions,
): Promise<FastifyReply> {
  const routespec = wanted(request, options);
  options.counters.routeDeleted();
  if (!options.table.routes.has(routespec)) return reply.code(404).send();
  await options.table.change({ add: [], remove: [routespec] });
  options.log.info(`Route removed ${pathOfRoutespec(routespec)}`);
  return reply.code(204).send();
}

function sendJson(reply: FastifyReply, text: string): FastifyReply {
  // As bytes: a string would get a charset that clients of configurable-http-proxy have never seen.
  return reply.header('content-type', 'application/json').send(Buffer.from(text, 'utf8'));
}

/** The routespec that a request is about; slashes at the end and empty segments do not count. */
function wanted(request: FastifyRequest, { hostRouting }: ChpApiOptions): string {
  const routespec = routespecOfPath(restOf(request).replace(/\/{2,}/g, '/'));
  if (routespec === undefined)
    throw new ProxyError('JTP_ERR_API_REQUEST', { message: 'the path is not percent-encoded UTF-8' });
  return hostRouting && routespec !== '/' ? hostFirst(routespec) : routespec;
}

function parseBody(request: FastifyRequest): { readonly target: string; [key: string]: Json } {
  let content: unknown;
  try {
    content = JSON.parse(typeof request.body === 'string' ? request.body : '');
  } catch (cause) {
    throw new ProxyError('JTP_ERR_API_REQUEST', {
      message: `Body not valid JSON: ${String(cause)}`,
      cause,
    });
  }
  const result = route.safeParse(content);
  if (result.success) return result.data;
  throw new ProxyError('JTP_ERR_API_REQUEST', { message: "Must specify 'target' as string" });
}

function answerError(error: FastifyError | ProxyError, reply: FastifyReply, log: Logger): FastifyReply {
  const status = error instanceof ProxyError ? (error.status ?? 500) : (error.statusCode ?? 500);
  if (status < 500) return reply.code(status).send(error.message);
  log.error({ reason: errorText(error) }, 'a request to the REST API failed');
  return reply
    .code(status)
    .send(error instanceof ProxyError ? error.message : 'the request failed; see the log');
}

/** One line per request, without its query. */
function logAnswer(request: FastifyRequest, reply: FastifyReply, { counters, log }: ChpApiOptions): void {
  const { statusCode } = reply;
  counters.answered(statusCode);
  const line = `${String(statusCode)} ${request.method} ${request.url.split('?')[0] ?? ''}`;
  if (statusCode >= 500) log.error(line);
  else if (statusCode >= 400) log.warn(line);
  else log.info(line);
}
