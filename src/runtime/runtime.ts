// All providers merged into one table: names resolved, mistakes found, and each change reduced to what workers have to do about it.
// A patch costs what it names: who uses a service or a middleware is indexed, and nobody else is looked at.

import type {
  DynamicConfiguration,
  MiddlewareConfiguration,
  RouterConfiguration,
  ServiceConfiguration,
} from '../config/dynamic.ts';
import { EMPTY_DYNAMIC_CONFIGURATION } from '../config/dynamic.ts';
import type { StaticConfiguration } from '../config/static.ts';
import type { Logger } from '../log.ts';
import { buildMiddleware, buildRouter, buildService, transportName } from './build.ts';
import type { Checks } from './build.ts';
import { differences } from './dynamic-patch.ts';
import type { DynamicPatch } from './dynamic-patch.ts';
import { qualify } from './elements.ts';
import type { MiddlewareState, RouterState, ServiceState } from './elements.ts';
import type { RouterSpec, ServiceSpec, TableChange, TlsSpec } from './table-change.ts';
import { ServersTransports } from './servers-transports.ts';
import type { TransportChanges } from './servers-transports.ts';
import { RuntimeTls } from './runtime-tls.ts';
import type { PemPair } from './tls-files.ts';
import { TlsHosts } from './tls-hosts.ts';
import { NOTHING } from './short-lists.ts';
import { Users } from './users.ts';
import { noteUse, Wanted } from './wanted.ts';

/** Services that exist without being configured, by qualified name. */
export type BuiltInServices = ReadonlyMap<string, ServiceSpec>;

/** What a runtime is made of. */
export interface RuntimeOptions {
  readonly static: StaticConfiguration;
  readonly log: Logger;
  readonly checks: Checks;
  readonly builtInServices: BuiltInServices;
  /** Offered to TLS clients when nothing better is configured; asked whenever certificates are read. */
  readonly fallbackCertificate?: () => PemPair | undefined;
  /** Throws when a pair cannot be used. */
  readonly checkCertificate: (pair: PemPair) => void;
}

/** What became different about TLS. */
type TlsNews = ReturnType<RuntimeTls['read']>;

/** What changed while one patch is being worked in. */
class Dirt {
  readonly routers = new Set<string>();
  readonly goneRouters = new Map<string, RouterState>();
  readonly services = new Map<string, ServiceSpec | undefined>();
  hasNewTls = false;
  readonly transports: TransportChanges = { set: new Map(), removed: new Set(), services: new Set() };
}

/** The merged configuration of one controller. */
export class Runtime {
  readonly static: StaticConfiguration;
  readonly #options: RuntimeOptions;
  readonly #providers = new Map<string, DynamicConfiguration>();
  readonly #routers = new Map<string, RouterState>();
  readonly #services = new Map<string, ServiceState>();
  readonly #middlewares = new Map<string, MiddlewareState>();
  readonly #wantedServices = new Wanted();
  readonly #wantedMiddlewares = new Wanted();
  readonly #transports: ServersTransports;
  readonly #tls: RuntimeTls;
  readonly #tlsHosts: TlsHosts;
  #generation = 0;

