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
  readonly #connections: Set<Evictable>;

  /** `connections` stays the caller's; those that have been looked at are put at its end. */
  constructor(connections: Set<Evictable>) {
    this.#connections = connections;
  }

  /** One that has been quiet for long, of the next few; undefined when none has. */
  find(now: number): Evictable | undefined {
    let quietest: Evictable | undefined;
    let since = now - LEAST_QUIET_MS;
    for (const connection of this.#next()) {
      // In the set itself, not by an iterator that is kept: that would keep every connection there ever was in memory.
      this.#connections.delete(connection);
      this.#connections.add(connection);
      const { quietSince } = connection;
      if (quietSince === undefined || quietSince > since) continue;
      since = quietSince;
      quietest = connection;
    }
    return quietest;
  }

  #next(): Evictable[] {
    const next: Evictable[] = [];
    for (const connection of this.#connections) {
      if (next.length === LOOKED_AT) break;
      next.push(connection);
    }
    return next;
  }
}
