// Traefik's metrics in Prometheus' text format, all processes together. Names, types and labels are Traefik's. Source: Traefik documentation,
// metrics, and what its version 3.7 answers. Process metrics are Node's, under the names that prom-client gives them.

import { aggregateText, watchProcess } from './process-metrics.ts';
import type { ProcessMetrics } from './reports.ts';
import type { ScopeTotals, SeriesTotals, TrafficTotals } from './traffic-totals.ts';

type Metric = ProcessMetrics[number];
type Sample = Metric['values'][number];

/** Of what. */
export interface TrafficMetricsOptions {
  readonly totals: TrafficTotals;
  /** Upper bounds of the classes of durations in seconds. */
  readonly buckets: readonly number[];
  readonly entryPoints: boolean;
  readonly routers: boolean;
  readonly services: boolean;
  /** Labels whose values are those of headers, in the order in which workers tell them. */
  readonly headerLabels: readonly string[];
  /** Certificates in use. */
  readonly certificates: () => readonly CertificateFacts[];
}

/** What is said about a certificate. */
export interface CertificateFacts {
  readonly cn: string;
  /** Decimal. */
  readonly serial: string;
  /** Names of hosts, sorted, separated by commas. */
  readonly sans: string;
  /** Seconds since 1970. */
  readonly notAfter: number;
}

/** Of one controller. */
export class TrafficMetrics {
  readonly #options: TrafficMetricsOptions;
  readonly #readProcess = watchProcess();
  #reloads = 0;
  #reloadedAt = 0;

  constructor(options: TrafficMetricsOptions) {
    this.#options = options;
  }

  /** Another configuration is in force. */
  reloaded(): void {
    this.#reloads++;
    this.#reloadedAt = Math.trunc(Date.now() / 1000);
  }

  /** Everything as text, with what the workers tell about themselves; what has no router or service any more is there for the last time. */
  async render(workers: readonly ProcessMetrics[]): Promise<string> {
    const own = [...(await (await this.#readProcess)()), ...this.#read()];
    const text = await aggregateText(await import('prom-client'), [own, ...workers]);
    this.#options.totals.prune();
    return `${text}\n`;
  }

  #read(): Metric[] {
    const { totals, certificates, entryPoints, routers, services } = this.#options;
    return [
      metric('counter', 'traefik_config_reloads_total', 'Config reloads', [
        { labels: {}, value: this.#reloads },
      ]),
      metric('gauge', 'traefik_config_last_reload_success', 'Last config reload success', [
        { labels: {}, value: this.#reloadedAt },
      ]),
      metric(
        'gauge',
        'traefik_tls_certs_not_after',
        'Certificate expiration timestamp',
        certificates().map(({ notAfter, ...labels }) => ({ labels, value: notAfter })),
      ),
      metric(
        'counter',
        'jtp_connections_refused_total',
        'Connections that were refused, partitioned by entry point and by the limit that they met',
        totals.refused(),
      ),
      ...(entryPoints ? this.#readScopes('entrypoint') : []),
      ...(routers ? this.#readScopes('router') : []),
      ...(services ? this.#readScopes('service') : []),
    ].filter(({ values }) => values.length > 0);
  }

  #readScopes(kind: ScopeTotals['kind']): Metric[] {
    const { totals, buckets, headerLabels } = this.#options;
    const scopes = totals.scopes(kind);
    const by = `${kind === 'router' ? 'service, ' : ''}status code, protocol, and method`;
    const name = (what: string): string => `traefik_${kind}_${what}`;
    const perSeries = (valueOf: (series: SeriesTotals) => number): Sample[] =>
      scopes.flatMap((scope) =>
        [...scope.series.values()].map((series) => ({
          labels: { ...series.labels, ...labelsOf(scope) },
          value: valueOf(series),
        })),
      );
    return [
      metric(
        'counter',
        name('requests_total'),
        `How many HTTP requests were processed, partitioned by ${by}.`,
        headerLabels.length === 0
          ? perSeries(({ count }) => count)
          : scopes.flatMap((scope) => samplesByHeaders(scope, headerLabels)),
      ),
      metric(
        'counter',
        name('requests_tls_total'),
        'How many HTTP requests with TLS were processed, partitioned by TLS version and TLS cipher.',
        scopes.flatMap(samplesByHandshake),
      ),
      metric(
        'histogram',
        name('request_duration_seconds'),
        `How long it took to process requests, partitioned by ${by}.`,
        scopes.flatMap((scope) => durations(scope, name('request_duration_seconds'), buckets)),
      ),
      metric(
        'counter',
        name('requests_bytes_total'),
        `The total size of requests in bytes, partitioned by ${by}.`,
        perSeries(({ requestBytes }) => requestBytes),
      ),
      metric(
        'counter',
        name('responses_bytes_total'),
        `The total size of responses in bytes, partitioned by ${by}.`,
        perSeries(({ responseBytes }) => responseBytes),
      ),
    ];
  }
}

function metric(type: string, name: string, help: string, values: Sample[]): Metric {
  return { type, name, help, aggregator: 'sum', values };
}

function labelsOf({ kind, name, service }: ScopeTotals): Record<string, string> {
  return service === undefined ? { [kind]: name } : { [kind]: name, service };
}

function samplesByHeaders(scope: ScopeTotals, headerLabels: readonly string[]): Sample[] {
  return [...scope.headers.values()].map(({ labels, values, count }) => ({
    labels: {
      ...labels,
      ...labelsOf(scope),
      ...Object.fromEntries(headerLabels.map((label, index) => [label, values[index] ?? ''])),
    },
    value: count,
  }));
}

function samplesByHandshake(scope: ScopeTotals): Sample[] {
  return [...scope.handshakes].map(([handshake, value]) => {
    const [version = '', cipher = ''] = handshake.split(' ');
    return { labels: { tls_version: version, tls_cipher: cipher, ...labelsOf(scope) }, value };
  });
}

function durations(scope: ScopeTotals, name: string, buckets: readonly number[]): Sample[] {
  return [...scope.series.values()].flatMap((series) => {
    const labels = { ...series.labels, ...labelsOf(scope) };
    let passed = 0;
    return [
      ...[...buckets, Infinity].map((bound, index) => {
        passed += series.classes[index] ?? 0;
        const le = bound === Infinity ? '+Inf' : String(bound);
        return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: passed };
      }),
      { metricName: `${name}_sum`, labels, value: series.seconds },
      { metricName: `${name}_count`, labels, value: series.count },
    ];
  });
}
