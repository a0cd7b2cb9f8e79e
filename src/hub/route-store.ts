// The hub's routes: in memory, on disk, and in the engine, in this order of truth:
//
//   change ──► queue ──► one durable write for all that wait ──► memory ──► engine ──► confirmed ──► answered
//                 └──────── the write fails: every change of that write is refused, memory has not moved
//
// One loop commits, so nothing overlaps. Changes that arrive while it does share the next commit.

import type { DynamicConfiguration, RouterConfiguration, ServiceConfiguration } from '../config/dynamic.ts';
import { errorText } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { DynamicPatch } from '../runtime/dynamic-patch.ts';
import type { RouteEngine } from './engine.ts';
import type { ElementOptions, HubRoute, RouteChange, RouteElements } from './route.ts';
import { normalizeRoute } from './route.ts';
import { normalizeRoutespec, routeName } from './routespec.ts';
import type { TableChange } from './routes-file.ts';
import type { WrittenRoute } from './routes-document.ts';
import { isSame } from './values.ts';

/** Where routes outlive the process: routes-on-disk.ts. Commits never overlap. */
export interface RoutePersistence {
  /** Rejects when there is nothing to begin with and nothing can be made. */
  readonly load: () => Promise<void>;
  /** Resolves when the change is durable; rejects with ProxyError JTP_ERR_STORE_WRITE, and then it has not happened. */
  readonly commit: (change: TableChange) => Promise<void>;
  /** Looks now at what others have done and heals it; rejects like `commit`. */
  readonly settle: () => Promise<void>;
  /** Resolves when what has been committed is still durable, whatever others have done; rejects like `commit`. */
  readonly assure: () => Promise<void>;
  /** Looks by itself from now on; calls back when what is configured beside the routes has changed. */
  readonly watch: (onForeignChange: () => void) => void;
  readonly close: () => Promise<void>;
  /** Routes become routers in another way from now on; false when no router changes by that. */
  readonly reconfigure: (elements: ElementOptions) => boolean;
  /** All routes with their routers and services. */
  readonly written: Iterable<WrittenRoute>;
  /** Router and service of a route that has been committed. */
  readonly elementsOf: (routespec: string) => RouteElements | undefined;
  /** What is configured beside the routes. */
  readonly foreign: DynamicConfiguration;
}

/** What a store is made of. */
export interface RouteStoreOptions {
  readonly persistence: RoutePersistence;
  readonly engine: RouteEngine;
  readonly log: Logger;
}

/** Routes that are handed over at once at the start. */
const PART = 250;

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
  /** The last change that the engine was given. */
  #applied: Promise<void> = Promise.resolve();
  #newElements: ElementOptions | undefined;
  /** The last commit failed. */
  #isRefusing = false;
  #isStarted = false;
  #isStopped = false;

  constructor(options: RouteStoreOptions) {
    this.#persistence = options.persistence;
    this.#engine = options.engine;
    this.#log = options.log;
  }

  /** Loads what is on disk and gives it to the engine; rejects when there is no file and none can be made. */
  async start(): Promise<void> {
    await this.#persistence.load();
    // Not all at once: workers begin with the first routes while the others are prepared.
    await this.#engine.replace(this.#persistence.foreign);
    let part = new Map<string, HubRoute>();
    for (const { route } of this.#persistence.written) {
      this.#routes.set(route.routespec, route);
      part.set(route.routespec, route);
      if (part.size < PART) continue;
      await this.#engine.apply(this.#patch(part));
      await new Promise(setImmediate);
      part = new Map();
    }
    if (part.size > 0) await this.#engine.apply(this.#patch(part));
    this.#isStarted = true;
    this.#persistence.watch(() => {
      this.#handOver(this.#engine.replace(this.#configuration()));
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
    this.#kick();
  }

  /** Looks at the file now, whether or not somebody has said that it changed; rejects when it cannot be brought in order. */
  async reload(): Promise<void> {
    await this.#persistence.settle();
  }

  /** Finishes what has been begun; a file that somebody has just damaged is healed first. */
  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    while (this.#work !== undefined) await this.#work;
    // What stands in the way has been logged.
    if (this.#isStarted) await this.#persistence.settle().catch(() => undefined);
    await this.#persistence.close();
    await this.#engine.close();
  }

  #kick(): void {
    if (this.#work !== undefined) return;
    this.#work = this.#run().finally(() => {
      this.#work = undefined;
      // Something may have arrived after the last look.
      if (this.#queue.length > 0 || this.#newElements !== undefined) this.#kick();
    });
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0 || this.#newElements !== undefined) {
      this.#reconfigure();
      // Everything that the system has already received shares this commit: what one costs beside the changes is most of it.
      await new Promise(setImmediate);
      const requests = this.#queue;
      this.#queue = [];
      try {
        await this.#commit(requests);
      } catch (error) {
        this.#onRefused(error);
        for (const { reject } of requests) reject(error);
      }
    }
  }

  #reconfigure(): void {
    const elements = this.#newElements;
    this.#newElements = undefined;
    if (elements === undefined || !this.#persistence.reconfigure(elements)) return;
    this.#handOver(this.#engine.replace(this.#configuration()));
  }

  async #commit(requests: readonly Request[]): Promise<void> {
    const effective = new Map<string, HubRoute | undefined>();
    for (const { change } of requests)
      for (const [routespec, route] of change)
        if (isSame(this.#routes.get(routespec), route)) effective.delete(routespec);
        else effective.set(routespec, route);
    if (effective.size > 0) {
      await this.#persistence.commit(effective);
      if (this.#isRefusing) this.#log.info('changes of routes can be kept again');
      this.#isRefusing = false;
    } else await this.#persistence.assure();
    for (const [routespec, route] of effective)
      if (route === undefined) this.#routes.delete(routespec);
      else this.#routes.set(routespec, route);
    // A change that changes nothing may be the repetition of one that is not live yet.
    if (effective.size > 0) this.#applied = this.#engine.apply(this.#patch(effective));
    for (const request of requests) this.#handOver(this.#answer(request, this.#applied));
  }

  async #answer({ change, resolve, reject }: Request, applied: Promise<void>): Promise<void> {
    try {
      await applied;
      await this.#engine.confirm(change.keys());
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

  #onRefused(error: unknown): void {
    if (!this.#isRefusing)
      this.#log.error(
        { reason: errorText(error) },
        'a change of routes is refused because it cannot be kept; the routes stay as they are',
      );
    this.#isRefusing = true;
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
      const elements = this.#persistence.elementsOf(routespec);
      if (elements === undefined) continue;
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
