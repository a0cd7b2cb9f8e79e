// The composition root of the data plane: one per worker. It is told what to serve by `apply` and knows nothing of files or providers.

import { readFileSync } from 'node:fs';
import { BlockList, isIP } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { ChpConfiguration, EntryPointConfiguration, StaticConfiguration } from '../config/static.ts';
import { EntryPoint } from '../entrypoint/entry-point.ts';
import type { DrainOptions } from '../entrypoint/entry-point.ts';
import type { ListeningSocket } from '../entrypoint/listening-socket.ts';
import { ActivityRecorder } from '../exchange/activity.ts';
import type { ActivityEntry } from '../exchange/activity.ts';
import { ChpErrorPages } from '../exchange/chp-error-pages.ts';
import { ErrorTarget } from '../exchange/error-target.ts';
import { HubErrorPages } from '../exchange/hub-error-pages.ts';
import { HealthHandler, RedirectHandler } from '../exchange/chp-handlers.ts';
import type { ForwardedPolicy } from '../exchange/forwarded.ts';
import { RoutingHandler } from '../exchange/request-handler.ts';
import { Rewriting } from '../exchange/rewriting.ts';
import type { RequestHandler } from '../http1/downstream.ts';
import { Deadlines } from '../http1/deadlines.ts';
import { Departures } from '../http1/departures.ts';
import type { CountsMessage } from '../channel/messages.ts';
import type { Logger } from '../log.ts';
import { Measuring } from '../exchange/measurement.ts';
import { RequestCounters } from '../observe/request-counters.ts';
import { TrafficCounters } from '../observe/traffic.ts';
import type { TableChange, TransportOptions } from '../runtime/table-change.ts';
import { TlsTermination } from '../tls/termination.ts';
import type { Tunnel } from '../tunnel/tunnel.ts';
import { Tunnels } from '../tunnel/tunnels.ts';
import { TargetRegistry } from '../upstream/target-registry.ts';
import { newCounters, Target } from '../upstream/target.ts';
import type { UpstreamCounters } from '../upstream/target.ts';
import { Transport } from '../upstream/transport.ts';
import { RefusalReporter } from './refusal-reporter.ts';
import { descriptorBudget } from './descriptors.ts';
import type { DescriptorBudget } from './descriptors.ts';
import { WorkerTable } from './table.ts';

/** Limits of what a server may send in a head. */
const RESPONSE_LIMITS = {
  maxHeadBytes: 1024 * 1024,
  maxHeaders: 1000,
  maxTargetBytes: 0,
  maxChunkOverheadBytes: 16384,
};

/** How often the log says that connections are refused. */
const REFUSAL_LOG_MS = 10_000;

/** What a worker is started with. */
export interface DataPlaneOptions {
  readonly static: StaticConfiguration;
  /** Unix socket on which the controller answers for `api@internal` and its like. */
  readonly apiSocket: string;
  readonly log: Logger;
  readonly workerId: number;
  /** Beside carrying requests: note when routes are used (`hub`, `chp`), show pages to people (`hub`). Default `traefik`: nothing. */
  readonly mode?: 'traefik' | 'hub' | 'chp';
  /** What its descriptors allow; without one nothing is refused. */
  readonly budget?: DescriptorBudget;
}

/** Entry points, routing tables and connections of one worker. */
export class DataPlane {
  readonly #deadlines = new Deadlines();
  readonly #departures = new Departures();
  readonly #tls: TlsTermination;
  readonly #tunnels: Tunnels;
  readonly #upstreamCounters = newCounters();
  readonly #targets: TargetRegistry;
  readonly #controller: Target;
  readonly #table: WorkerTable;
  readonly #errorPages: ChpErrorPages | HubErrorPages | undefined;
  readonly #entryPoints: readonly EntryPoint[];
  readonly #activity: ActivityRecorder | undefined;
  readonly #metrics: RequestCounters | undefined;
  readonly #traffic: TrafficCounters | undefined;
  readonly #refusals: RefusalReporter | undefined;
  readonly #budget: DescriptorBudget;
  readonly #log: Logger;
  #refused = 0;
  #refusalLoggedAt = -Infinity;

