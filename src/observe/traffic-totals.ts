// What all workers have counted about the requests of entry points, routers and services since the controller started.

import type { RefusedReport, TrafficReport } from './reports.ts';
import { OTHER_VALUE } from './traffic.ts';

type ScopeReport = TrafficReport[number];

/** One combination of status, method and protocol. */
export interface SeriesTotals {
  readonly labels: { readonly code: string; readonly method: string; readonly protocol: string };
  count: number;
  seconds: number;
  requestBytes: number;
  responseBytes: number;
  readonly classes: number[];
}

/** Of one entry point, router or service. */
export interface ScopeTotals {
  readonly kind: ScopeReport['kind'];
  readonly name: string;
  readonly service: string | undefined;
  readonly series: Map<string, SeriesTotals>;
  readonly headers: Map<
    string,
    { readonly labels: SeriesTotals['labels']; readonly values: readonly string[]; count: number }
  >;
  readonly handshakes: Map<string, number>;
}

/** Combinations of headers' values of one entry point, router or service; clients could send new ones for ever. */
const MAX_HEADER_VALUES = 10_000;

/** Scopes of routers and services that are gone are kept until the next reading, but not more than so many. */
const MAX_GONE = 10_000;

/** All of them. */
export class TrafficTotals {
  readonly #scopes = new Map<string, ScopeTotals>();
  readonly #refused = new Map<string, { readonly labels: Record<string, string>; count: number }>();
  readonly #exists: (scope: ScopeTotals) => boolean;
  #pruneAt = MAX_GONE;

  /** `exists`: whether the configuration still has such an entry point, router or service. */
  constructor(exists: (scope: ScopeTotals) => boolean) {
    this.#exists = exists;
  }

  /** From a worker. */
  add(report: TrafficReport): void {
    for (const one of report) this.#addScope(one);
    if (this.#scopes.size <= this.#pruneAt) return;
    // Nobody reads the metrics.
    this.prune();
    this.#pruneAt = this.#scopes.size + MAX_GONE;
  }

  #addScope(report: ScopeReport): void {
    const { kind, name, service } = report;
    const key = `${kind}\0${name}\0${service ?? ''}`;
    let scope = this.#scopes.get(key);
    if (scope === undefined) {
      scope = { kind, name, service, series: new Map(), headers: new Map(), handshakes: new Map() };
      this.#scopes.set(key, scope);
    }
    for (const one of report.series) addSeries(scope.series, one);
    for (const one of report.headers) addHeaders(scope.headers, one);
    for (const [handshake, count] of report.handshakes)
      scope.handshakes.set(handshake, (scope.handshakes.get(handshake) ?? 0) + count);
  }

  addRefused(report: RefusedReport): void {
    for (const [entrypoint, reason, count] of report) {
      const key = `${entrypoint}\0${reason}`;
      const known = this.#refused.get(key);
      if (known === undefined) this.#refused.set(key, { labels: { entrypoint, reason }, count });
      else known.count += count;
    }
  }

  /** Those of one kind. */
  scopes(kind: ScopeReport['kind']): ScopeTotals[] {
    return [...this.#scopes.values()].filter((scope) => scope.kind === kind);
  }

  /** Refused connections. */
  refused(): { readonly labels: Record<string, string>; readonly value: number }[] {
    return [...this.#refused.values()].map(({ labels, count }) => ({ labels, value: count }));
  }

  /** Forgets what the configuration does not have any more; called after everything was read once more. */
  prune(): void {
    for (const [key, scope] of this.#scopes) if (!this.#exists(scope)) this.#scopes.delete(key);
  }
}

function addSeries(known: Map<string, SeriesTotals>, report: ScopeReport['series'][number]): void {
  const { status, method, protocol, count, seconds, requestBytes, responseBytes, classes } = report;
  const key = `${String(status)} ${method} ${protocol}`;
  const totals = known.get(key);
  if (totals === undefined) {
    const labels = { code: String(status), method, protocol };
    known.set(key, { labels, count, seconds, requestBytes, responseBytes, classes: [...classes] });
    return;
  }
  totals.count += count;
  totals.seconds += seconds;
  totals.requestBytes += requestBytes;
  totals.responseBytes += responseBytes;
  for (const [index, times] of classes.entries())
    totals.classes[index] = (totals.classes[index] ?? 0) + times;
}

function addHeaders(known: ScopeTotals['headers'], report: ScopeReport['headers'][number]): void {
  const { status, method, protocol, count } = report;
  const keyOf = (values: readonly string[]): string => [status, method, protocol, ...values].join('\0');
  let { values } = report;
  if (!known.has(keyOf(values)) && known.size >= MAX_HEADER_VALUES) values = values.map(() => OTHER_VALUE);
  const key = keyOf(values);
  const totals = known.get(key);
  if (totals === undefined)
    known.set(key, { labels: { code: String(status), method, protocol }, values, count });
  else totals.count += count;
}