  constructor(options: RuntimeOptions) {
    this.static = options.static;
    this.#options = options;
    this.#transports = new ServersTransports(options.checks.transport, options.log);
    for (const [name, spec] of options.builtInServices)
      this.#services.set(name, {
        name,
        provider: 'internal',
        configuration: undefined,
        status: 'enabled',
        errors: [],
        usedBy: new Users(),
        spec,
      });
    this.#tlsHosts = new TlsHosts(options.log);
    this.#tls = new RuntimeTls({
      ...options,
      fallbackCertificate: options.fallbackCertificate ?? (() => undefined),
    });
  }

  /** Counts up by one with each change. */
  get generation(): number {
    return this.#generation;
  }

  get routers(): ReadonlyMap<string, RouterState> {
    return this.#routers;
  }

  get services(): ReadonlyMap<string, ServiceState> {
    return this.#services;
  }

  get tls(): TlsSpec {
    return this.#tls.spec;
  }

  get middlewares(): ReadonlyMap<string, MiddlewareState> {
    return this.#middlewares;
  }

  /** What a provider delivered last. */
  provided(provider: string): DynamicConfiguration | undefined {
    return this.#providers.get(provider);
  }

  /** The names of the providers that have delivered something, built-in ones left out. */
  get providerNames(): readonly string[] {
    return [...this.#providers.keys()].filter((name) => name !== 'internal');
  }

  /** Takes a provider's whole configuration; undefined when workers have nothing to do. */
  replace(provider: string, configuration: DynamicConfiguration): TableChange | undefined {
    const before = this.#providers.get(provider) ?? EMPTY_DYNAMIC_CONFIGURATION;
    const routers = differences(before.routers, configuration.routers);
    const services = differences(before.services, configuration.services);
    const middlewares = differences(before.middlewares, configuration.middlewares);
    this.#providers.set(provider, configuration);
    // Files named by certificates may have changed although their names have not.
    const newTls = this.#readTls();
    return this.#apply(
      provider,
      {
        setRouters: routers.set,
        deleteRouters: routers.deleted,
        setServices: services.set,
        deleteServices: services.deleted,
        setMiddlewares: middlewares.set,
        deleteMiddlewares: middlewares.deleted,
        // All of them: the files they name may have changed.
        setServersTransports: configuration.serversTransports ?? new Map(),
        deleteServersTransports: [...(before.serversTransports?.keys() ?? [])].filter(
          (name) => configuration.serversTransports?.has(name) !== true,
        ),
      },
      newTls,
    );
  }

  /** Changes only what is named; undefined when workers have nothing to do. */
  patch(provider: string, patch: DynamicPatch): TableChange | undefined {
    const before = this.#providers.get(provider) ?? EMPTY_DYNAMIC_CONFIGURATION;
    // The maps of a patched provider are the runtime's own and are changed in place: copying them would cost the table's size.
    const own = this.#patched.has(provider)
      ? before
      : {
          ...before,
          routers: new Map(before.routers),
          services: new Map(before.services),
          middlewares: new Map(before.middlewares),
          serversTransports: new Map(before.serversTransports),
        };
    this.#patched.add(provider);
    this.#providers.set(provider, own);
    amend(own.routers, patch.setRouters, patch.deleteRouters);
    amend(own.services, patch.setServices, patch.deleteServices);
    amend(own.middlewares, patch.setMiddlewares ?? new Map(), patch.deleteMiddlewares ?? []);
    if (own.serversTransports !== undefined)
      amend(
        own.serversTransports,
        patch.setServersTransports ?? new Map(),
        patch.deleteServersTransports ?? [],
      );
    return this.#apply(provider, patch, 'nothing');
  }

  readonly #patched = new Set<string>();

  /** The whole table, for a worker that has nothing. */
  snapshot(): TableChange {
    const routers: RouterSpec[] = [];
    for (const { specs } of this.#routers.values()) routers.push(...specs);
    const services: ServiceSpec[] = [];
    for (const { spec } of this.#services.values()) if (spec !== undefined) services.push(spec);
    return {
      generation: this.#generation,
      full: true,
      routers,
      removedRouters: [],
      services,
      removedServices: [],
      serversTransports: this.#transports.specs(),
      tls: this.#tls.spec,
    };
  }

  #apply(provider: string, patch: DynamicPatch, newTls: TlsNews): TableChange | undefined {
    const dirt = new Dirt();
    dirt.hasNewTls = newTls !== 'nothing';
    // Options come, go and break rarely, so nobody keeps a list of who names them.
    if (newTls === 'options')
      for (const router of this.#routers.values())
        if (router.tlsOptions !== undefined) dirt.routers.add(router.name);
    for (const [name, configuration] of patch.setMiddlewares ?? [])
      this.#setMiddleware(provider, name, configuration, dirt);
    for (const name of patch.deleteMiddlewares ?? []) this.#deleteMiddleware(qualify(name, provider), dirt);
    for (const name of patch.deleteServersTransports ?? [])
      this.#transports.delete(qualify(name, provider), dirt.transports);
    for (const [name, configuration] of patch.setServersTransports ?? [])
      this.#transports.set(qualify(name, provider), configuration, dirt.transports);
    for (const name of dirt.transports.services) this.#rebuildService(name, dirt);
    for (const [name, configuration] of patch.setServices)
      this.#setService(provider, name, configuration, dirt);
    for (const name of patch.deleteServices) this.#deleteService(qualify(name, provider), dirt);
    for (const name of patch.deleteRouters) this.#deleteRouter(`${name}@${provider}`, dirt);
    for (const [name, configuration] of patch.setRouters)
      this.#setRouter(provider, name, configuration, dirt);
    return this.#settle(dirt);
  }

  /** Builds every router that may have changed and collects what workers have to hear. */
  #settle(dirt: Dirt): TableChange | undefined {
    const routers: RouterSpec[] = [];
    const removed = new Set<string>();
    for (const { specs } of dirt.goneRouters.values()) for (const { name } of specs) removed.add(name);
    const before = this.#buildAll(dirt);
    for (const [name, specs] of before) {
      const router = this.#routers.get(name);
      if (router === undefined) continue;
      if (specs.length === 0) {
        for (const spec of router.specs) {
          removed.delete(spec.name);
          routers.push(spec);
        }
        continue;
      }
      const old = new Map(specs.map((spec) => [spec.name, JSON.stringify(spec)]));
      for (const spec of router.specs) {
        removed.delete(spec.name);
        if (old.get(spec.name) !== JSON.stringify(spec)) routers.push(spec);
        old.delete(spec.name);
      }
      for (const leftOver of old.keys()) removed.add(leftOver);
    }
    const services: ServiceSpec[] = [];
    const removedServices: string[] = [];
    for (const [name, spec] of dirt.services) {
      if (spec === undefined) removedServices.push(name);
      else services.push(spec);
    }
    const { set, removed: removedTransports } = dirt.transports;
    const isNothing =
      set.size === 0 &&
      removedTransports.size === 0 &&
      routers.length === 0 &&
      removed.size === 0 &&
      services.length === 0 &&
      removedServices.length === 0 &&
      !dirt.hasNewTls;
    if (isNothing) return undefined;
    this.#generation++;
    return {
      generation: this.#generation,
      full: false,
      routers,
      removedRouters: [...removed],
      services,
      removedServices,
      ...(set.size === 0 ? {} : { serversTransports: [...set.values()] }),
      ...(removedTransports.size === 0 ? {} : { removedServersTransports: [...removedTransports] }),
      ...(dirt.hasNewTls ? { tls: this.#tls.spec } : {}),
    };
  }

  /** Returns the routers that were looked at, with the specs that workers have of them. */
  #buildAll(dirt: Dirt): ReadonlyMap<string, readonly RouterSpec[]> {
    const before = new Map<string, readonly RouterSpec[]>();
    const touched = new Set<string>();
    for (const name of dirt.goneRouters.keys()) {
      if (this.#routers.has(name)) continue;
      for (const other of this.#tlsHosts.set(name, [])) touched.add(other);
      if (this.#tls.refuse(name, [])) dirt.hasNewTls = true;
    }
    for (const name of dirt.routers) {
      const router = this.#routers.get(name);
      if (router === undefined) continue;
      const gone = dirt.goneRouters.get(name)?.specs ?? NOTHING;
      before.set(name, gone.length === 0 ? router.specs : [...gone, ...router.specs]);
      if (this.#build(router)) dirt.hasNewTls = true;
      for (const other of this.#tlsHosts.set(name, router.specs)) touched.add(other);
    }
    for (const name of touched) {
      const router = this.#routers.get(name);
      if (router === undefined || before.has(name)) continue;
      before.set(name, router.specs);
      this.#build(router);
    }
    for (const name of before.keys()) {
      const router = this.#routers.get(name);
      if (router?.specs.some(({ tlsOptions }) => tlsOptions !== undefined) !== true) continue;
      router.specs = router.specs.map((spec) =>
        spec.tlsOptions === undefined ? spec : this.#tlsHosts.resolve(spec, spec.tlsOptions),
      );
    }
    return before;
  }

  /** True when the hosts that nobody may reach are others now. */
  #build(router: RouterState): boolean {
    const before = router.errors;
    const { state, refused } = buildRouter(router, {
      static: this.static,
      services: this.#services,
      middlewares: this.#middlewares,
      tlsOptions: this.#tls.states,
    });
    Object.assign(router, state);
    const hasNewTls = this.#tls.refuse(router.name, refused);
    for (const name of router.references)
      noteUse(this.#middlewares.get(name), this.#wantedMiddlewares, name, router.name);
    noteUse(this.#services.get(router.service), this.#wantedServices, router.service, router.name);
    if (router.errors.length === 0 || router.errors.join('\n') === before.join('\n')) return hasNewTls;
    const fields = { router: router.name, reason: router.errors.join('; ') };
    if (router.status === 'disabled') this.#options.log.error(fields, 'the router is disabled');
    else this.#options.log.warn(fields, 'the router has a mistake');
    return hasNewTls;
  }

  #setService(provider: string, name: string, configuration: ServiceConfiguration, dirt: Dirt): void {
    const qualified = qualify(name, provider);
    const before = this.#services.get(qualified);
    const { spec, errors } = buildService(qualified, configuration, this.#options.checks, this.#transports);
    this.#transports.use(
      qualified,
      transportName(qualified, before?.configuration),
      transportName(qualified, configuration),
    );
    const usedBy = before?.usedBy ?? new Users();
    this.#services.set(qualified, {
      name: qualified,
      provider,
      configuration,
      status: spec === undefined ? 'disabled' : 'enabled',
      errors,
      usedBy,
      spec,
    });
    this.#wantedServices.arrived(qualified, usedBy, dirt.routers);
    if (spec !== undefined || before?.spec !== undefined) dirt.services.set(qualified, spec);
    // A router cares whether its service works, not how.
    if ((before?.spec === undefined) !== (spec === undefined))
      for (const router of usedBy) dirt.routers.add(router);
    if (errors.length > 0)
      this.#options.log.error({ service: qualified, reason: errors.join('; ') }, 'the service is disabled');
  }

  /** Its transport has come, gone, or broken. */
  #rebuildService(name: string, dirt: Dirt): void {
    const service = this.#services.get(name);
    if (service?.configuration !== undefined)
      this.#setService(service.provider, name, service.configuration, dirt);
  }

  #deleteService(name: string, dirt: Dirt): void {
    const service = this.#services.get(name);
    if (service === undefined) return;
    this.#transports.use(name, transportName(name, service.configuration), undefined);
    this.#services.delete(name);
    if (service.spec !== undefined) dirt.services.set(name, undefined);
    for (const router of service.usedBy) dirt.routers.add(router);
  }

  #setMiddleware(provider: string, name: string, configuration: MiddlewareConfiguration, dirt: Dirt): void {
    const qualified = qualify(name, provider);
    const { spec, errors } = buildMiddleware(qualified, configuration, this.#options.checks);
    const usedBy = this.#middlewares.get(qualified)?.usedBy ?? new Users();
    this.#middlewares.set(qualified, {
      name: qualified,
      provider,
      configuration,
      status: spec === undefined ? 'disabled' : 'enabled',
      errors,
      usedBy,
      spec,
    });
    this.#wantedMiddlewares.arrived(qualified, usedBy, dirt.routers);
    for (const router of usedBy) dirt.routers.add(router);
    if (errors.length > 0)
      this.#options.log.error(
        { middleware: qualified, reason: errors.join('; ') },
        'the middleware is disabled',
      );
  }

  #deleteMiddleware(name: string, dirt: Dirt): void {
    const middleware = this.#middlewares.get(name);
    if (middleware === undefined) return;
    this.#middlewares.delete(name);
    for (const router of middleware.usedBy) dirt.routers.add(router);
  }

  #setRouter(provider: string, name: string, configuration: RouterConfiguration, dirt: Dirt): void {
    const qualified = `${name}@${provider}`;
    if (this.#routers.has(qualified)) this.#deleteRouter(qualified, dirt);
    const service = qualify(configuration.service ?? '', provider);
    this.#routers.set(qualified, {
      name: qualified,
      provider,
      configuration,
      // The service's own text of its name, where there is one already: a copy per router adds up.
      service: this.#services.get(service)?.name ?? service,
      status: 'disabled',
      errors: NOTHING,
      specs: NOTHING,
      using: NOTHING,
      middlewares: NOTHING,
      references: NOTHING,
      priority: 0,
      priorityText: '0',
      tlsOptions: undefined,
    });
    dirt.routers.add(qualified);
  }

  #deleteRouter(name: string, dirt: Dirt): void {
    const router = this.#routers.get(name);
    if (router === undefined) return;
    this.#routers.delete(name);
    dirt.goneRouters.set(name, router);
    this.#services.get(router.service)?.usedBy.delete(name);
    for (const middleware of router.references) {
      this.#middlewares.get(middleware)?.usedBy.delete(name);
      this.#wantedMiddlewares.forget(middleware, name);
    }
    this.#wantedServices.forget(router.service, name);
  }

  #readTls(): TlsNews {
    return this.#tls.read(new Map([...this.#providers].map(([name, { tls }]) => [name, tls])));
  }

  /** Paths that certificates and TLS options were read from. */
  get tlsFiles(): readonly string[] {
    return this.#tls.files;
  }

  /** Nothing is configured for TLS clients that name no host, or one without a certificate. */
  get needsFallback(): boolean {
    return this.#tls.needsFallback;
  }

  /** From this change on, TLS clients may be offered the fallback certificate: some router takes TLS, and nothing is configured for everybody. */
  offersFallback({ routers, tls }: TableChange): boolean {
    if (!this.#tls.needsFallback) return false;
    if (routers.some((spec) => spec.tls)) return true;
    // Certificates change rarely; only then are all routers looked at.
    if (tls === undefined) return false;
    for (const { specs } of this.#routers.values()) if (specs.some((spec) => spec.tls)) return true;
    return false;
  }

  /** Reads the files that certificates and options name once more; undefined when all is as before. */
  reloadTls(): TableChange | undefined {
    return this.#apply('internal', NO_PATCH, this.#readTls());
  }

  /** A new key for session tickets. */
  rotateTicketKey(): TableChange | undefined {
    this.#tls.rotateTicketKey();
    return this.#apply('internal', NO_PATCH, 'certificates');
  }
}

const NO_PATCH: DynamicPatch = {
  setRouters: new Map(),
  deleteRouters: [],
  setServices: new Map(),
  deleteServices: [],
};

function amend<T>(
  own: ReadonlyMap<string, T>,
  set: ReadonlyMap<string, T>,
  deleted: readonly string[],
): void {
  // Only ever called with maps that `patch` has made itself.
  const map = own as Map<string, T>;
  for (const name of deleted) map.delete(name);
  for (const [name, value] of set) map.set(name, value);
}
