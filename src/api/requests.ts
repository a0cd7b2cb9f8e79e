// What both REST APIs for routes have in common: the plug-in's with configurable-http-proxy's calls beside it, and that program's own for
// the command of its name. They differ in words and statuses, not in what a path, a token or the document of a route is.

import { hash, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { ProxyError } from '../errors.ts';
import type { HubRoute, Json, RouteChange } from '../hub/route.ts';
import { pathOfRoutespec } from './chp-path.ts';
import { isoTime } from './iso-time.ts';

/** One route has room for any payload. */
export const MAX_ROUTE_BYTES = 1024 * 1024;

/** A path that is what it says: no query, no dots, nothing that would have to be escaped. */
const PLAIN_PATH = /^(?:\/(?!\.)[A-Za-z0-9\-._~@]*)+$/;

/** Whether a target names one route, in a way that needs no thought. */
export function isPlainRoutePath(target: string): boolean {
  return target.startsWith('/api/routes/') && PLAIN_PATH.test(target);
}

/** Where routes are kept. */
export interface RouteTable {
  readonly routes: ReadonlyMap<string, HubRoute>;
  /** Resolves when the change is durable and live. */
  readonly change: (change: RouteChange) => Promise<void>;
}

/** When something last happened on a route. */
export interface RouteActivity {
  /**
   * Milliseconds since the epoch; `user`: of what users do, as opposed to what their open tabs do by themselves, 0 when that is nothing so
   * far.
   */
  readonly clocks: (routespec: string) => { readonly last: number; readonly user: number };
  /** Whether anything has passed since the route was added. */
  readonly isUsed: (routespec: string) => boolean;
  /** The route was added or replaced just now. */
  readonly begin: (routespec: string) => void;
}

/** Bodies are text whatever they are called: JupyterHub labels its JSON in three different ways. */
export function takeBodiesAsText(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => {
    done(null, body);
  });
}

/** The path without the query, dots resolved, escapes as they came. */
export function pathOf({ url }: { readonly url: string }): string {
  if (PLAIN_PATH.test(url)) return url;
  return new URL(url.startsWith('/') ? `http://localhost${url}` : url).pathname;
}

/** As URLs are resolved: escaped dots count, and so does a backslash for a slash. */
const DOT_SEGMENT = /[/\\](?:\.|%2e){1,2}(?:[/\\?#]|$)/i;

/**
 * What follows `/api/routes`; empty for the table as a whole. Throws ProxyError JTP_ERR_API_REQUEST for dots: a server whose owner has called
 * it `..` would get the route above its own, which is everybody's.
 */
export function restOf(request: { readonly url: string }): string {
  const [path = ''] = request.url.split('?', 1);
  if (!PLAIN_PATH.test(path) && DOT_SEGMENT.test(path))
    throw new ProxyError('JTP_ERR_API_REQUEST', {
      message: 'the path has "." or ".." in the place of a name: no route can have that',
    });
  const rest = pathOf(request).slice('/api/routes'.length);
  return rest === '/' ? '' : rest;
}

/** `inactiveSince` of a request under both its names; empty when it is not asked for. */
function inactiveSince(request: FastifyRequest): string {
  if (!request.url.includes('?')) return '';
  const { searchParams } = new URL(request.url, 'http://localhost');
  return searchParams.get('inactiveSince') ?? searchParams.get('inactive_since') ?? '';
}

/**
 * The routes that a request for a list wants: all, or those on which nothing has happened since `inactiveSince`. Without `activity` nobody keeps
 * track, and none can be said to have been idle. Throws ProxyError JTP_ERR_API_REQUEST, in the words of `wrongDate`, for what is no date.
 */
export function wantedRoutes(
  request: FastifyRequest,
  routes: ReadonlyMap<string, HubRoute>,
  options: {
    readonly activity: RouteActivity | undefined;
    readonly wrongDate: (text: string) => string;
  },
): Iterable<HubRoute> {
  const { activity, wrongDate } = options;
  const since = inactiveSince(request);
  if (since === '') return routes.values();
  const limit = Date.parse(since);
  if (Number.isNaN(limit)) throw new ProxyError('JTP_ERR_API_REQUEST', { message: wrongDate(since) });
  if (activity === undefined) return [];
  return [...routes.values()].filter(({ routespec }) => activity.clocks(routespec).last < limit);
}

/** The fields that tell when a route was used; configurable-http-proxy has the first. */
export function activityFields(routespec: string, activity: RouteActivity): Record<string, Json> {
  const { last, user } = activity.clocks(routespec);
  return {
    last_activity: isoTime(last),
    ...(user === 0 ? {} : { last_user_activity: isoTime(user) }),
  };
}

/** The same as text, to go on an object with: `,"last_activity":"…"`. */
function activityText(routespec: string, activity: RouteActivity): string {
  const { last, user } = activity.clocks(routespec);
  const text = `,"last_activity":"${isoTime(last)}"`;
  return user === 0 ? text : `${text},"last_user_activity":"${isoTime(user)}"`;
}

/** Names in a document that data cannot have. */
const OURS = ['target', 'last_activity', 'last_user_activity'];

/** What never changes of a route in a list, for as long as the route is there: making it again for every list was most of a list's time. */
const texts = new WeakMap<HubRoute, string>();

/** A route in a list of configurable-http-proxy's API: `"path":{…}`, the object as in `chpDocument`. */
export function chpEntry(route: HubRoute, activity: RouteActivity | undefined): string {
  const { routespec, data } = route;
  let text = texts.get(route);
  if (text === undefined) {
    if (OURS.some((name) => Object.hasOwn(data, name)))
      return `${pathText(routespec)}:${JSON.stringify(chpDocument(route, activity))}`;
    text = chpText(route);
    texts.set(route, text);
  }
  return activity === undefined ? `${text}}` : `${text}${activityText(routespec, activity)}}`;
}

function pathText(routespec: string): string {
  return JSON.stringify(pathOfRoutespec(routespec));
}

/** Everything but the clocks and the last brace. */
function chpText({ routespec, target, data }: HubRoute): string {
  const text = JSON.stringify(data);
  const more = text === '{}' ? '' : ',';
  // Joined, for it is kept: a sum of strings would hold on to each of its parts.
  return [pathText(routespec), ':', text.slice(0, -1), more, '"target":', JSON.stringify(target)].join('');
}

/** A route as configurable-http-proxy shows it; without `activity` nobody knows when it was used. */
export function chpDocument(
  { routespec, target, data }: HubRoute,
  activity: RouteActivity | undefined,
): Record<string, Json> {
  return { ...data, target, ...(activity === undefined ? {} : activityFields(routespec, activity)) };
}

/**
 * Whether the Authorization header has the token, which is the only group of `form`; compared without telling by its time where they
 * differ.
 */
export function tokenChecker(token: string, form: RegExp): (authorization: string | undefined) => boolean {
  // Of equal length, whatever was sent.
  const digest = (text: string): Buffer => hash('sha256', text, 'buffer');
  const wantedDigest = digest(token);
  return (authorization) => {
    const given = form.exec(authorization ?? '')?.[1];
    return timingSafeEqual(digest(given ?? ''), wantedDigest) && given !== undefined;
  };
}
