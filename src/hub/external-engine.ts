// An engine that somebody else runs: it watches the routes file, and its API is asked until it shows what the file says. Few open
// questions are asked one by one; many share one look at the whole table.

import type { DynamicConfiguration, RouterConfiguration, ServiceConfiguration } from '../config/dynamic.ts';
import { ProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { DynamicPatch } from '../runtime/dynamic-patch.ts';
import { PROVIDER } from './engine.ts';
import type { RouteEngine } from './engine.ts';
import { ApiTrouble } from './engine-api.ts';
import type { EngineApi, ShownRouter } from './engine-api.ts';
import { routeName } from './routespec.ts';
import { isTree } from './values.ts';

/** Up to this many routers are asked for one by one. */
const FEW = 4;
const FIRST_PAUSE_MS = 5;
const MAX_PAUSE_MS = 250;
/** The first Traefik that takes `preservePath` in a server; an older one refuses the whole file for it. */
const PRESERVE_PATH_SINCE = [3, 3] as const;

/** What an external engine is made of. */
export interface ExternalEngineOptions {
  readonly api: EngineApi;
  readonly checkRouteTimeoutMs: number;
  /** For messages. */
  readonly routesFile: string;
  readonly entryPoint: string;
  readonly log: Logger;
}

interface Waiter {
  readonly pending: Set<string>;
  readonly deadline: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** What is wrong with a router: `isGone` when the engine cannot be routing anything. */
interface Difference {
  readonly reason: string;
  readonly kind: 'down' | 'trouble' | 'missing' | 'refused' | 'stale';
}

/** See the head of this file. */
export class ExternalEngine implements RouteEngine {
  readonly #options: ExternalEngineOptions;
  readonly #api: EngineApi;
  readonly #routers = new Map<string, RouterConfiguration>();
  readonly #services = new Map<string, ServiceConfiguration>();
  readonly #waiters = new Set<Waiter>();
  #version: 'unknown' | 'v1' | 'v3' = 'unknown';
  #isPolling = false;
  #wake: (() => void) | undefined;
  #isClosed = false;

  constructor(options: ExternalEngineOptions) {
    this.#options = options;
    this.#api = options.api;
  }

  replace(configuration: DynamicConfiguration): Promise<void> {
    this.#routers.clear();
    this.#services.clear();
    for (const [name, router] of configuration.routers) this.#routers.set(name, router);
    for (const [name, service] of configuration.services) this.#services.set(name, service);
    return Promise.resolve();
  }

  apply(patch: DynamicPatch): Promise<void> {
    for (const name of patch.deleteRouters) this.#routers.delete(name);
    for (const name of patch.deleteServices) this.#services.delete(name);
    for (const [name, router] of patch.setRouters) this.#routers.set(name, router);
    for (const [name, service] of patch.setServices) this.#services.set(name, service);
    return Promise.resolve();
  }

  confirm(routespecs: Iterable<string>): Promise<void> {
    const pending = new Set<string>();
    for (const routespec of routespecs) pending.add(routeName('router', routespec));
    if (pending.size === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiters.add({
        pending,
        deadline: Date.now() + this.#options.checkRouteTimeoutMs,
        resolve,
        reject,
      });
      this.#wake?.();
      if (!this.#isPolling) void this.#poll();
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#wake?.();
    for (const { reject } of this.#waiters)
      reject(new ProxyError('JTP_ERR_ENGINE_UNREACHABLE', { message: 'the controller is stopping' }));
    this.#waiters.clear();
    await this.#api.close();
  }

  /**
   * Looks at the engine once it can be reached, says what does not fit, and tells whether it takes `preservePath`. Resolves with
   * undefined when it cannot be reached in time, or refuses us.
   */
  async examine(withinMs: number): Promise<{ readonly preservePath: boolean } | undefined> {
    const deadline = Date.now() + withinMs;
    for (;;) {
      try {
        const answer = await this.#api.get('/api/version');
        if (!(answer instanceof ApiTrouble) && answer.status === 200) {
          await this.#checkEntryPoint();
          return { preservePath: takesPreservePath(answer.document) };
        }
      } catch (error) {
        this.#options.log.error({ reason: String(error) }, 'the engine cannot be asked about its routes');
        return undefined;
      }
      if (this.#isClosed || Date.now() >= deadline) return undefined;
      await this.#pause(MAX_PAUSE_MS);
    }
  }

  async #checkEntryPoint(): Promise<void> {
    const { entryPoint, log } = this.#options;
    const answer = await this.#api.get('/api/entrypoints');
    if (answer instanceof ApiTrouble || !Array.isArray(answer.document)) return;
    const names = answer.document.filter(isTree).map(({ name }) => String(name));
    if (!names.includes(entryPoint))
      log.warn(
        { entryPoint, found: names.join(', ') },
        'the engine has no entry point of this name, so no route will work: set traefik_entrypoint to the one that users reach',
      );
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#wake = done;
    });
  }

  async #poll(): Promise<void> {
    this.#isPolling = true;
    let pause = FIRST_PAUSE_MS;
    while (this.#waiters.size > 0 && !this.#isClosed) {
      const known = new Set(this.#waiters);
      try {
        await this.#look();
      } catch (error) {
        // Refused credentials: asking again would not help anybody who waits.
        for (const { reject } of this.#waiters) reject(error);
        this.#waiters.clear();
        break;
      }
      const hasNew = [...this.#waiters].some((waiter) => !known.has(waiter));
      pause = hasNew ? FIRST_PAUSE_MS : Math.min(MAX_PAUSE_MS, pause * 2);
      if (this.#waiters.size > 0) await this.#pause(pause);
    }
    this.#isPolling = false;
  }

  async #look(): Promise<void> {
    const names = new Set<string>();
    for (const { pending } of this.#waiters) for (const name of pending) names.add(name);
    const differences = await this.#differences([...names]);
    for (const waiter of this.#waiters) {
      for (const name of waiter.pending)
        if (names.has(name) && !differences.has(name)) waiter.pending.delete(name);
      if (waiter.pending.size === 0) {
        this.#waiters.delete(waiter);
        waiter.resolve();
      } else if (Date.now() >= waiter.deadline) {
        this.#waiters.delete(waiter);
        await this.#expire(waiter, differences);
      }
    }
  }

  async #expire(waiter: Waiter, differences: ReadonlyMap<string, Difference>): Promise<void> {
    const [name = ''] = [...waiter.pending].filter((other) => differences.has(other));
    const difference = differences.get(name) ?? { kind: 'trouble', reason: 'it was not asked in time' };
    const { routesFile, checkRouteTimeoutMs, log } = this.#options;
    const isOnlyRemoval = [...waiter.pending].every((other) => !this.#routers.has(other));
    if (difference.kind === 'down' && isOnlyRemoval) {
      // Nobody listens, so nobody routes by the old table; the file is right when the engine comes back.
      log.warn({ reason: difference.reason }, 'the engine is down; the routes are removed from the file');
      waiter.resolve();
      return;
    }
    waiter.reject(
      new ProxyError('JTP_ERR_ROUTE_TIMEOUT', {
        message: `${routesFile} was written, but the engine with the API at ${this.#api.url} did not show ${name}@${PROVIDER} as it is there within ${String(checkRouteTimeoutMs / 1000)} s: ${difference.reason}; ${await this.#likelyCause(difference)}`,
      }),
    );
  }

  async #likelyCause({ kind }: Difference): Promise<string> {
    if (kind === 'down') return 'is it running, and is traefik_api_url right?';
    if (kind === 'trouble')
      return 'is traefik_api_url right, and does the engine watch this file? The route to its API may be in it';
    if (kind === 'refused') return 'see the log of the engine';
    if (kind === 'stale') return 'does it watch the file, and is its providersThrottleDuration short?';
    const overview = await this.#api.get('/api/overview').catch(() => undefined);
    const document = overview instanceof ApiTrouble ? undefined : overview?.document;
    const providers = isTree(document) ? document['providers'] : undefined;
    if (this.#version === 'v3' && !(Array.isArray(providers) && providers.includes('File')))
      return 'its file provider is not on: set providers.file.filename (or directory) to this file';
    return 'does it watch this very file (providers.file.filename or directory), and may it read it?';
  }

  /** By name, for each router that is not as it should be. Rejects when the credentials are refused. */
  async #differences(names: readonly string[]): Promise<ReadonlyMap<string, Difference>> {
    const differences = new Map<string, Difference>();
    const all = (difference: Difference): typeof differences => {
      for (const name of names) differences.set(name, difference);
      return differences;
    };
    const trouble = await this.#learnVersion();
    if (trouble !== undefined) return all(differenceOf(trouble));
    if (this.#version === 'v3' && names.length <= FEW) {
      for (const name of names) {
        const service = this.#routers.get(name)?.service;
        const shown = await this.#api.router(
          `${name}@${PROVIDER}`,
          service === undefined ? undefined : `${service}@${PROVIDER}`,
        );
        const difference = shown instanceof ApiTrouble ? this.#lost(shown) : this.#compare(name, shown);
        if (difference !== undefined) differences.set(name, difference);
      }
      return differences;
    }
    const table = await (this.#version === 'v3'
      ? this.#api.allRouters(PROVIDER)
      : this.#api.allV1Routers(PROVIDER));
    if (table instanceof ApiTrouble) return all(this.#lost(table));
    for (const name of names) {
      const difference = this.#compare(name, table.get(`${name}@${PROVIDER}`) ?? 'none');
      if (difference !== undefined) differences.set(name, difference);
    }
    return differences;
  }

  /** Which API is there: the newer one wherever it exists, since our engine has both with a version-1 file. */
  async #learnVersion(): Promise<ApiTrouble | undefined> {
    if (this.#version !== 'unknown') return undefined;
    const overview = await this.#api.get('/api/overview');
    if (overview instanceof ApiTrouble) return overview;
    if (overview.status === 200 && isTree(overview.document)) {
      this.#version = 'v3';
      return undefined;
    }
    const providers = await this.#api.get('/api/providers');
    if (providers instanceof ApiTrouble) return providers;
    if (providers.status === 200 && isTree(providers.document)) {
      this.#version = 'v1';
      return undefined;
    }
    return new ApiTrouble(
      `GET ${this.#api.url}/api/overview answered ${String(overview.status)} ${JSON.stringify(overview.text)}, which is no Traefik API`,
    );
  }

  /** The engine may be replaced by another version while it is away. */
  #lost(trouble: ApiTrouble): Difference {
    this.#version = 'unknown';
    return differenceOf(trouble);
  }

  #compare(name: string, shown: ShownRouter | 'none'): Difference | undefined {
    const router = this.#routers.get(name);
    if (router === undefined)
      return shown === 'none' ? undefined : { kind: 'stale', reason: 'it still shows the removed router' };
    if (shown === 'none') return { kind: 'missing', reason: 'it shows no such router' };
    if (shown.status === 'disabled')
      return { kind: 'refused', reason: `it has disabled the router (${shown.errors.join('; ')})` };
    if (shown.rule !== router.rule)
      return { kind: 'stale', reason: `it still shows the rule ${String(shown.rule)}` };
    const wanted = (this.#services.get(router.service ?? '')?.loadBalancer?.servers ?? []).map(
      ({ url }) => url,
    );
    if (shown.service !== router.service || shown.servers.join(' ') !== wanted.join(' '))
      return { kind: 'stale', reason: `it still shows the target ${shown.servers.join(', ') || '(none)'}` };
    return undefined;
  }
}

function differenceOf({ reason, isDown }: ApiTrouble): Difference {
  return { kind: isDown ? 'down' : 'trouble', reason };
}

/** Whether an engine takes `preservePath`, by the document that `/api/version` answers. */
export function takesPreservePath(version: unknown): boolean {
  const { Version: text, Codename: name } = isTree(version) ? version : {};
  if (name === 'jupyterhub') return true;
  const [major = 0, minor = 0] = (/^v?([0-9]+)\.([0-9]+)/.exec(String(text))?.slice(1) ?? []).map(Number);
  const [wantedMajor, wantedMinor] = PRESERVE_PATH_SINCE;
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}
