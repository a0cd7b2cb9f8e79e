// What a matching router leads to: the middlewares to pass and the service that answers. Built once per router and worker.

import type { Middleware } from '../middleware/middleware.ts';
import type { Scope } from '../observe/traffic.ts';
import type { LoadBalancer } from '../service/load-balancer.ts';
import type { Target } from '../upstream/target.ts';
import type { RouteClocks } from './activity.ts';

/** Some servers, one of which answers. */
export interface BalancedService {
  readonly kind: 'loadBalancer';
  readonly name: string;
  readonly balancer: LoadBalancer;
  /** Where its requests are counted, if they are. */
  readonly scope?: Scope | undefined;
}

/** Who answers. */
export type Service =
  | BalancedService
  /** The controller, over its private socket. */
  | {
      readonly kind: 'controller';
      readonly name: string;
      readonly target: Target;
      readonly scope?: undefined;
    }
  | { readonly kind: 'noop'; readonly name: string; readonly scope?: undefined }
  | { readonly kind: 'stopped'; readonly name: string; readonly scope?: undefined };

/** One enabled router as a worker sees it. */
export interface Route {
  readonly name: string;
  /** What the handshake of its clients must have been made with; undefined for plaintext. */
  readonly tlsOptions: string | undefined;
  readonly chain: readonly Middleware[];
  /** Undefined while the service is not there (yet): 503. */
  service: Service | undefined;
  /** Segments of the prefix that the router's rule asks for; only where it is cut off (see rewriting.ts). */
  readonly prefixDepth?: number;
  /** Where its requests are counted, if they are. */
  readonly scope?: Scope | undefined;
  /** It leads to a service of the proxy itself. */
  readonly isInternal?: boolean;
  /** See activity.ts. */
  clocks?: RouteClocks;
}

/** Answers which route takes a request. */
export interface RouteFinder {
  /** Undefined: no router matches. Throws ProxyError JTP_ERR_HTTP_TARGET for a path that means nothing. */
  find(request: RoutableRequest): Route | undefined;
}

/** What rules can ask about a request. */
export interface RoutableRequest {
  readonly method: string;
  readonly host: string;
  /** In origin form, as received. */
  readonly target: string;
  readonly isTls: boolean;
  readonly remoteAddress: string;
  /** All values of a header; the name in lower case. */
  readonly headerValues: (name: string) => readonly string[];
}
