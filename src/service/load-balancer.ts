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

/** The servers of one service. */
export class LoadBalancer {
  readonly servers: readonly WeightedServer[];
  readonly passHostHeader: boolean;
  readonly #turns: readonly Turn[];

  constructor(servers: readonly WeightedServer[], passHostHeader: boolean) {
    this.servers = servers.filter(({ weight }) => weight > 0);
    this.passHostHeader = passHostHeader;
    this.#turns = this.servers.map((server) => ({ server, credit: 0 }));
  }

  /**
   * The server whose turn it is among those that are up; of none, the one whose turn it would be. Undefined when there are none at all, or
   * none but `tried`.
   */
  pick(tried?: readonly WeightedServer[]): WeightedServer | undefined {
    if (tried === undefined && this.#turns.length <= 1) return this.#turns[0]?.server;
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
