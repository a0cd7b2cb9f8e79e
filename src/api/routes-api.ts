// The REST API for routes. `/api/routes` is configurable-http-proxy's; `/api/routespecs` gives and takes JupyterHub's routespecs exactly,
// many at once. Whoever has no token is sent away before a byte of the body is read.

import { createHash, timingSafeEqual } from 'node:crypto';
import fastify from 'fastify';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { z } from 'zod';
import { errorText, ProxyError } from '../errors.ts';
import type { HubRoute } from '../hub/routespec.ts';
import { assertTarget, normalizeRoutespec } from '../hub/routespec.ts';
import type { RouteChange } from '../hub/route-store.ts';

const BODY_BYTES = 64 * 1024 * 1024;

/** What the API works on. */
export interface RoutesApiOptions {
  readonly token: string;
  readonly routes: () => Iterable<HubRoute>;
  readonly route: (routespec: string) => HubRoute | undefined;
  readonly change: (changes: readonly RouteChange[]) => Promise<void>;
  /** Answer of `/api/health`. */
  readonly health: () => Readonly<Record<string, unknown>>;
}

const bulk = z.strictObject({
  add: z
    .array(
      z.strictObject({
        routespec: z.string(),
        target: z.string(),
        data: z.record(z.string(), z.unknown()).default({}),
      }),
    )
    .default([]),
  remove: z.array(z.string()).default([]),
});

/** Makes the API; whoever calls it listens. */
export function createRoutesApi(options: RoutesApiOptions): FastifyInstance {
  const app = fastify({
    logger: false,
    bodyLimit: BODY_BYTES,
    forceCloseConnections: true,
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 8192 },
  });
  const expected = digest(options.token);
  app.addHook('onRequest', async (request, reply) => {
    const given = /^(?:token|bearer)\s+(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
    if (given === undefined || !timingSafeEqual(digest(given), expected))
      await reply.code(403).send({ error: 'a valid token is needed: Authorization: token …' });
  });
  app.setErrorHandler((error, _request, reply) => sendError(reply, error));
  app.get('/api/health', () => options.health());
  registerRoutespecs(app, options);
  registerChpRoutes(app, options);
  return app;
}

function digest(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

function sendError(reply: FastifyReply, error: unknown): FastifyReply {
  if (error instanceof ProxyError)
    return reply.code(error.status ?? 500).send({ error: error.message, code: error.code });
  const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500;
  return reply.code(status).send({ error: errorText(error) });
}

function registerRoutespecs(app: FastifyInstance, options: RoutesApiOptions): void {
  app.get('/api/routespecs', () => {
    const found: Record<string, HubRoute> = {};
    for (const { routespec, target, data } of options.routes())
      found[routespec] = { routespec, target, data };
    return found;
  });
  app.post('/api/routespecs', async (request) => {
    const parsed = bulk.safeParse(request.body);
    if (!parsed.success)
      throw new ProxyError('JTP_ERR_API_REQUEST', {
        message: parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '),
      });
    const { add, remove } = parsed.data;
    const changes: RouteChange[] = add.map(({ routespec, target, data }) => ({
      kind: 'set',
      route: { routespec: normalizeRoutespec(routespec), target: assertTarget(target), data },
    }));
    for (const routespec of remove)
      changes.push({ kind: 'delete', routespec: normalizeRoutespec(routespec) });
    await options.change(changes);
    return { added: add.length, removed: remove.length };
  });
}

/** `/user/zoe` of configurable-http-proxy, decoded, as a routespec. */
function routespecOf(path: string): string {
  const segments = path.split('/').filter((segment) => segment !== '');
  const encoded = segments.map((segment) =>
    encodeURIComponent(segment).replace(/%40|%7E/gi, (escape) => decodeURIComponent(escape)),
  );
  return segments.length === 0 ? '/' : `/${encoded.join('/')}/`;
}

/** The same way back, without the slash at the end. */
function pathOf(routespec: string): string {
  const path = routespec === '/' ? '/' : routespec.replace(/\/$/, '');
  try {
    return decodeURIComponent(path);
  } catch {
    // Not UTF-8: shown as it is.
    return path;
  }
}

/** Source: configurable-http-proxy documentation, REST API. */
function registerChpRoutes(app: FastifyInstance, options: RoutesApiOptions): void {
  const describe = ({ target, data }: HubRoute): Record<string, unknown> => ({ ...data, target });
  app.get('/api/routes', (request, reply) => {
    if (typeof request.query === 'object' && request.query !== null && 'inactive_since' in request.query)
      return reply.code(501).send({ error: 'inactive_since is not supported yet' });
    return reply.send(
      Object.fromEntries([...options.routes()].map((route) => [pathOf(route.routespec), describe(route)])),
    );
  });
  app.get<{ Params: { '*': string } }>('/api/routes/*', (request, reply) => {
    const route = options.route(routespecOf(request.params['*']));
    return route === undefined ? reply.code(404).send() : reply.send(describe(route));
  });
  const add = async (path: string, body: unknown): Promise<void> => {
    if (typeof body !== 'object' || body === null || !('target' in body) || typeof body.target !== 'string')
      throw new ProxyError('JTP_ERR_API_REQUEST', { message: 'Must specify "target" as string' });
    const { target, ...data } = body;
    const route = { routespec: routespecOf(path), target: assertTarget(target), data };
    await options.change([{ kind: 'set', route }]);
  };
  app.post('/api/routes', async (request, reply) => {
    await add('', request.body);
    return reply.code(201).send();
  });
  app.post<{ Params: { '*': string } }>('/api/routes/*', async (request, reply) => {
    await add(request.params['*'], request.body);
    return reply.code(201).send();
  });
  const remove = async (path: string, reply: FastifyReply): Promise<FastifyReply> => {
    const routespec = routespecOf(path);
    if (options.route(routespec) === undefined) return reply.code(404).send();
    await options.change([{ kind: 'delete', routespec }]);
    return reply.code(204).send();
  };
  app.delete('/api/routes', (_request, reply) => remove('', reply));
  app.delete<{ Params: { '*': string } }>('/api/routes/*', (request, reply) =>
    remove(request.params['*'], reply),
  );
}
