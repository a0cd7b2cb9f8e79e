// Routes whose store of record is a module of the operator's. A change is made there first; what somebody else has changed there is seen
// within seconds, so that several proxies can share a store. Requests never wait for it: the workers have a table of their own.

import { isDeepStrictEqual } from 'node:util';
import * as z from 'zod';
import { pathOfRoutespec, routespecOfShownPath } from '../api/chp-path.ts';
import type { RouteActivity } from '../api/requests.ts';
import { errorText } from '../errors.ts';
import type { HubRoute, Json, RouteChange } from '../hub/route.ts';
import { normalizeRoute } from '../hub/route.ts';
import { normalizeRoutespec } from '../hub/routespec.ts';
import type { Logger } from '../log.ts';
import type { MemoryTable } from './memory-table.ts';
import type { StorageBackend } from './storage-module.ts';

/** How often the store is looked at, and told when routes were used. */
const LOOK_MS = 2000;

const json: z.ZodType<Json> = z.json();
const storedRoute = z.looseObject({
  target: z.string(),
  last_activity: z.union([z.date(), z.string(), z.number()]).optional(),
});

/** The clocks of routes, which the store may know more about. */
export interface StoredActivity extends RouteActivity {
  /** The route was used at this time, in ms since the epoch. */
  readonly restore: (routespec: string, at: number) => void;
}

/** What a table is made of. */
export interface ModuleTableOptions {
  readonly backend: StorageBackend;
  /** What the workers have. */
  readonly table: MemoryTable;
  /** The first part of a path is a host. */
  readonly hostRouting: boolean;
  readonly log: Logger;
  /** For tests; default LOOK_MS. */
  readonly lookMs?: number;
}

/** See the head of this file. */
export class ModuleTable {
  readonly #options: ModuleTableOptions;
  #last: Promise<unknown> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #activity: StoredActivity | undefined;
  /** When a route was used, as the store knows it; in ms since the epoch. */
  readonly #stored = new Map<string, number>();
  #isStopped = false;
  #hasFailed = false;
  /** Paths that were complained about. */
  #unusable = new Set<string>();

  constructor(options: ModuleTableOptions) {
    this.#options = options;
  }

  get routes(): ReadonlyMap<string, HubRoute> {
    return this.#options.table.routes;
  }

  /** Takes what is in the store; rejects when that cannot be read. */
  async start(): Promise<void> {
    await this.#options.table.start();
    await this.reload();
  }

  /** From now on the clocks are kept in the store. */
  keep(activity: StoredActivity): void {
    this.#activity = activity;
    for (const [routespec, at] of this.#stored) activity.restore(routespec, at);
    this.#lookLater();
  }

  /** Reads the store; rejects when it cannot be read. */
  reload(): Promise<void> {
    return this.#inTurn(() => this.#read());
  }

  /** Resolves when the change is in the store, and live; rejects with JTP_ERR_ROUTE_INVALID, or whatever the store's trouble is. */
  change(change: RouteChange): Promise<void> {
    const add = change.add.map(normalizeRoute);
    const remove = change.remove.map(normalizeRoutespec);
    return this.#inTurn(async () => {
      const { backend, table } = this.#options;
      for (const routespec of remove) await backend.remove(pathOfRoutespec(routespec));
      for (const { routespec, target, data } of add) {
        const path = pathOfRoutespec(routespec);
        const now = new Date();
        await backend.add(path, { ...data, target });
        await backend.update(path, { last_activity: now });
        this.#stored.set(routespec, now.getTime());
      }
      await table.change({ add, remove });
    });
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  /** One after the other: what is read must not be older than what was written. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }

  #lookLater(): void {
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => {
      void this.#look().finally(() => {
        this.#lookLater();
      });
    }, this.#options.lookMs ?? LOOK_MS);
    this.#timer.unref();
  }

  async #look(): Promise<void> {
    const { log } = this.#options;
    try {
      await this.reload();
      // Only of routes that are still there.
      await this.#inTurn(() => this.#tellActivity());
      if (this.#hasFailed) log.info('the storage backend can be reached again');
      this.#hasFailed = false;
    } catch (error) {
      if (!this.#hasFailed)
        log.error(
          { reason: errorText(error) },
          'the storage backend fails; the routes stay as they are until it answers',
        );
      this.#hasFailed = true;
    }
  }

  async #tellActivity(): Promise<void> {
    const { backend } = this.#options;
    for (const routespec of this.routes.keys()) {
      const at = this.#activity?.clocks(routespec).last ?? 0;
      if (at <= (this.#stored.get(routespec) ?? 0)) continue;
      await backend.update(pathOfRoutespec(routespec), { last_activity: new Date(at) });
      this.#stored.set(routespec, at);
    }
  }

  async #read(): Promise<void> {
    const { backend, table } = this.#options;
    const all = z.record(z.string(), z.unknown()).parse((await backend.getAll()) ?? {});
    const present = new Set<string>();
    const add: HubRoute[] = [];
    const unusable = new Set<string>();
    for (const [path, stored] of Object.entries(all)) {
      const route = this.#routeOf(path, stored);
      if (route === undefined) {
        unusable.add(path);
        continue;
      }
      present.add(route.routespec);
      const known = table.routes.get(route.routespec);
      if (known === undefined || !isSame(known, route)) add.push(route);
    }
    this.#complain(unusable);
    const remove = [...table.routes.keys()].filter((routespec) => !present.has(routespec));
    for (const routespec of remove) this.#stored.delete(routespec);
    if (add.length + remove.length > 0) await table.change({ add, remove });
  }

  /** Undefined when it cannot be used. */
  #routeOf(path: string, stored: unknown): HubRoute | undefined {
    const parsed = storedRoute.safeParse(stored);
    if (!parsed.success) return undefined;
    const { target, last_activity: used, ...rest } = parsed.data;
    const routespec = routespecOfShownPath(path, this.#options.hostRouting);
    if (routespec === undefined) return undefined;
    try {
      // As the REST API will show it.
      const data = z.record(z.string(), json).parse(JSON.parse(JSON.stringify(rest)));
      const route = normalizeRoute({ routespec, target, data });
      const at = used === undefined ? NaN : new Date(used).getTime();
      if (at > (this.#stored.get(route.routespec) ?? 0)) {
        this.#stored.set(route.routespec, at);
        this.#activity?.restore(route.routespec, at);
      }
      return route;
    } catch {
      // A target, data or a path that no route can have.
      return undefined;
    }
  }

  #complain(unusable: Set<string>): void {
    for (const path of unusable)
      if (!this.#unusable.has(path))
        this.#options.log.error({ path }, 'what the storage backend has under this path is no route');
    this.#unusable = unusable;
  }
}

function isSame(one: HubRoute, other: HubRoute): boolean {
  return one.target === other.target && isDeepStrictEqual(one.data, other.data);
}
