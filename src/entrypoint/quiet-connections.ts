// When there is no room for a client that comes, one of those that use none of what they hold has to go: kept connections between two
// requests, and those that have not brought a whole request yet. Whoever opens thousands of them keeps nobody else out.

/** A client's connection, in whatever state. */
export interface Evictable {
  /** Since when nothing has been in flight, on the scale of `Deadlines.now`; undefined while something is. */
  readonly quietSince: number | undefined;
  destroy(): void;
}

/** Connections looked at for one that has to go: what that costs must not depend on how many there are. */
const LOOKED_AT = 64;
/** A connection is left alone for so long: a client that is not far away has sent its next request by then. */
const LEAST_QUIET_MS = 1000;

/** Chooses among connections, which are looked at in turn. */
export class QuietConnections {
  readonly #connections: ReadonlySet<Evictable>;
  #hand: Iterator<Evictable>;

  constructor(connections: ReadonlySet<Evictable>) {
    this.#connections = connections;
    this.#hand = connections.values();
  }

  /** One that has been quiet for long, of the next few; undefined when none has. */
  find(now: number): Evictable | undefined {
    let quietest: Evictable | undefined;
    let since = now - LEAST_QUIET_MS;
    for (let looked = Math.min(LOOKED_AT, this.#connections.size); looked > 0; looked--) {
      const connection = this.#next();
      const quietSince = connection?.quietSince;
      if (quietSince === undefined || quietSince > since) continue;
      since = quietSince;
      quietest = connection;
    }
    return quietest;
  }

  #next(): Evictable | undefined {
    const next = this.#hand.next();
    if (next.done !== true) return next.value;
    this.#hand = this.#connections.values();
    const first = this.#hand.next();
    return first.done === true ? undefined : first.value;
  }
}
