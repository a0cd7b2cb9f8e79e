// A route of the hub, and the router and service that carry it.

import type { RouterConfiguration, ServiceConfiguration } from '../config/dynamic.ts';
import { ProxyError } from '../errors.ts';
import { listOf } from '../runtime/short-lists.ts';
import { isUrl } from '../url.ts';
import { normalizeRoutespec, routeName, routeRule } from './routespec.ts';

/** Anything JSON can say. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** The payload of a route: always an object, as JupyterHub looks for keys in it. */
export type RouteData = { readonly [key: string]: Json };

/** What JupyterHub knows about a route. Source: JupyterHub documentation, writing a custom proxy. */
export interface HubRoute {
  readonly routespec: string;
  readonly target: string;
  readonly data: RouteData;
}

/** Routes to add or replace, and routespecs to take away; removals come first. */
export interface RouteChange {
  readonly add: readonly HubRoute[];
  readonly remove: readonly string[];
}

/** How routes become routers. */
export interface ElementOptions {
  /** The entry point that user traffic arrives on. */
  readonly entryPoint: string;
  /** Whether the engine can be told to put a target's path before the request's; Traefik can from 3.3 on. */
  readonly preservePath: boolean;
  /** False: servers get their own name as Host. Default true. */
  readonly passHostHeader?: boolean;
  /** The servers transport of `https` targets that the hub itself runs; absent: the engine's own. */
  readonly transport?: string;
}

/** What a route looks like in the dynamic configuration. */
export interface RouteElements {
  readonly routerName: string;
  readonly serviceName: string;
  readonly router: RouterConfiguration;
  readonly service: ServiceConfiguration;
}

/** A route in its normal form; throws ProxyError JTP_ERR_ROUTE_INVALID. */
export function normalizeRoute({ routespec, target, data }: HubRoute): HubRoute {
  assertTarget(target);
  return { routespec: normalizeRoutespec(routespec), target, data };
}

/** Nearly every target: an address or this machine, and a port. */
const USUAL_TARGET =
  /^http:\/\/(?:localhost|(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?=[0-9])|(?=:))){4}):(?:[1-9][0-9]{0,3}|[1-5][0-9]{4})$/;

function assertTarget(target: string): void {
  if (USUAL_TARGET.test(target)) return;
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(target)?.[1]?.toLowerCase();
  const isSocket = scheme === 'http+unix' || scheme === 'unix+http';
  const isRight = isSocket
    ? /^[a-z+]+:\/\/%2f[^/]/i.test(target)
    : (scheme === 'http' || scheme === 'https') && isUrl(target);

  if (!isRight || /[\u0000-\u0020\u007f]|\p{Surrogate}/u.test(target))
    throw new ProxyError('JTP_ERR_ROUTE_INVALID', {
      message: `target ${JSON.stringify(target)}: expected http://host:port, https://host:port or http+unix://%2Fpath`,
    });
}

/** Scheme and authority alone, as nearly all targets are: taking them apart costs more than all else about a route. */
const WITHOUT_PATH = /^https?:\/\/[^/?#\\]*\/*$/i;

/** The path that a target puts before every request's; empty for none. */
export function targetPath(target: string): string {
  if (WITHOUT_PATH.test(target)) return '';
  if (/^(?:http\+unix|unix\+http):/i.test(target)) {
    const slash = target.indexOf('/', target.indexOf('://') + 3);
    return slash < 0 ? '' : target.slice(slash).replace(/\/+$/, '');
  }
  return new URL(target).pathname.replace(/\/+$/, '');
}

/** Router and service of a normalized route. */
export function routeElements(route: HubRoute, options: ElementOptions): RouteElements {
  const serviceName = routeName('service', route.routespec);
  const { rule, priority } = routeRule(route.routespec);
  // The older spelling of JupyterHub's URLs for sockets.
  const url = route.target.replace(/^unix\+http:/i, 'http+unix:');
  const preservePath = options.preservePath && targetPath(url) !== '';
  // What an administrator adds (`extra_routes`) has no certificate of the hub's.
  const isHubs = /^https:/i.test(url) && route.data['extra'] !== true;
  const transport = isHubs ? options.transport : undefined;
  return {
    routerName: routeName('router', route.routespec),
    serviceName,
    router: {
      rule,
      entryPoints: listOf(options.entryPoint),
      service: serviceName,
      ...(priority === undefined ? {} : { priority }),
    },
    service: {
      loadBalancer: {
        servers: [{ url, ...(preservePath ? { preservePath } : {}) }],
        passHostHeader: options.passHostHeader ?? true,
        ...(transport === undefined ? {} : { serversTransport: transport }),
      },
    },
  };
}
