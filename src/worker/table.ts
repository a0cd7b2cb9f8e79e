// The routing tables of one worker, one for plaintext and one for TLS per entry point, kept up to date by the controller's changes. What a
// change does not name stays as it is, down to the pooled connections.

import type { Route, RoutableRequest, RouteFinder, Service } from '../exchange/route.ts';
import { ProxyError, errorText } from '../errors.ts';
import type { Logger } from '../log.ts';
import { createMiddleware } from '../middleware/middleware.ts';
import type { Middleware } from '../middleware/middleware.ts';
import { canonicalPath } from '../router/canonical-path.ts';
import { RoutingTable } from '../router/routing-table.ts';
import type { RoutingRequest } from '../router/routing-table.ts';
import { parseRule } from '../router/rule.ts';
import type { Rule } from '../router/rule.ts';
import type {
  MiddlewareSpec,
  RouterSpec,
  ServersTransportSpec,
  ServiceSpec,
  TableChange,
} from '../runtime/table-change.ts';
import { DEFAULT_TLS_OPTIONS } from '../runtime/table-change.ts';
import { LoadBalancer } from '../service/load-balancer.ts';
import type { Target } from '../upstream/target.ts';
import type { TargetRegistry } from '../upstream/target-registry.ts';
import { Transport } from '../upstream/transport.ts';
import type { TrafficCounters } from '../observe/traffic.ts';
import { RoutesOfService } from './routes-of-service.ts';
import { TlsHosts } from './tls-hosts.ts';

interface EntryPointTables {
  readonly plain: RoutingTable<Route>;
  readonly tls: RoutingTable<Route>;
  readonly tlsHosts: TlsHosts;
}

interface KnownRouter {
  spec: RouterSpec;
  readonly route: Route;
}

interface KnownService {
  spec: ServiceSpec;
  /** Undefined for services without servers. */
  readonly transport: Transport | undefined;
  readonly service: Service;
  readonly targets: readonly Target[];
}

/** What most routers and some services have, once for all of them. */
const NO_MIDDLEWARES: readonly Middleware[] = [];
const NO_TARGETS: readonly Target[] = [];

/** Names → routers and services, and the tables built from them. */
export class WorkerTable {
  readonly #tables = new Map<string, EntryPointTables>();
  readonly #routers = new Map<string, KnownRouter>();
  readonly #services = new Map<string, KnownService>();
  /** Routers by the service they name, for a service that comes, goes or changes. */
  readonly #routesOfService = new RoutesOfService();
  readonly #middlewares = new Map<
    string,
    { readonly text: string; readonly built: Middleware; users: number }
  >();
  readonly #transports = new Map<string, { readonly text: string; readonly transport: Transport }>();
  readonly #targets: TargetRegistry;
  readonly #defaultTransport: Transport;
  readonly #controller: Target;
  readonly #cutsPrefixes: boolean;
  readonly #traffic: TrafficCounters | undefined;
  readonly #log: Logger;

