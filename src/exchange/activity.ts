// When something last happened on each route: stored on the route when a response ends, collected once a second. What passes through tunnels
// is asked of the tunnels then, so that no byte of theirs costs anything here.

import type { Deadlines } from '../http1/deadlines.ts';
import type { Request } from '../http1/request.ts';
import type { Timings } from '../observe/timings.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import type { Route } from './route.ts';

/** The clocks of one route, on the scale of `Deadlines.now`. */
export interface RouteClocks {
  lastAt: number;
  /** Of what a person does; 0 = nothing yet. */
  lastUserAt: number;
  isTouched: boolean;
}

/** What a worker has to tell about a route: how long ago, in milliseconds; a user's doing only if there was any. */
export interface ActivityEntry {
  readonly router: string;
  readonly agoMs: number;
  readonly userAgoMs?: number;
}

/** The activity on the routes of one worker. */
export class ActivityRecorder {
  readonly #deadlines: Deadlines;
  readonly #tunnels: Iterable<Tunnel>;
  readonly #timings: Timings | undefined;
  #touched: Route[] = [];
  #collectedAt: number;

  /** `timings`: where to note how long `record` takes. */
  constructor(deadlines: Deadlines, tunnels: Iterable<Tunnel>, timings?: Timings) {
    this.#timings = timings;
    this.#deadlines = deadlines;
    this.#tunnels = tunnels;
    this.#collectedAt = deadlines.now;
  }

  /** A response has ended; only those that went well count. Source of that rule: configurable-http-proxy. */
  record(route: Route | undefined, request: Request, status: number): void {
    if (route === undefined || status >= 300) return;
    if (this.#timings === undefined) {
      this.#touch(route, request);
      return;
    }
    const begun = performance.now();
    this.#touch(route, request);
    this.#timings.note(performance.now() - begun);
  }

  #touch(route: Route, request: Request): void {
    const { now } = this.#deadlines;
    const clocks = (route.clocks ??= { lastAt: 0, lastUserAt: 0, isTouched: false });
    clocks.lastAt = now;
    if (!isPolling(request)) clocks.lastUserAt = now;
    if (clocks.isTouched) return;
    clocks.isTouched = true;
    this.#touched.push(route);
  }

  /** What has happened since the last call. */
  collect(): readonly ActivityEntry[] {
    const { now } = this.#deadlines;
    // Of the monotonic clock, which `now` is a coarse reading of.
    const age = (at: number): number => Math.max(0, Math.round(performance.now() - at));
    const entries: ActivityEntry[] = [];
    for (const { name, clocks } of this.#touched) {
      if (clocks === undefined) continue;
      clocks.isTouched = false;
      const { lastAt, lastUserAt } = clocks;
      entries.push({
        router: name,
        agoMs: age(lastAt),
        ...(lastUserAt === 0 ? {} : { userAgoMs: age(lastUserAt) }),
      });
    }
    this.#touched = [];
    for (const tunnel of this.#tunnels) {
      const { lastActivityAt, lastDataAt, clientDataFrames, serverDataFrames } = tunnel;
      if (lastActivityAt < this.#collectedAt) continue;
      // Having been opened is no data yet.
      const hasData = lastDataAt > tunnel.openedAt || clientDataFrames + serverDataFrames > 0;
      entries.push({
        router: tunnel.router,
        agoMs: age(lastActivityAt),
        ...(hasData ? { userAgoMs: age(lastDataAt) } : {}),
      });
    }
    this.#collectedAt = now;
    return entries;
  }
}

/** An open tab asks the API of its server every few seconds, whether or not anybody sits before it. */
function isPolling({ method, target }: Request): boolean {
  return (method === 'GET' || method === 'HEAD' || method === 'OPTIONS') && target.includes('/api/');
}
