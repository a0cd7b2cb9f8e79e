// When something last happened on each route, as the REST API of configurable-http-proxy tells it.

import type { RouteActivity } from '../api/chp-api.ts';
import type { HubRoute } from '../hub/route.ts';

/** One clock for all routes. */
export class RouteClock implements RouteActivity {
  readonly #routes: ReadonlyMap<string, HubRoute>;
  readonly #times = new Map<string, number>();
  /** For routes that were there before this controller. */
  readonly #start = Date.now();

  constructor(routes: ReadonlyMap<string, HubRoute>) {
    this.#routes = routes;
  }

  lastActivity(routespec: string): number {
    return this.#times.get(routespec) ?? this.#start;
  }

  begin(routespec: string): void {
    this.#times.set(routespec, Date.now());
    if (this.#times.size > 2 * this.#routes.size + 1000) this.#forget();
  }

  /** Of routes that are gone. */
  #forget(): void {
    for (const routespec of this.#times.keys())
      if (!this.#routes.has(routespec)) this.#times.delete(routespec);
  }
}
