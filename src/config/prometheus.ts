// `metrics`: what is counted, and where it is read. Source: Traefik documentation, metrics, Prometheus.

import type { BuildProblem, Table } from './build-static.ts';

/** `metrics.prometheus`, with `metrics.addInternals`. */
export interface PrometheusConfiguration {
  readonly entryPoint: string;
  /** No router of its own, only the service `prometheus@internal`. */
  readonly manualRouting: boolean;
  /** Upper bounds of the histograms' classes in seconds, ascending, without the infinite one. */
  readonly buckets: readonly number[];
  readonly addEntryPointsLabels: boolean;
  readonly addRoutersLabels: boolean;
  readonly addServicesLabels: boolean;
  /** Requests for the API, the dashboard, `ping` and the metrics themselves count as well. */
  readonly addInternals: boolean;
  /** Label → name of the request header that is its value. */
  readonly headerLabels: ReadonlyMap<string, string>;
}

const DEFAULT_BUCKETS = [0.1, 0.3, 1.2, 5];

/** Labels that there are without being asked for. */
const OWN_LABELS = new Set(['code', 'method', 'protocol', 'entrypoint', 'router', 'service']);

/** Reads `metrics`; undefined when nothing is to be counted. */
export function buildPrometheus(
  metrics: Table,
  problems: BuildProblem[],
): PrometheusConfiguration | undefined {
  if (!metrics.has('prometheus')) return undefined;
  const prometheus = metrics.table('prometheus');
  return {
    entryPoint: prometheus.text('entryPoint') ?? 'traefik',
    manualRouting: prometheus.flag('manualRouting', false),
    buckets: prometheus.has('buckets') ? readBuckets(prometheus.texts('buckets'), problems) : DEFAULT_BUCKETS,
    addEntryPointsLabels: prometheus.flag('addEntryPointsLabels', true),
    addRoutersLabels: prometheus.flag('addRoutersLabels', false),
    addServicesLabels: prometheus.flag('addServicesLabels', true),
    addInternals: metrics.flag('addInternals', false),
    headerLabels: readHeaderLabels(prometheus.names('headerLabels'), problems),
  };
}

function readBuckets(texts: readonly string[], problems: BuildProblem[]): readonly number[] {
  const buckets = texts.map(Number);
  if (buckets.every((bound, index) => Number.isFinite(bound) && bound > (buckets[index - 1] ?? -Infinity)))
    return buckets.length === 0 ? DEFAULT_BUCKETS : buckets;
  problems.push({
    path: ['metrics', 'prometheus', 'buckets'],
    message: `expected ascending numbers of seconds such as 0.1, 0.3, 1.2, 5.0, found ${texts.join(', ')}`,
  });
  return DEFAULT_BUCKETS;
}

function readHeaderLabels(
  labels: ReadonlyMap<string, string>,
  problems: BuildProblem[],
): ReadonlyMap<string, string> {
  for (const label of labels.keys())
    if (!/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(label) || label.startsWith('__') || OWN_LABELS.has(label))
      problems.push({
        path: ['metrics', 'prometheus', 'headerLabels', label],
        message: OWN_LABELS.has(label)
          ? 'the metrics have a label of this name already'
          : 'expected a label of letters, digits and "_", not beginning with a digit or "__"',
      });
  return labels;
}
