// When something last happened on each route of the hub, merged over all workers. It outlives the program in a file of its own beside the
// routes, written now and then and at the end: what a crash takes is at most the last half minute.

import * as z from 'zod';
import type { Logger } from '../log.ts';
import type { HubRoute } from './route.ts';
import { routespecOfRouter } from './routespec.ts';
import { StateFile } from './state-file.ts';

const SAVE_MS = 30_000;
/** Workers know routers by their qualified names. */
const PROVIDER_SUFFIX = '@file';

/** What a worker tells about one router. */
export interface ActivityReport {
  /** Qualified: `router__2F@file`. */
  readonly router: string;
  readonly agoMs: number;
  readonly userAgoMs?: number | undefined;
}

/** Milliseconds since the epoch; `user` is 0 when no user has done anything yet. */
interface Clocks {
  last: number;
  user: number;
  /** False from when the route was added until something passed. */
  isUsed: boolean;
}

const saved = z.object({ routes: z.record(z.string(), z.tuple([z.number(), z.number()])) });

/** What an activity clock is made of. */
export interface ActivityClockOptions {
  readonly routes: ReadonlyMap<string, HubRoute>;
  /** Where it is kept. */
  readonly file: string;
  readonly log: Logger;
}

/** One clock for all routes. */
export class ActivityClock {
  readonly #options: ActivityClockOptions;
  /** By routespec. */
  readonly #clocks = new Map<string, Clocks>();
  /** For routes of which nothing is known. */
  readonly #start = Date.now();
  readonly #unknown = { last: this.#start, user: 0 };
  readonly #timer: NodeJS.Timeout;
  readonly #file: StateFile<z.infer<typeof saved>>;
  #isChanged = false;

  constructor(options: ActivityClockOptions) {
    this.#options = options;
    this.#file = new StateFile({
      ...options,
      schema: saved,
      unreadable: 'the activity of routes begins anew: its file cannot be read',
      unwritable: 'the activity of routes cannot be kept for the next start',
    });
    this.#load();
    this.#timer = setInterval(() => {
      this.save();
    }, SAVE_MS);
    this.#timer.unref();
  }

  /** Milliseconds since the epoch; `user`: of what a user did, 0 when that is nothing so far. */
  clocks(routespec: string): { readonly last: number; readonly user: number } {
    return this.#clocks.get(routespec) ?? this.#unknown;
  }

  /** Whether anything has passed since the route was added. */
  isUsed(routespec: string): boolean {
    return this.#clocks.get(routespec)?.isUsed ?? false;
  }

  /** The route was added or replaced just now. */
  begin(routespec: string): void {
    this.#clocks.set(routespec, { last: Date.now(), user: 0, isUsed: false });
    this.#isChanged = true;
    if (this.#clocks.size > 2 * this.#options.routes.size + 1000) this.#forget();
  }

  /** Somebody else knows that the route was used at this time, in milliseconds since the epoch. */
  restore(routespec: string, at: number): void {
    const clocks = this.#clocks.get(routespec);
    if (clocks === undefined) this.#clocks.set(routespec, { last: at, user: 0, isUsed: true });
    else clocks.last = Math.max(clocks.last, at);
    this.#isChanged = true;
  }

  /** From a worker. */
  note(reports: readonly ActivityReport[]): void {
    const now = Date.now();
    for (const { router, agoMs, userAgoMs } of reports) {
      const routespec = routespecOfRouter(router.slice(0, -PROVIDER_SUFFIX.length));
      if (routespec === undefined || !router.endsWith(PROVIDER_SUFFIX)) continue;
      let clocks = this.#clocks.get(routespec);
      if (clocks === undefined) {
        clocks = { last: this.#start, user: 0, isUsed: true };
        this.#clocks.set(routespec, clocks);
      }
      clocks.isUsed = true;
      clocks.last = Math.max(clocks.last, now - agoMs);
      if (userAgoMs !== undefined) clocks.user = Math.max(clocks.user, now - userAgoMs);
    }
    if (reports.length > 0) this.#isChanged = true;
  }

  /** Of routes that are gone. */
  #forget(): void {
    for (const routespec of this.#clocks.keys())
      if (!this.#options.routes.has(routespec)) this.#clocks.delete(routespec);
  }

  /** Writes what has changed; a failure is logged once, because routes do not depend on it. */
  save(): void {
    if (!this.#isChanged) return;
    const kept: Record<string, [number, number]> = {};
    for (const routespec of this.#options.routes.keys()) {
      const clocks = this.#clocks.get(routespec);
      if (clocks !== undefined) kept[routespec] = [clocks.last, clocks.user];
    }
    if (this.#file.save({ routes: kept })) this.#isChanged = false;
  }

  close(): void {
    clearInterval(this.#timer);
    this.save();
  }

  #load(): void {
    for (const [routespec, [last, user]] of Object.entries(this.#file.load()?.routes ?? {}))
      this.#clocks.set(routespec, {
        last: Math.min(last, this.#start),
        user: Math.min(user, this.#start),
        isUsed: true,
      });
  }
}
