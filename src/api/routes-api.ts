// The REST API that routes are managed by: exact routespecs in bulk for the JupyterHub plug-in, and configurable-http-proxy's calls for
// everybody who knew those. The token is checked before a body is read. Source of the second part: its REST API documentation.

import fastify from 'fastify';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import * as z from 'zod';
import { errorText, ProxyError } from '../errors.ts';
import type { HubRoute, Json, RouteData } from '../hub/route.ts';
import { isTree } from '../hub/values.ts';
import type { Logger } from '../log.ts';
import { normalizeRoutespec } from '../hub/routespec.ts';
import { boundConnections } from './bounded-connections.ts';
import { routespecOfPath } from './chp-path.ts';
import { listing } from './listing.ts';
import { NO_SCHEMAS } from './no-schemas.ts';
import { openApiDocument } from './open-api.ts';
import { layQuickLane } from './quick-lane.ts';
import type { QuickAnswer, QuickHandler } from './quick-lane.ts';
import {
  activityFields,
  chpDocument,
  chpEntry,
  isPlainRoutePath,
  wantedRoutes,
  MAX_ROUTE_BYTES,
  pathOf,
  restOf,
  takeBodiesAsText,
  tokenChecker,
} from './requests.ts';
import type { RouteActivity, RouteTable } from './requests.ts';

/** A bulk change has room for a hundred thousand routes. */
const MAX_BULK_BYTES = 64 * 1024 * 1024;

const JSON_TYPE = 'application/json; charset=utf-8';
/** As JupyterHub sends it, or with the usual word. */
const TOKEN = /^(?:token|bearer)[ \t]+(\S+)[ \t]*$/i;

/** What the API is made of. */
export interface RoutesApiOptions {
  readonly table: RouteTable;
  /** Absent: somebody else's engine carries the requests, and nobody knows. */
  readonly activity?: RouteActivity;
  readonly token: string;
  /** Answered by `/api/health`. */
  readonly health: { readonly pid: number; readonly digest: string; readonly version: string };
  readonly log: Logger;
}

/** What was JSON on the way here is JSON: looking into it again took longer than all the rest. */
const data = z.custom<RouteData>((value) => isTree(value), 'expected an object');
const bulk = z.strictObject({
  add: z
    .array(z.strictObject({ routespec: z.string(), target: z.string(), data: data.nullish() }))
    .default([]),
  remove: z.array(z.string()).default([]),
});
const chpRoute = z.custom<ChpRoute>(isChpRoute, 'expected an object with "target", a string');

/** The document of a route to add. */
interface ChpRoute {
  readonly target: string;
  [key: string]: Json;
}

function isChpRoute(value: unknown): value is ChpRoute {
  return isTree(value) && typeof value['target'] === 'string';
}

/** Builds the API; the caller lets it listen, on a loopback address. */
export function createRoutesApi(options: RoutesApiOptions): FastifyInstance {
  const app = fastify({
    logger: false,
    schemaController: NO_SCHEMAS,
    bodyLimit: MAX_ROUTE_BYTES,
    forceCloseConnections: true,
    exposeHeadRoutes: false,
  });
  takeBodiesAsText(app);
  const isRightToken = tokenChecker(options.token, TOKEN);
  const lane = layQuickLane(app.server, quickChange(options, isRightToken), boundConnections(app.server));
  app.addHook('preClose', (done) => {
    lane.close();
    done();
  });
  const known = /^\/api\/(?:routes(?:\/.*)?|routespecs|health|openapi\.json)$/;
  app.setNotFoundHandler((request, reply) =>
    known.test(pathOf(request))
      ? fail(reply, 405, `method ${request.method} is not supported here`)
      : fail(reply, 404, 'there is nothing here; routes are at /api/routes and /api/routespecs'),
  );
  app.setErrorHandler((error: FastifyError, _request, reply) => answerError(error, reply, options.log));
  app.register((scope, _options, done) => {
    scope.addHook('onRequest', (request, reply, next) => {
      if (isRightToken(request.headers.authorization)) next();
      // The body is not read: the connection cannot be used any more when there is one.
      else
        void fail(
          reply.header('connection', 'close'),
          403,
          'the token in the Authorization header is missing or wrong',
        );
    });
    registerHealth(scope, options);
    scope.get('/api/openapi.json', (_request, reply) => reply.type(JSON_TYPE).send(openApiDocument()));
    registerRoutespecs(scope, options);
    registerChpRoutes(scope, options);
    done();
  });
  return app;
}

function registerHealth(app: FastifyInstance, { health }: RoutesApiOptions): void {
  app.get('/api/health', () => health);
}

function registerRoutespecs(app: FastifyInstance, { table, activity }: RoutesApiOptions): void {
  app.get('/api/routespecs', (request, reply) => {
    const { searchParams } = new URL(request.url, 'http://localhost');
    const wanted = searchParams.get('routespec');
    const shown = searchParams.has('activity') ? activity : undefined;
    reply.type(JSON_TYPE);
    if (wanted !== null) return reply.send(JSON.stringify(oneRoute(table, wanted)));
    return reply.send(
      listing(
        table.routes.values(),
        (route) => `${JSON.stringify(route.routespec)}:${JSON.stringify(withActivity(route, shown))}`,
      ),
    );
  });
  app.post('/api/routespecs', { bodyLimit: MAX_BULK_BYTES }, async (request, reply) => {
    const { add, remove } = parseBody(request, bulk);
    await table.change({
      add: add.map(({ routespec, target, data: payload }) => ({ routespec, target, data: payload ?? {} })),
      remove,
    });
    for (const { routespec } of add) activity?.begin(normalizeRoutespec(routespec));
    return reply.send({ added: add.length, removed: remove.length });
  });
}

