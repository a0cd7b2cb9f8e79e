// The metrics of the configurable-http-proxy command, all its processes together. Names, types and labels are that program's. Source: its
// documentation of the metrics server. Process metrics are those of all processes: times and memory are added up, lags averaged.

import type * as Prometheus from 'prom-client';
import type { Counter, Registry, Summary } from 'prom-client';
import type { CountsReport, ProcessMetrics, RefusedReport } from './reports.ts';
import { aggregateText, watchProcess } from './process-metrics.ts';
import { Timings } from './timings.ts';

type Library = typeof Prometheus;

const QUANTILES = [0.01, 0.05, 0.5, 0.9, 0.95, 0.99, 0.999];

/** What is counted for all processes, in the controller. */
export class ChpMetrics {
  readonly #library: Library;
  readonly #register: Registry;
  readonly #readProcess: () => Promise<ProcessMetrics>;
  readonly #routesRead: Counter;
  readonly #routesAdded: Counter;
  readonly #routesDeleted: Counter;
  readonly #web: Counter;
  readonly #ws: Counter;
  readonly #proxied: Counter<'status'>;
  readonly #api: Counter<'status'>;
  /** Not one of that program's. */
  readonly #refused: Counter<'entrypoint' | 'reason'>;
  readonly #lookUps = new Timings();
  readonly #updates = new Timings();

  private constructor(library: Library, readProcess: () => Promise<ProcessMetrics>) {
    this.#library = library;
    this.#readProcess = readProcess;
    const register = new library.Registry();
    this.#register = register;
    const counter = (name: string, help: string): Counter =>
      new library.Counter({ name, help, registers: [register] });
    const byStatus = (name: string, help: string): Counter<'status'> =>
      new library.Counter({ name, help, labelNames: ['status'], registers: [register] });
    this.#routesRead = counter(
      'api_route_get',
      'How often the whole routing table was read over the REST API',
    );
    this.#routesAdded = counter('api_route_add', 'Routes added or replaced over the REST API');
    this.#routesDeleted = counter('api_route_delete', 'Deletions of routes asked for over the REST API');
    summary(library, register, this.#lookUps, {
      name: 'find_target_for_req',
      help: 'Seconds it took to find the route of a request',
    });
    summary(library, register, this.#updates, {
      name: 'last_activity_updating',
      help: 'Seconds it took to note that a route was used',
    });
    this.#ws = counter('requests_ws', 'Requests for a WebSocket');
    this.#web = counter('requests_web', 'Requests other than for a WebSocket, without health checks');
    this.#proxied = byStatus('requests_proxy', 'Answers to requests, of targets or in their place');
    this.#api = byStatus('requests_api', 'Answers of the REST API');
    this.#refused = new library.Counter({
      name: 'jtp_connections_refused_total',
      help: 'Connections that were refused, by entry point and by the limit that they met',
      labelNames: ['entrypoint', 'reason'],
      registers: [register],
    });
  }

  static async create(): Promise<ChpMetrics> {
    return new ChpMetrics(await import('prom-client'), await watchProcess());
  }

  routesRead(): void {
    this.#routesRead.inc();
  }

  routeAdded(): void {
    this.#routesAdded.inc();
  }

  routeDeleted(): void {
    this.#routesDeleted.inc();
  }

  /** The REST API has answered. */
  answered(status: number): void {
    this.#api.inc({ status });
  }

  /** A route's clock was set here and not in a worker. */
  updated(ms: number): void {
    this.#updates.note(ms);
  }

  /** From a worker. */
  noteRefused(refused: RefusedReport): void {
    for (const [entrypoint, reason, count] of refused) this.#refused.inc({ entrypoint, reason }, count);
  }

  /** From a worker. */
  note({ web, ws, answers, lookUps, updates }: CountsReport): void {
    this.#web.inc(web);
    this.#ws.inc(ws);
    for (const [status, count] of answers) this.#proxied.inc({ status }, count);
    this.#lookUps.add(lookUps);
    this.#updates.add(updates);
  }

  get contentType(): string {
    return this.#register.contentType;
  }

  /** Everything as text, with what the workers tell about themselves. */
  async render(workers: readonly ProcessMetrics[]): Promise<string> {
    const processes = await aggregateText(this.#library, [await this.#readProcess(), ...workers]);
    return `${processes}\n\n${await this.#register.metrics()}`;
  }
}

/** A summary of what has been noted elsewhere. */
function summary(
  library: Library,
  register: Registry,
  timings: Timings,
  { name, help }: { readonly name: string; readonly help: string },
): void {
  const made: Summary<'quantile'> = new library.Summary({ name, help, registers: [register] });
  const read = made.get.bind(made);
  made.get = async () => ({
    ...(await read()),
    values: [
      ...QUANTILES.map((quantile) => ({ labels: { quantile }, value: timings.quantile(quantile) })),
      { metricName: `${name}_sum`, labels: {}, value: timings.seconds },
      { metricName: `${name}_count`, labels: {}, value: timings.count },
    ],
  });
}
