// The engine in our own processes: a batch of routes becomes a patch of the runtime, live when every worker has it.

import { stringify as stringifyToml } from 'smol-toml';
import type { DynamicConfiguration, RouterConfiguration, ServiceConfiguration } from '../config/dynamic.ts';
import { EMPTY_DYNAMIC_CONFIGURATION } from '../config/dynamic.ts';
import { parseDynamicConfiguration } from '../config/load-dynamic.ts';
import { errorText } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { DynamicPatch } from '../runtime/dynamic-patch.ts';
import type { RouteBatch, RouteEngine, RouteStore } from './route-store.ts';
import type { ForeignContent, StoredRoute } from './routes-file.ts';
import { hasPath } from './routespec.ts';

/** Under the name that the same file would have with a Traefik. */
const PROVIDER = 'file';

/** The part of an EngineController that is used here. */
export interface RuntimePort {
  replace(provider: string, configuration: DynamicConfiguration): Promise<void>;
  patch(provider: string, patch: DynamicPatch): Promise<void>;
}

/** Feeds a route store's content to the runtime. */
export class EmbeddedEngine implements RouteEngine {
  readonly #port: RuntimePort;
  readonly #store: RouteStore;
  readonly #options: { readonly file: string; readonly entryPoint: string; readonly log: Logger };
  #foreign: DynamicConfiguration = EMPTY_DYNAMIC_CONFIGURATION;

  constructor(
    port: RuntimePort,
    store: RouteStore,
    options: { readonly file: string; readonly entryPoint: string; readonly log: Logger },
  ) {
    this.#port = port;
    this.#store = store;
    this.#options = options;
  }

  /** Everything the store has: before workers may connect. */
  async start(): Promise<void> {
    this.#takeForeign(this.#store.foreign);
    await this.#port.replace(PROVIDER, this.#whole());
  }

  apply({ set, deleted }: RouteBatch): Promise<void> {
    if (set.length === 0 && deleted.length === 0) return Promise.resolve();
    return this.#port.patch(PROVIDER, {
      setRouters: new Map(set.map((route) => [route.router, this.#router(route)])),
      deleteRouters: deleted.map(({ router }) => router),
      setServices: new Map(set.map((route) => [route.service, serviceOf(route)])),
      deleteServices: deleted.map(({ service }) => service),
    });
  }

  applyForeign(foreign: ForeignContent): void {
    this.#takeForeign(foreign);
    void this.#port.replace(PROVIDER, this.#whole());
  }

  /** What an administrator has added is held to the same rules as any dynamic configuration; mistakes leave the former in force. */
  #takeForeign(foreign: ForeignContent): void {
    try {
      this.#foreign = parseDynamicConfiguration(stringifyToml(foreign), 'foreign.toml');
    } catch (error) {
      const reason = errorText(error).replaceAll(/foreign\.toml(?::\d+)?: /g, '');
      this.#options.log.error(
        { file: this.#options.file, reason },
        'what stands in the routes file beside the routes of JupyterHub is not used',
      );
    }
  }

  #whole(): DynamicConfiguration {
    const routers = new Map(this.#foreign.routers);
    const services = new Map(this.#foreign.services);
    for (const route of this.#store.routes.values()) {
      routers.set(route.router, this.#router(route));
      services.set(route.service, serviceOf(route));
    }
    return { ...this.#foreign, routers, services };
  }

  #router({ rule, service }: StoredRoute): RouterConfiguration {
    return { rule, entryPoints: [this.#options.entryPoint], service };
  }
}

function serviceOf({ target }: StoredRoute): ServiceConfiguration {
  const server = hasPath(target) ? { url: target, preservePath: true } : { url: target };
  return { loadBalancer: { passHostHeader: true, servers: [server] } };
}