/** As JupyterHub looks for it: in the data of a route. */
function withActivity(route: HubRoute, activity: RouteActivity | undefined): HubRoute {
  if (activity?.isUsed(route.routespec) !== true) return route;
  return { ...route, data: { ...route.data, ...activityFields(route.routespec, activity) } };
}

/** The table as if it had this route only. */
function oneRoute(table: RouteTable, routespec: string): Readonly<Record<string, HubRoute>> {
  const found = table.routes.get(routespec);
  return found === undefined ? {} : { [routespec]: found };
}

function registerChpRoutes(app: FastifyInstance, options: RoutesApiOptions): void {
  const { table, activity } = options;
  for (const url of ['/api/routes', '/api/routes/*']) {
    app.get(url, (request, reply) => {
      if (restOf(request) === '')
        return reply.type(JSON_TYPE).send(
          listing(
            wantedRoutes(request, table.routes, {
              activity,
              wrongDate: (text) => `inactiveSince: expected an ISO 8601 date, found "${text}"`,
            }),
            (route) => chpEntry(route, activity),
          ),
        );
      const route = existing(request, table);
      return route === undefined
        ? fail(reply, 404, 'there is no such route')
        : reply.send(chpDocument(route, activity));
    });
    app.post(url, async (request, reply) => {
      await addRoute(request, parseBody(request, chpRoute), options);
      return reply.code(201).send();
    });
    app.delete(url, async (request, reply) => {
      const route = existing(request, table);
      if (route === undefined) return fail(reply, 404, 'there is no such route');
      await table.change({ add: [], remove: [route.routespec] });
      return reply.code(204).send();
    });
  }
}

/** Which route a request is about. */
type RouteRequest = Pick<FastifyRequest, 'url'>;

async function addRoute(
  request: RouteRequest,
  { target, ...payload }: ChpRoute,
  { table, activity }: Pick<RoutesApiOptions, 'table' | 'activity'>,
): Promise<void> {
  const routespec = existing(request, table)?.routespec ?? wanted(request);
  delete payload['last_activity'];
  await table.change({ add: [{ routespec, target, data: payload }], remove: [] });
  activity?.begin(normalizeRoutespec(routespec));
}

/** One route added or removed by whoever may, with nothing to complain about: all else is answered behind. */
function quickChange(
  options: RoutesApiOptions,
  isRightToken: (authorization: string | undefined) => boolean,
): QuickHandler {
  const { table, log } = options;
  const answered = (work: Promise<void>, status: number): Promise<QuickAnswer> =>
    work.then(
      () => ({ status }),
      (error: unknown) => {
        const { status: refusal, document } = refusalOf(error, log);
        return { status: refusal, json: JSON.stringify(document) };
      },
    );
  const handle: QuickHandler['handle'] = ({ method, target: url, body }) => {
    if (!isPlainRoutePath(url)) return undefined;
    if (method === 'POST') {
      const route = jsonOf(body);
      return isChpRoute(route) ? answered(addRoute({ url }, route, options), 201) : undefined;
    }
    const route = method === 'DELETE' && body === '' ? existing({ url }, table) : undefined;
    if (route === undefined) return undefined;
    return answered(table.change({ add: [], remove: [route.routespec] }), 204);
  };
  return { admits: isRightToken, handle };
}

/** Undefined for what is not JSON. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined; // said by whoever reads it next
  }
}

function wanted(request: RouteRequest): string {
  const routespec = routespecOfPath(restOf(request));
  if (routespec === undefined)
    throw new ProxyError('JTP_ERR_API_REQUEST', { message: 'the path is not percent-encoded UTF-8' });
  return routespec;
}

/** Routes of hosts have the host as the first segment of their path. */
function existing(request: RouteRequest, table: RouteTable): HubRoute | undefined {
  const routespec = wanted(request);
  return (
    table.routes.get(routespec) ?? (routespec === '/' ? undefined : table.routes.get(routespec.slice(1)))
  );
}

function parseBody<T>(request: FastifyRequest, schema: z.ZodType<T>): T {
  let document: unknown;
  try {
    document = JSON.parse(typeof request.body === 'string' ? request.body : '');
  } catch (cause) {
    throw new ProxyError('JTP_ERR_API_REQUEST', {
      message: `the body is not valid JSON: ${errorText(cause)}`,
      cause,
    });
  }
  const result = schema.safeParse(document);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const place = issue?.path.map(String).join('.') ?? '';
  throw new ProxyError('JTP_ERR_API_REQUEST', {
    message: `the body is not right: ${place === '' ? '' : `${place}: `}${issue?.message ?? ''}`,
  });
}

function fail(reply: FastifyReply, status: number, message: string): FastifyReply {
  return reply.code(status).send({ error: message, code: 'JTP_ERR_API_REQUEST' });
}

function answerError(error: FastifyError | ProxyError, reply: FastifyReply, log: Logger): FastifyReply {
  const { status, document } = refusalOf(error, log);
  return reply.code(status).send(document);
}

/** How an error is told; what is nobody's mistake but ours goes into the log instead. */
function refusalOf(
  error: unknown,
  log: Logger,
): { readonly status: number; readonly document: { readonly error: string; readonly code: string } } {
  if (error instanceof ProxyError)
    return { status: error.status ?? 500, document: { error: error.message, code: error.code } };
  const { statusCode: status = 500, message } = error as Partial<FastifyError>;
  const code = 'JTP_ERR_API_REQUEST';
  if (status < 500) return { status, document: { error: message ?? '', code } };
  log.error({ err: error }, 'a request to the REST API failed');
  return { status: 500, document: { error: 'the request failed; see the log', code } };
}
