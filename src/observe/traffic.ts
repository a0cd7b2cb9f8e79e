// What one worker counts about the requests of entry points, routers and services for Traefik's metrics. A request costs an object and a
// few additions; once a second, and whenever the metrics are read, what has come together goes to the controller.

import type { TrafficReport } from './reports.ts';

/** Whose requests are counted. */
export type ScopeKind = 'entrypoint' | 'router' | 'service';

/** What is to be counted. */
export interface TrafficOptions {
  /** Upper bounds of the classes of durations in seconds, ascending. */
  readonly buckets: readonly number[];
  readonly entryPoints: boolean;
  readonly routers: boolean;
  readonly services: boolean;
  /** Services of the proxy itself as well. */
  readonly internals: boolean;
  /** Names of headers in lower case whose values tell requests apart. */
  readonly headers: readonly string[];
}

/** Of each thing that is counted: values of headers that are told apart between two reports; what is more counts as one of them. */
const MAX_HEADER_VALUES = 1000;
/** What values of headers count as when there are too many. */
export const OTHER_VALUE = 'other';

/** One combination of status, method and protocol. */
class Series {
  count = 0;
  seconds = 0;
  requestBytes = 0;
  responseBytes = 0;
  /** How many durations are in each class, not cumulated; the last class has no end. */
  readonly classes: number[];

  constructor(classes: number) {
    this.classes = new Array<number>(classes).fill(0);
  }
}

/** What was found out about one request that has ended. */
export interface Served {
  readonly status: number;
  /** Indexes into METHODS and PROTOCOLS. */
  readonly method: number;
  readonly protocol: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** One for each of the headers that tell requests apart; undefined when there are none. */
  readonly headers: readonly string[] | undefined;
  /** Version and cipher suite of TLS, such as `1.3 TLS_AES_128_GCM_SHA256`; undefined for plaintext. */
  readonly handshake: string | undefined;
}

/** Other methods count as the last one. Source: Traefik documentation, metrics. */
export const METHODS = [
  ...['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE'],
  'EXTENSION_METHOD',
];
export const PROTOCOLS = ['http', 'websocket', 'sse'];

/** The requests of one entry point, router or service. */
export class Scope {
  readonly kind: ScopeKind;
  readonly name: string;
  /** Of a router: the service that it leads to. */
  readonly service: string | undefined;
  readonly #traffic: TrafficCounters;
  /** By status, method and protocol in one number. */
  readonly #series = new Map<number, Series>();
  readonly #headers = new Map<string, number>();
  readonly #handshakes = new Map<string, number>();
  #isDirty = false;

  constructor(traffic: TrafficCounters, kind: ScopeKind, name: string, service?: string) {
    this.#traffic = traffic;
    this.kind = kind;
    this.name = name;
    this.service = service;
  }

  /** A request has ended after so many seconds. */
  note(served: Served, seconds: number): void {
    const { status, method, protocol, headers, handshake } = served;
    const key = (status * METHODS.length + method) * PROTOCOLS.length + protocol;
    const { bounds } = this.#traffic;
    let series = this.#series.get(key);
    if (series === undefined) this.#series.set(key, (series = new Series(bounds.length + 1)));
    let index = 0;
    while (index < bounds.length && seconds > (bounds[index] ?? 0)) index++;
    series.classes[index] = (series.classes[index] ?? 0) + 1;
    series.count++;
    series.seconds += seconds;
    series.requestBytes += served.requestBytes;
    series.responseBytes += served.responseBytes;
    if (headers !== undefined) this.#noteHeaders(key, headers);
    if (handshake !== undefined) this.#handshakes.set(handshake, (this.#handshakes.get(handshake) ?? 0) + 1);
    if (this.#isDirty) return;
    this.#isDirty = true;
    this.#traffic.onDirty(this);
  }

  #noteHeaders(key: number, values: readonly string[]): void {
    const headers = this.#headers;
    let text = `${String(key)}\0${values.join('\0')}`;
    if (!headers.has(text) && headers.size >= MAX_HEADER_VALUES)
      text = `${String(key)}\0${values.map(() => OTHER_VALUE).join('\0')}`;
    headers.set(text, (headers.get(text) ?? 0) + 1);
  }

  /** What has been noted since the last call. */
  take(): TrafficReport[number] {
    const series: TrafficReport[number]['series'] = [];
    for (const [key, one] of this.#series) {
      const { count, seconds, requestBytes, responseBytes, classes } = one;
      if (count === 0) {
        // Nothing since the last time: kept for as long as it is used.
        this.#series.delete(key);
        continue;
      }
      series.push({ ...labelsOf(key), count, seconds, requestBytes, responseBytes, classes: [...classes] });
      one.count = one.seconds = one.requestBytes = one.responseBytes = 0;
      classes.fill(0);
    }
    const headers = [...this.#headers].map(([text, count]) => {
      const [key = '', ...values] = text.split('\0');
      return { ...labelsOf(Number(key)), values, count };
    });
    const handshakes = [...this.#handshakes];
    this.#headers.clear();
    this.#handshakes.clear();
    this.#isDirty = false;
    const { kind, name, service } = this;
    return { kind, name, ...(service === undefined ? {} : { service }), series, headers, handshakes };
  }
}

function labelsOf(key: number): { status: number; method: string; protocol: string } {
  const rest = Math.trunc(key / PROTOCOLS.length);
  return {
    status: Math.trunc(rest / METHODS.length),
    method: METHODS[rest % METHODS.length] ?? '',
    protocol: PROTOCOLS[key % PROTOCOLS.length] ?? '',
  };
}

/** The counters of one worker. */
export class TrafficCounters {
  readonly options: TrafficOptions;
  #dirty: Scope[] = [];

  constructor(options: TrafficOptions) {
    this.options = options;
  }

  get bounds(): readonly number[] {
    return this.options.buckets;
  }

  /** A scope for an entry point; undefined when these are not counted. So are the next two. */
  entryPoint(name: string): Scope | undefined {
    return this.options.entryPoints ? new Scope(this, 'entrypoint', name) : undefined;
  }

  router(name: string, service: string): Scope | undefined {
    return this.options.routers ? new Scope(this, 'router', name, service) : undefined;
  }

  service(name: string): Scope | undefined {
    return this.options.services ? new Scope(this, 'service', name) : undefined;
  }

  /** Called once by a scope that has something to tell. */
  onDirty(scope: Scope): void {
    this.#dirty.push(scope);
  }

  /** What has been counted since the last call; undefined when that is nothing. */
  take(): TrafficReport | undefined {
    if (this.#dirty.length === 0) return undefined;
    const report = this.#dirty.map((scope) => scope.take());
    this.#dirty = [];
    return report;
  }
}
