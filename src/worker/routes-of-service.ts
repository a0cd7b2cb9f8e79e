// Which routes name a service, for a service that comes, goes or changes. Nearly always it is one: a set of its own for each of 100,000
// services would be the largest part of the table.

import type { Route } from '../exchange/route.ts';

/** Routes by the name of their service, whether there is such a service or not. */
export class RoutesOfService {
  readonly #routes = new Map<string, Route | Set<Route>>();

  add(service: string, route: Route): void {
    const known = this.#routes.get(service);
    if (known === undefined) this.#routes.set(service, route);
    else if (known instanceof Set) known.add(route);
    else this.#routes.set(service, new Set([known, route]));
  }

  delete(service: string, route: Route): void {
    const known = this.#routes.get(service);
    if (known instanceof Set) known.delete(route);
    if (known === route || (known instanceof Set && known.size === 0)) this.#routes.delete(service);
  }

  /** In the order in which they were added. */
  of(service: string): Iterable<Route> {
    const known = this.#routes.get(service);
    if (known === undefined) return [];
    return known instanceof Set ? known : [known];
  }
}
