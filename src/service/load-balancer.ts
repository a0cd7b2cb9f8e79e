// Which server of a service takes the next request: weighted round robin, smooth (a server with weight 2 of 3 is not asked twice in a
// row). Source: Traefik documentation, servers load balancer.

import type { Target } from '../upstream/target.ts';

/** A server with its share. */
export interface WeightedServer {
  readonly target: Target;
  readonly weight: number;
  readonly preservePath: boolean;
}

interface Turn {
  readonly server: WeightedServer;
  credit: number;
}

const NO_TURNS: readonly Turn[] = [];

/** The servers of one service. Nearly all have one: it is reached without a list, for large tables are not in the processor's caches. */
export class LoadBalancer {
  readonly passHostHeader: boolean;
  /** Undefined when there are several, or none. */
  readonly #only: WeightedServer | undefined;
  /** Empty when there is only one. */
  readonly #turns: readonly Turn[];

  constructor(servers: readonly WeightedServer[], passHostHeader: boolean) {
    const usable = servers.filter(({ weight }) => weight > 0);
    this.passHostHeader = passHostHeader;
    this.#only = usable.length === 1 ? usable[0] : undefined;
    this.#turns = usable.length < 2 ? NO_TURNS : usable.map((server) => ({ server, credit: 0 }));
  }

  /**
   * The server whose turn it is among those that are up; of none, the one whose turn it would be. Undefined when there are none at all, or
   * none but `tried`.
   */
  pick(tried?: readonly WeightedServer[]): WeightedServer | undefined {
    const only = this.#only;
    if (only !== undefined) return tried?.includes(only) === true ? undefined : only;
    return this.#next(tried, true) ?? (tried === undefined ? this.#next(undefined, false) : undefined);
  }

  #next(tried: readonly WeightedServer[] | undefined, mustBeUp: boolean): WeightedServer | undefined {
    let best: Turn | undefined;
    let total = 0;
    for (const turn of this.#turns) {
      const { server } = turn;
      if (tried?.includes(server) === true || (mustBeUp && !server.target.isAvailable)) continue;
      turn.credit += server.weight;
      total += server.weight;
      if (best === undefined || turn.credit > best.credit) best = turn;
    }
    if (best === undefined) return undefined;
    best.credit -= total;
    return best.server;
  }
}
