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
  readonly #total: number;

  constructor(servers: readonly WeightedServer[], passHostHeader: boolean) {
    this.servers = servers.filter(({ weight }) => weight > 0);
    this.passHostHeader = passHostHeader;
    this.#turns = this.servers.map((server) => ({ server, credit: 0 }));
    this.#total = this.servers.reduce((sum, { weight }) => sum + weight, 0);
  }

  /** The server whose turn it is; undefined when there is none. */
  pick(): WeightedServer | undefined {
    if (this.#turns.length <= 1) return this.#turns[0]?.server;
    let best: Turn | undefined;
    for (const turn of this.#turns) {
      turn.credit += turn.server.weight;
      if (best === undefined || turn.credit > best.credit) best = turn;
    }
    if (best === undefined) return undefined;
    best.credit -= this.#total;
    return best.server;
  }
}
