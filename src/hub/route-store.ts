// The hub's routes: in memory, on disk, and in the engine, in this order of truth:
//
//   change ──► queue ──► one durable write for all that wait ──► memory ──► engine ──► confirmed ──► answered
//                 └──────── the write fails: every change of that write is refused, memory has not moved
//
// One loop does all file work, so nothing overlaps. Changes that arrive while it writes share the next write.

import type { DynamicConfiguration, RouterConfiguration, ServiceConfiguration } from '../config/dynamic.ts';
import { errorText } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { DynamicPatch } from '../runtime/dynamic-patch.ts';
import type { RouteEngine } from './engine.ts';
import type { ElementOptions, HubRoute, RouteChange } from './route.ts';
import { normalizeRoute } from './route.ts';
import { normalizeRoutespec, routeName } from './routespec.ts';
import type { Inspection, LoadedRoutes, TableChange } from './routes-file.ts';
import type { WrittenRoute } from './routes-document.ts';
import { isSame } from './values.ts';

/** A file that may be in the making is looked at again after this time. */
const SETTLE_MS = 150;
/** After a write has failed, the next attempt without a new change: first after, then twice as long, at most. */
const RETRY_MS = 1000;
const MAX_RETRY_MS = 30_000;

/** Where routes outlive the process: today the file itself (routes-file.ts). Calls never overlap. */
export interface RoutePersistence {
  readonly load: () => Promise<LoadedRoutes>;
  readonly commit: (change: TableChange) => Promise<void>;
  readonly inspect: (isUrgent: boolean) => Promise<Inspection>;
  readonly watch: (onChange: () => void) => Promise<void>;
  readonly unwatch: () => void;
  /** Routes become routers in another way from now on; false when no router changes by that. */
  readonly reconfigure: (elements: ElementOptions) => boolean;
  /** All routes with their routers and services. */
  readonly written: readonly WrittenRoute[];
  readonly write: (route: HubRoute) => WrittenRoute;
  /** What is configured beside the routes. */
  readonly foreign: DynamicConfiguration;
}

/** What a store is made of. */
export interface RouteStoreOptions {
  readonly persistence: RoutePersistence;
  readonly engine: RouteEngine;
  readonly log: Logger;
}

interface Request {
  readonly change: TableChange;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** See the head of this file. */
export class RouteStore {
  readonly #persistence: RoutePersistence;
  readonly #engine: RouteEngine;
  readonly #log: Logger;
  readonly #routes = new Map<string, HubRoute>();
  #queue: Request[] = [];
  #work: Promise<void> | undefined;
  #mustInspect = false;
  #newElements: ElementOptions | undefined;
  /** The file does not say what memory says. */
  #isDirty = false;
  #failures = 0;
  #settleTimer: NodeJS.Timeout | undefined;
  #retryTimer: NodeJS.Timeout | undefined;
  #isStarted = false;
  #isStopped = false;

  constructor(options: RouteStoreOptions) {
    this.#persistence = options.persistence;
    this.#engine = options.engine;
    this.#log = options.log;
  }