  constructor(options: {
    readonly entryPoints: Iterable<string>;
    readonly targets: TargetRegistry;
    readonly controller: Target;
    /** For services that name none. */
    readonly transport: Transport;
    /** Routes have to know how long their prefix is. */
    readonly cutsPrefixes?: boolean;
    /** Where the requests of routers and services are counted, if they are. */
    readonly traffic?: TrafficCounters | undefined;
    readonly log: Logger;
  }) {
    this.#targets = options.targets;
    this.#controller = options.controller;
    this.#defaultTransport = options.transport;
    this.#cutsPrefixes = options.cutsPrefixes ?? false;
    this.#traffic = options.traffic;
    this.#log = options.log;
    for (const name of options.entryPoints)
      this.#tables.set(name, {
        plain: new RoutingTable(),
        tls: new RoutingTable(),
        tlsHosts: new TlsHosts(),
      });
  }

  get size(): number {
    return this.#routers.size;
  }

  /** The routes of one entry point. */
  finder(entryPoint: string, sanitizesPath: boolean): RouteFinder {
    const tables = this.#tables.get(entryPoint);
    if (tables === undefined) throw new Error(`no entry point ${entryPoint}`);
    return { find: (request) => findRoute(tables, request, sanitizesPath) };
  }

  /** The TLS options of one entry point's hosts. */
  hostOptions(entryPoint: string): (host: string) => string | undefined {
    const tlsHosts = this.#tables.get(entryPoint)?.tlsHosts;
    return (host) => tlsHosts?.find(host);
  }

  /** Synchronous: the next request sees all of the change. Returns the names of the routers that are gone. */
  apply(change: TableChange): ReadonlySet<string> {
    const isReplaced = (change.serversTransports ?? [])
      .map((spec) => this.#setTransport(spec))
      .includes(true);
    for (const spec of change.services) this.#setService(spec);
    if (isReplaced) for (const { spec } of this.#services.values()) this.#setService(spec);
    for (const spec of change.routers) this.#setRouter(spec);
    const removedRouters = change.full ? missing(this.#routers, change.routers) : change.removedRouters;
    for (const name of removedRouters) this.#removeRouter(name);
    const removedServices = change.full ? missing(this.#services, change.services) : change.removedServices;
    for (const name of removedServices) this.#removeService(name);
    const removedTransports = change.full
      ? missing(this.#transports, change.serversTransports ?? [])
      : (change.removedServersTransports ?? []);
    for (const name of removedTransports) this.#transports.delete(name);
    return new Set(removedRouters);
  }

  /** True when it takes the place of another one: its services get new targets, what is open under the old one ends with its exchange. */
  #setTransport(spec: ServersTransportSpec): boolean {
    const text = JSON.stringify(spec);
    const known = this.#transports.get(spec.name);
    if (known?.text === text) return false;
    this.#transports.set(spec.name, { text, transport: new Transport(spec) });
    return known !== undefined;
  }

  #setService(spec: ServiceSpec): void {
    const known = this.#services.get(spec.name);
    const transport = spec.kind === 'loadBalancer' ? this.#transportOf(spec.serversTransport) : undefined;
    if (known?.transport === transport && isSameSpec(known, spec)) return;
    const targets = this.#targetsOf(spec, transport);
    const service = this.#buildService(spec, targets);
    for (const target of targets) this.#targets.retain(target);
    this.#services.set(spec.name, { spec, transport, service, targets });
    for (const route of this.#routesOfService.of(spec.name)) route.service = service;
    for (const target of known?.targets ?? []) this.#targets.release(target);
  }

  #targetsOf(spec: ServiceSpec, transport: Transport | undefined): readonly Target[] {
    if (spec.kind !== 'loadBalancer' || transport === undefined) return NO_TARGETS;
    return spec.servers.map(({ url }) => this.#targets.get(url, transport));
  }

  /** `targets`: one per server. */
  #buildService(spec: ServiceSpec, targets: readonly Target[]): Service {
    switch (spec.kind) {
      case 'noop':
        return { kind: 'noop', name: spec.name };
      case 'stopped':
        return { kind: 'stopped', name: spec.name };
      case 'controller':
        return { kind: 'controller', name: spec.name, target: this.#controller };
      case 'loadBalancer': {
        const servers = targets.map((target, index) => {
          const { weight = 1, preservePath = false } = spec.servers[index] ?? {};
          return { target, weight, preservePath };
        });
        return {
          kind: 'loadBalancer',
          name: spec.name,
          balancer: new LoadBalancer(servers, spec.passHostHeader),
          ...(this.#traffic === undefined ? {} : { scope: this.#traffic.service(spec.name) }),
        };
      }
    }
  }

  #transportOf(name: string | undefined): Transport {
    if (name === undefined) return this.#defaultTransport;
    const known = this.#transports.get(name);
    // The controller sends a transport before the services that name it, and never a service without its transport.
    if (known === undefined) throw new Error(`no servers transport ${name}`);
    return known.transport;
  }

  #removeService(name: string): void {
    const known = this.#services.get(name);
    if (known === undefined) return;
    this.#services.delete(name);
    for (const route of this.#routesOfService.of(name)) route.service = undefined;
    for (const target of known.targets) this.#targets.release(target);
  }

  #setRouter(spec: RouterSpec): void {
    const known = this.#routers.get(spec.name);
    if (isSameSpec(known, spec)) return;
    const rule = parseRule(spec.rule);
    const chain =
      spec.middlewares.length === 0
        ? NO_MIDDLEWARES
        : spec.middlewares.map((middleware) => this.#middleware(middleware));
    const route: Route = {
      name: spec.name,
      tlsOptions: spec.tls ? (spec.tlsOptions ?? DEFAULT_TLS_OPTIONS) : undefined,
      chain,
      service: this.#services.get(spec.service)?.service,
      ...(this.#traffic === undefined ? {} : counted(this.#traffic, spec)),
      ...(this.#cutsPrefixes ? { prefixDepth: prefixDepth(rule) } : {}),
    };
    if (known !== undefined) this.#unlink(known);
    for (const name of spec.entryPoints) {
      const tables = this.#tables.get(name);
      if (tables === undefined) continue;
      (spec.tls ? tables.tls : tables.plain).set(spec.name, {
        rule,
        priority: spec.priority,
        value: route,
      });
      if (hasOwnOptions(spec)) tables.tlsHosts.add(rule, spec.tlsOptions);
    }
    this.#routers.set(spec.name, { spec, route });
    this.#routesOfService.add(spec.service, route);
  }

  #removeRouter(name: string): void {
    const known = this.#routers.get(name);
    if (known === undefined) return;
    this.#routers.delete(name);
    this.#unlink(known);
  }

  /** Takes a router out of every table; what else it held is given back. */
  #unlink({ spec, route }: KnownRouter): void {
    for (const name of spec.entryPoints) {
      const tables = this.#tables.get(name);
      (spec.tls ? tables?.tls : tables?.plain)?.delete(spec.name);
      if (hasOwnOptions(spec)) tables?.tlsHosts.delete(parseRule(spec.rule));
    }
    this.#routesOfService.delete(spec.service, route);
    for (const middleware of spec.middlewares) {
      const known = this.#middlewares.get(middleware.name);
      if (known === undefined) continue;
      known.users--;
      if (known.users === 0) this.#middlewares.delete(middleware.name);
    }
  }

  /** Routers that name the same middleware share it, and with it the passwords that have been verified. */
  #middleware(spec: MiddlewareSpec): Middleware {
    const text = JSON.stringify(spec);
    const known = this.#middlewares.get(spec.name);
    if (known?.text === text) {
      known.users++;
      return known.built;
    }
    const built = createMiddleware(spec);
    this.#middlewares.set(spec.name, { text, built, users: (known?.users ?? 0) + 1 });
    return built;
  }

  /** Says which element of a change a worker could not build; the controller checks everything before, so this is a mistake of ours. */
  logFault(error: unknown): void {
    this.#log.error({ err: error, reason: errorText(error) }, 'a change of the routing table failed');
  }
}

/** As the metrics call it; `stopped@internal` answers users of the hub, and no poller of ours. */
function counted(
  traffic: TrafficCounters,
  { name, label = name, service }: RouterSpec,
): Pick<Route, 'scope' | 'isInternal'> {
  const isInternal = service.endsWith('@internal') && service !== 'stopped@internal';
  return { scope: traffic.router(label, service), isInternal };
}

/** The number of segments that a path must have to match; of alternatives, the longest one's. */
function prefixDepth(rule: Rule): number {
  switch (rule.kind) {
    case 'matcher':
      return rule.name === 'PathPrefix' ? (rule.args[0] ?? '').split('/').filter(Boolean).length : 0;
    case 'not':
      return 0;
    case 'and':
    case 'or':
      return Math.max(prefixDepth(rule.left), prefixDepth(rule.right));
  }
}

/** Most specs are new, so texts are made only when there is something to compare; of equal ones the new one is kept, and known next time. */
function isSameSpec<Spec extends object>(known: { spec: Spec } | undefined, spec: Spec): boolean {
  if (known === undefined) return false;
  if (known.spec === spec) return true;
  if (JSON.stringify(known.spec) !== JSON.stringify(spec)) return false;
  known.spec = spec;
  return true;
}

function hasOwnOptions(spec: RouterSpec): spec is RouterSpec & { readonly tlsOptions: string } {
  return spec.tls && spec.tlsOptions !== undefined && spec.tlsOptions !== DEFAULT_TLS_OPTIONS;
}

/** What is known and not present any more. Mostly nothing is, and that costs no list of names. */
function missing(
  known: ReadonlyMap<string, unknown>,
  present: readonly { readonly name: string }[],
): readonly string[] {
  if (known.size === present.length && present.every(({ name }) => known.has(name))) return [];
  const names = new Set(present.map(({ name }) => name));
  return [...known.keys()].filter((name) => !names.has(name));
}

function findRoute(
  tables: EntryPointTables,
  request: RoutableRequest,
  sanitizesPath: boolean,
): Route | undefined {
  const { target } = request;
  const mark = target.indexOf('?');
  const path = canonicalPath(mark < 0 ? target : target.slice(0, mark), sanitizesPath);
  if (path === undefined) throw new ProxyError('JTP_ERR_HTTP_TARGET');
  const routing: RoutingRequest = {
    host: request.host,
    path,
    method: request.method,
    query: mark < 0 ? '' : target.slice(mark + 1),
    clientIp: request.remoteAddress,
    headerValues: request.headerValues,
  };
  return (request.isTls ? tables.tls : tables.plain).lookup(routing);
}
