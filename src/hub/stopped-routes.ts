// What becomes of the tabs of a stopped server: its route is gone, so everything they poll would reach the hub. Removed prefixes are
// remembered until a route covers them again; meanwhile the engine answers polls of an API and WebSockets there with 424, as JupyterHub does.
// A person who opens such a page still gets to the hub.

import { setTimeout as delay } from 'node:timers/promises';
import * as z from 'zod';
import type { DynamicConfiguration, RouterConfiguration } from '../config/dynamic.ts';
import type { Logger } from '../log.ts';
import type { LiveTable } from './engine.ts';
import type { HubRoute, RouteChange } from './route.ts';
import { ancestorsOf, PrefixSet } from './prefix-set.ts';
import { normalizeRoutespec, routeName, routeRule } from './routespec.ts';
import { StateFile } from './state-file.ts';

/** The name of the routers' provider. */
const PROVIDER = 'stopped';
/** Answers 424. */
const SERVICE = 'stopped@internal';

/** More are forgotten, the oldest first. */
const MAX_REMEMBERED = 10_000;
/** The engine is told at most this often: each telling wakes every worker, and so does the change itself. */
const TELL_MS = 20;
/** A burst of changes is written once, so long after its first. */
const SAVE_MS = 1000;

/** Neither a person who looks at a page, nor a page that does not poll. */
const POLLS =
  '!HeaderRegexp(`Accept`, `text/html`) && ( HeaderRegexp(`Upgrade`, `.`) || PathRegexp(`/api(/|$)`) || HeaderRegexp(`Accept`, `application/json`) )';

/** What stopped routes are remembered with. */
export interface StoppedRoutesOptions {
  readonly engine: LiveTable;
  readonly routes: ReadonlyMap<string, HubRoute>;
  readonly entryPoint: string;
  /** Remembered here for whoever takes this controller's place: what a killed one was told in its last second is forgotten. */
  readonly file: string;
  readonly log: Logger;
}

/** The removed prefixes of one hub. */
export class StoppedRoutes {
  readonly #options: StoppedRoutesOptions;
  /** In the order in which they were removed. */
  readonly #stopped = new PrefixSet();
  /** What the engine has not been told yet: changes that are made together are told together. */
  #set = new Map<string, RouterConfiguration>();
  #deleted = new Set<string>();
  #told: Promise<void> | undefined;
  #toldAt = -Infinity;
  readonly #file: StateFile<string[]>;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: StoppedRoutesOptions) {
    this.#options = options;
    this.#file = new StateFile({
      ...options,
      schema: z.array(z.string()),
      // Tabs reach the hub until their routes are removed again: no more than that.
      unreadable: 'removed routes are forgotten: their file cannot be read',
      unwritable: 'removed routes cannot be remembered for the next start',
    });
  }

  /** Before the workers come. */
  async start(): Promise<void> {
    this.#load();
    const routers = new Map([...this.#stopped].map((spec) => [routerName(spec), this.#router(spec)]));
    const configuration: DynamicConfiguration = {
      routers,
      services: new Map(),
      middlewares: new Map(),
      serversTransports: new Map(),
      tls: { certificates: [] },
    };
    await this.#options.engine.replace(PROVIDER, configuration);
  }

  /** After a change has been made; resolves when the engine has taken what follows from it. */
  async onChange({ add, remove }: RouteChange): Promise<void> {
    for (const given of remove) {
      const spec = normalizeRoutespec(given);
      if (isRoot(spec) || this.#options.routes.has(spec) || this.#isCovered(spec)) continue;
      this.#stopped.delete(spec);
      this.#stopped.add(spec);
      this.#set.set(routerName(spec), this.#router(spec));
    }
    for (const { routespec } of add) {
      const spec = normalizeRoutespec(routespec);
      // Whatever lies below belongs to this route now; the root's is the hub's business.
      if (isRoot(spec)) continue;
      for (const known of this.#stopped.below(spec)) this.#forget(known);
    }
    for (const oldest of this.#stopped) {
      if (this.#stopped.size <= MAX_REMEMBERED) break;
      this.#forget(oldest);
    }
    if (this.#set.size === 0 && this.#deleted.size === 0) return;
    this.#saveSoon();
    this.#told ??= this.#tell();
    await this.#told;
  }

  #forget(spec: string): void {
    this.#stopped.delete(spec);
    this.#set.delete(routerName(spec));
    this.#deleted.add(routerName(spec));
  }

  async #tell(): Promise<void> {
    const wait = this.#toldAt + TELL_MS - performance.now();
    await (wait > 0 ? delay(wait) : new Promise(setImmediate));
    this.#told = undefined;
    this.#toldAt = performance.now();
    const [set, deleted] = [this.#set, this.#deleted];
    this.#set = new Map();
    this.#deleted = new Set();
    await this.#options.engine.patch(PROVIDER, {
      setRouters: set,
      deleteRouters: [...deleted],
      setServices: new Map(),
      deleteServices: [],
    });
  }

  close(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#save();
  }

  /** Another route than the hub's answers there. */
  #isCovered(spec: string): boolean {
    for (const ancestor of ancestorsOf(spec)) if (this.#options.routes.has(ancestor)) return true;
    return false;
  }

  #router(spec: string): RouterConfiguration {
    const { rule, priority } = routeRule(spec);
    return {
      rule: `${rule} && ${POLLS}`,
      // That of the route which is gone: longer prefixes win, as they did before.
      priority: priority ?? Buffer.byteLength(rule, 'utf8'),
      entryPoints: [this.#options.entryPoint],
      service: SERVICE,
    };
  }

  #load(): void {
    const { routes } = this.#options;
    for (const spec of (this.#file.load() ?? []).slice(-MAX_REMEMBERED))
      if (isPrefix(spec) && !routes.has(spec) && !this.#isCovered(spec)) this.#stopped.add(spec);
  }

  #saveSoon(): void {
    this.#timer ??= setTimeout(() => {
      this.#save();
    }, SAVE_MS).unref();
  }

  #save(): void {
    this.#timer = undefined;
    this.#file.save([...this.#stopped]);
  }
}

/** As this program writes them: somebody may have edited the file. */
function isPrefix(spec: string): boolean {
  try {
    return normalizeRoutespec(spec) === spec && !isRoot(spec);
  } catch {
    return false;
  }
}

function routerName(spec: string): string {
  return routeName('router', spec);
}

/** `/`, or a host's. */
function isRoot(spec: string): boolean {
  return spec.indexOf('/') === spec.length - 1;
}