  /** Loads what is on disk and gives it to the engine; rejects when there is no file and none can be made. */
  async start(): Promise<void> {
    const { routes, needsWrite, exists } = await this.#persistence.load();
    for (const route of routes) this.#routes.set(route.routespec, route);
    if (needsWrite)
      try {
        await this.#persistence.commit(new Map());
      } catch (error) {
        if (!exists) throw error;
        this.#onWriteFailed(error);
      }
    await this.#engine.replace(this.#configuration());
    this.#isStarted = true;
    await this.#persistence.watch(() => {
      this.#mustInspect = true;
      this.#kick();
    });
  }

  /** By routespec, exactly as they were added. */
  get routes(): ReadonlyMap<string, HubRoute> {
    return this.#routes;
  }

  /** Resolves when the change is durable and live; rejects with a ProxyError, see `RouteEngine.confirm` and `RoutesFile.commit`. */
  change({ add, remove }: RouteChange): Promise<void> {
    const change = new Map<string, HubRoute | undefined>();
    for (const routespec of remove) change.set(normalizeRoutespec(routespec), undefined);
    for (const given of add) {
      const route = normalizeRoute(given);
      change.set(route.routespec, route);
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ change, resolve, reject });
      this.#kick();
    });
  }

  /** Routes become routers in another way from now on: the engine turned out to be another one than was thought. */
  reconfigure(elements: ElementOptions): void {
    this.#newElements = elements;
    this.#mustInspect = true;
    this.#kick();
  }

  /** Looks at the file now, whether or not somebody has said that it changed. */
  async reload(): Promise<void> {
    await this.change({ add: [], remove: [] });
  }

  /** Finishes what has been begun; a file that somebody has just damaged is healed first. */
  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    // What stands in the way has been logged.
    if (this.#isStarted) await this.reload().catch(() => undefined);
    this.#persistence.unwatch();
    clearTimeout(this.#settleTimer);
    clearTimeout(this.#retryTimer);
    await this.#work;
    await this.#engine.close();
  }

  #kick(): void {
    if (this.#work !== undefined) return;
    this.#work = this.#run().finally(() => {
      this.#work = undefined;
      // Something may have arrived after the last look.
      if (this.#queue.length > 0) this.#kick();
    });
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0 || this.#mustInspect) {
      const requests = this.#queue;
      this.#queue = [];
      this.#mustInspect = false;
      try {
        this.#reconfigure();
        await this.#inspect(requests.length > 0);
        await this.#commit(requests);
      } catch (error) {
        this.#onWriteFailed(error);
        for (const { reject } of requests) reject(error);
      }
    }
  }

  #reconfigure(): void {
    const elements = this.#newElements;
    this.#newElements = undefined;
    if (elements === undefined || !this.#persistence.reconfigure(elements)) return;
    this.#isDirty = true;
    this.#handOver(this.#engine.replace(this.#configuration()));
  }

  async #inspect(isUrgent: boolean): Promise<void> {
    const inspection = await this.#persistence.inspect(isUrgent);
    if (inspection.kind === 'unsettled' && !this.#isStopped) {
      clearTimeout(this.#settleTimer);
      this.#settleTimer = setTimeout(() => {
        this.#mustInspect = true;
        this.#kick();
      }, SETTLE_MS);
    }
    if (inspection.kind !== 'changed') return;
    if (inspection.needsWrite) this.#isDirty = true;
    if (inspection.foreignChanged) this.#handOver(this.#engine.replace(this.#configuration()));
  }

  async #commit(requests: readonly Request[]): Promise<void> {
    const wanted = new Map<string, HubRoute | undefined>();
    for (const { change } of requests) for (const [routespec, route] of change) wanted.set(routespec, route);
    const effective = new Map(
      [...wanted].filter(([routespec, route]) => !isSame(this.#routes.get(routespec), route)),
    );
    if (effective.size > 0 || this.#isDirty) await this.#persistence.commit(effective);
    if (this.#failures > 0) this.#log.info('the routes file can be written again');
    this.#isDirty = false;
    this.#failures = 0;
    for (const [routespec, route] of effective)
      if (route === undefined) this.#routes.delete(routespec);
      else this.#routes.set(routespec, route);
    const applied = effective.size === 0 ? Promise.resolve() : this.#engine.apply(this.#patch(effective));
    for (const request of requests) this.#handOver(this.#answer(request, applied));
  }

  async #answer({ change, resolve, reject }: Request, applied: Promise<void>): Promise<void> {
    try {
      await applied;
      await this.#engine.confirm([...change.keys()].map((routespec) => routeName('router', routespec)));
      resolve();
    } catch (error) {
      reject(error);
    }
  }

  /** Goes on beside the loop: the next write does not wait for the engine. */
  #handOver(work: Promise<void>): void {
    work.catch((error: unknown) => {
      this.#log.error({ reason: errorText(error) }, 'the engine did not take a change of the routes file');
    });
  }

  #onWriteFailed(error: unknown): void {
    this.#isDirty = true;
    this.#failures++;
    if (this.#failures === 1)
      this.#log.error(
        { reason: errorText(error) },
        'a change of routes is refused because it cannot be kept; the routes stay as they are',
      );
    if (this.#isStopped) return;
    clearTimeout(this.#retryTimer);
    const delay = Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** Math.min(this.#failures - 1, 10));
    this.#retryTimer = setTimeout(() => {
      this.#mustInspect = true;
      this.#kick();
    }, delay);
    this.#retryTimer.unref();
  }

  #patch(effective: TableChange): DynamicPatch {
    const setRouters = new Map<string, RouterConfiguration>();
    const setServices = new Map<string, ServiceConfiguration>();
    const deleteRouters: string[] = [];
    const deleteServices: string[] = [];
    for (const [routespec, route] of effective) {
      if (route === undefined) {
        deleteRouters.push(routeName('router', routespec));
        deleteServices.push(routeName('service', routespec));
        continue;
      }
      const { elements } = this.#persistence.write(route);
      setRouters.set(elements.routerName, elements.router);
      setServices.set(elements.serviceName, elements.service);
    }
    return { setRouters, setServices, deleteRouters, deleteServices };
  }

  #configuration(): DynamicConfiguration {
    const { foreign, written } = this.#persistence;
    const routers = new Map(foreign.routers);
    const services = new Map(foreign.services);
    for (const { elements } of written) {
      routers.set(elements.routerName, elements.router);
      services.set(elements.serviceName, elements.service);
    }
    return { ...foreign, routers, services };
  }
}