  constructor(options: DataPlaneOptions) {
    const { static: configuration, log } = options;
    this.#budget = options.budget ?? descriptorBudget(undefined);
    this.#log = log;
    const context = {
      idle: { count: 0, max: this.#budget.maxIdle },
      open: { count: 0, max: this.#budget.maxClients + this.#budget.maxIdle },
      deadlines: this.#deadlines,
      limits: RESPONSE_LIMITS,
      maxConnections: configuration.limits.maxServerConnections,
      maxWaiting: configuration.limits.maxServerQueue,
      log,
      counters: this.#upstreamCounters,
    };
    this.#tunnels = new Tunnels(this.#deadlines, configuration.limits.maxWebSocketIdleSeconds * 1000);
    this.#tls = new TlsTermination(log);
    const transport = new Transport(transportOptions(configuration));
    this.#targets = new TargetRegistry(context);
    this.#controller = new Target(
      { scheme: 'http', connect: { path: options.apiSocket }, hostHeader: 'localhost', path: '', query: '' },
      transport,
      context,
      'controller',
    );
    this.#controller.references = 1;
    this.#traffic = trafficCounters(configuration);
    const traffic = this.#traffic;
    this.#table = new WorkerTable({
      entryPoints: configuration.entryPoints.keys(),
      targets: this.#targets,
      controller: this.#controller,
      transport,
      cutsPrefixes: configuration.chp?.includePrefix === false,
      traffic,
      log,
    });
    const { mode = 'traefik' } = options;
    const { chp } = configuration;
    this.#metrics = chp?.hasMetrics === true ? new RequestCounters() : undefined;
    this.#activity =
      mode === 'traefik'
        ? undefined
        : new ActivityRecorder(this.#deadlines, this.#tunnels, this.#metrics?.updates);
    this.#errorPages = errorPages(configuration, mode);
    const rewriting = rewritingOf(chp, log);
    this.#entryPoints = [...configuration.entryPoints.values()].map(
      (entryPoint) =>
        new EntryPoint({
          configuration: entryPoint,
          limits: configuration.limits,
          tls: this.#tls,
          hostOptions: this.#table.hostOptions(entryPoint.name),
          deadlines: this.#deadlines,
          departures: this.#departures,
          log,
          admits: () => this.#admits(),
          isProxy: trustedAddresses(entryPoint),
          handler: chpHandler(
            chp,
            entryPoint.name,
            new RoutingHandler(this.#table.finder(entryPoint.name, entryPoint.http.sanitizePath), {
              log,
              tunnels: this.#tunnels,
              counters: this.#upstreamCounters,
              forwarded: forwardedPolicy(entryPoint, chp, rewriting),
              rewriting,
              errorPages: this.#errorPages,
              activity: this.#activity,
              metrics: this.#metrics,
              measuring:
                traffic === undefined
                  ? undefined
                  : new Measuring(traffic.entryPoint(entryPoint.name), traffic.options),
            }),
          ),
        }),
    );
    if (this.#metrics !== undefined || traffic !== undefined)
      this.#refusals = new RefusalReporter(this.#entryPoints);
  }

  /** Synchronous: when it returns, the next request sees the change. */
  apply(change: TableChange): void {
    if (change.tls !== undefined) this.#tls.update(change.tls);
    this.#tunnels.closeOf(this.#table.apply(change));
  }

  /**
   * Accepts on these sockets, by the names of the entry points, and on new ones for entry points that are not named. Rejects with
   * JTP_ERR_ENTRYPOINT_LISTEN when one cannot be opened, with none left open.
   */
  async listen(sockets: ReadonlyMap<string, ListeningSocket> = new Map()): Promise<void> {
    try {
      for (const entryPoint of this.#entryPoints) await entryPoint.listen(sockets.get(entryPoint.name));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Leaves accepting to other workers until `listen` is called again; connections go on. */
  rest(): void {
    for (const entryPoint of this.#entryPoints) entryPoint.rest();
  }

  /** Where each entry point listens. */
  addresses(): ReadonlyMap<string, AddressInfo> {
    const addresses = new Map<string, AddressInfo>();
    for (const entryPoint of this.#entryPoints)
      if (entryPoint.address !== undefined) addresses.set(entryPoint.name, entryPoint.address);
    return addresses;
  }

  /** What is open at the moment, and what has been refused for want of descriptors so far. */
  counts(): {
    readonly connections: number;
    readonly tunnels: number;
    readonly routers: number;
    readonly upstream: Readonly<UpstreamCounters>;
    readonly refused: number;
  } {
    return {
      connections: this.#connectionCount(),
      tunnels: this.#tunnels.size,
      routers: this.#table.size,
      upstream: this.#upstreamCounters,
      refused: this.#refused,
    };
  }

  /** Which routes have been used since the last call. */
  collectActivity(): readonly ActivityEntry[] {
    return this.#activity?.collect() ?? [];
  }

  /** What has been counted for the metrics since the last call; undefined when that is nothing. */
  collectCounts(): Omit<CountsMessage, 'process'> | undefined {
    const counts = this.#metrics?.take();
    const traffic = this.#traffic?.take();
    const refused = this.#refusals?.take();
    if ([counts, traffic, refused].every((part) => part === undefined)) return undefined;
    return { counts, traffic, refused };
  }

  /** Entry point → sockets that are open, those of tunnels included. */
  socketCounts(): ReadonlyMap<string, number> {
    return new Map(this.#entryPoints.map(({ name, socketCount }) => [name, socketCount]));
  }

  /** The open tunnels, with what passes through them. */
  openTunnels(): Iterable<Tunnel> {
    return this.#tunnels;
  }

  #connectionCount(): number {
    let count = 0;
    for (const entryPoint of this.#entryPoints) count += entryPoint.connectionCount;
    return count;
  }

  /** Whether one more client may come in: whoever is in already must not run out of descriptors. */
  #admits(): boolean {
    const { maxClients } = this.#budget;
    if (this.#connectionCount() + this.#tunnels.size < maxClients) return true;
    if (this.#entryPoints.some((entryPoint) => entryPoint.giveWay())) return true;
    this.#refused++;
    const now = performance.now();
    if (now - this.#refusalLoggedAt > REFUSAL_LOG_MS) {
      this.#refusalLoggedAt = now;
      this.#log.error(
        { connections: maxClients, refused: this.#refused },
        'connections are refused because this worker has as many as its open files allow: raise the limit (LimitNOFILE=65536 in a systemd unit, ulimit -n 65536) or add workers',
      );
    }
    return false;
  }

  /** Stops accepting, lets requests finish and says goodbye to tunnels for up to `graceMs`, then cuts what is left. */
  async drain({ graceMs, isReplaced }: DrainOptions & { readonly graceMs: number }): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const graceEnd = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, graceMs);
    });
    const finished = Promise.all([
      ...this.#entryPoints.map((entryPoint) => entryPoint.drain({ isReplaced })),
      this.#tunnels.drain(graceMs),
    ]);
    await Promise.race([finished, graceEnd]);
    clearTimeout(timer);
    this.close();
  }

  /** Cuts everything at once. */
  close(): void {
    for (const entryPoint of this.#entryPoints) entryPoint.close();
    this.#tunnels.close();
    this.#targets.close();
    this.#controller.close();
    this.#errorPages?.close();
    this.#departures.close();
    this.#deadlines.close();
  }
}

/** What the configurable-http-proxy command changes about requests; at the level debug it names each of them. */
function rewritingOf(chp: ChpConfiguration | undefined, log: Logger): Rewriting | undefined {
  if (chp === undefined) return undefined;
  return new Rewriting(chp, log.isLevelEnabled('debug') ? log : undefined);
}

function trafficCounters({ prometheus }: StaticConfiguration): TrafficCounters | undefined {
  if (prometheus === undefined) return undefined;
  return new TrafficCounters({
    buckets: prometheus.buckets,
    entryPoints: prometheus.addEntryPointsLabels,
    routers: prometheus.addRoutersLabels,
    services: prometheus.addServicesLabels,
    internals: prometheus.addInternals,
    headers: [...prometheus.headerLabels.values()].map((name) => name.toLowerCase()),
  });
}

/** What the configurable-http-proxy command answers before, or instead of, routing. */
function chpHandler(
  chp: ChpConfiguration | undefined,
  entryPoint: string,
  routing: RequestHandler,
): RequestHandler {
  if (chp === undefined) return routing;
  const { redirect } = chp;
  if (redirect?.entryPoint === entryPoint) return new RedirectHandler(redirect.port);
  return new HealthHandler(routing);
}

function errorPages(
  { chp, hubErrorPages: hub, serversTransport }: StaticConfiguration,
  mode: DataPlaneOptions['mode'],
): ChpErrorPages | HubErrorPages | undefined {
  if (chp !== undefined) {
    const { errorPath: folder, errorTarget: url } = chp;
    const tls = transportOptions({ serversTransport });
    return new ChpErrorPages({
      folder,
      target: url === undefined ? undefined : new ErrorTarget({ url, tls }),
    });
  }
  if (mode !== 'hub') return undefined;
  if (hub === undefined) return new HubErrorPages();
  const { caFile, certFile, keyFile } = hub;
  const read = (file: string | undefined): string => (file === undefined ? '' : readFileSync(file, 'utf8'));
  const tls = {
    rootCAs: caFile === undefined ? [] : [read(caFile)],
    certificates: certFile === undefined ? [] : [{ cert: read(certFile), key: read(keyFile) }],
    insecureSkipVerify: false,
  };
  return new HubErrorPages(new ErrorTarget({ url: hub.url, tls }));
}

function transportOptions({
  serversTransport,
}: Pick<StaticConfiguration, 'serversTransport'>): TransportOptions {
  return {
    insecureSkipVerify: serversTransport.insecureSkipVerify,
    rootCAs: serversTransport.rootCAs.map((pathOrPem) =>
      pathOrPem.includes('-----BEGIN') ? pathOrPem : readFileSync(pathOrPem, 'utf8'),
    ),
    certificates: serversTransport.certificates ?? [],
    peerCertSANs: [],
    maxIdleConnsPerHost: serversTransport.maxIdleConnsPerHost,
    ...serversTransport.forwardingTimeouts,
  };
}

/** Source: Traefik documentation, forwardedHeaders: `insecure` trusts everybody, `trustedIPs` these addresses and networks. */
function forwardedPolicy(
  { forwardedHeaders }: EntryPointConfiguration,
  chp: ChpConfiguration | undefined,
  rewriting: Rewriting | undefined,
): ForwardedPolicy {
  const { insecure, connection, notAppendXForwardedFor } = forwardedHeaders;
  return {
    isTrusted: insecure ? () => true : trustedAddresses({ forwardedHeaders }),
    keptConnectionNames: new Set(connection.map((name) => name.toLowerCase())),
    appendsForwardedFor: !notAppendXForwardedFor,
    ...(chp === undefined ? {} : { manner: chp.forwarded }),
    ...(rewriting?.replaced === undefined ? {} : { replaced: rewriting.replaced }),
  };
}

/** Whether an address is one of `trustedIPs`. */
function trustedAddresses({
  forwardedHeaders: { trustedIPs },
}: Pick<EntryPointConfiguration, 'forwardedHeaders'>): (address: string) => boolean {
  if (trustedIPs.length === 0) return () => false;
  const networks = new BlockList();
  for (const entry of trustedIPs) {
    const [address = '', bits] = entry.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (bits === undefined) networks.addAddress(address, family);
    else networks.addSubnet(address, Number(bits), family);
  }
  return (address) => isIP(address) !== 0 && networks.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}
