// Everything about TLS that a controller tells its workers: certificates, options, hosts that nobody may reach, the key of session tickets.

import { randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { TlsConfiguration } from '../config/dynamic.ts';
import type { StaticConfiguration } from '../config/static.ts';
import type { Logger } from '../log.ts';
import type { RouterSpec, TlsSpec } from './table-change.ts';
import { namedFiles, readCertificates } from './tls-files.ts';
import type { PemPair, TlsCertificates } from './tls-files.ts';
import { hostsOf } from './tls-hosts.ts';
import { readTlsOptions } from './tls-options.ts';
import type { TlsOptionsState } from './tls-options.ts';

const TICKET_KEY_BYTES = 48;

/** What it is made of. */
export interface RuntimeTlsOptions {
  readonly static: StaticConfiguration;
  readonly log: Logger;
  /** Offered to TLS clients when nothing better is configured; asked at each `read`. */
  readonly fallbackCertificate: () => PemPair | undefined;
  /** Throws when a pair cannot be used. */
  readonly checkCertificate: (pair: PemPair) => void;
}

/** The TLS side of a runtime. */
export class RuntimeTls {
  readonly #options: RuntimeTlsOptions;
  #certificates: TlsCertificates = { certificates: [] };
  readonly #lastGood = new Map<string, PemPair>();
  readonly #complaints = new Map<string, string>();
  #files: readonly string[] = [];
  #states: ReadonlyMap<string, TlsOptionsState> = new Map();
  #ticketKey = randomBytes(TICKET_KEY_BYTES).toString('base64');
  /** Router → hosts by entry point. */
  readonly #refused = new Map<string, readonly (readonly [entryPoint: string, hosts: readonly string[]])[]>();
  #spec: TlsSpec | undefined;

  constructor(options: RuntimeTlsOptions) {
    this.#options = options;
    this.read(new Map());
  }

  /** Options by name, usable or not. */
  get states(): ReadonlyMap<string, TlsOptionsState> {
    return this.#states;
  }

  /** Paths that certificates and options were read from. */
  get files(): readonly string[] {
    return this.#files;
  }

  /** Nothing is configured for clients that name no host, or one without a certificate. */
  get needsFallback(): boolean {
    return this.#certificates.defaultCertificate === undefined;
  }

  get spec(): TlsSpec {
    this.#spec ??= {
      ...this.#certificates,
      options: [...this.#states.values()].flatMap(({ spec }) => (spec === undefined ? [] : [spec])),
      refusedHosts: this.#refusedHosts(),
      ticketKey: this.#ticketKey,
    };
    return this.#spec;
  }

  /** Reads what the providers say, files included; tells what is different now: options concern routers, certificates do not. */
  read(configurations: ReadonlyMap<string, TlsConfiguration>): 'nothing' | 'certificates' | 'options' {
    const { log } = this.#options;
    const certificates = readCertificates({
      ...this.#options,
      fallbackCertificate: this.#options.fallbackCertificate(),
      configurations: [...configurations.values()],
      lastGood: this.#lastGood,
      complaints: this.#complaints,
    });
    this.#files = namedFiles(configurations.values(), this.#options.static);
    const states = readTlsOptions(configurations, this.#states, log);
    const hasSameOptions = isDeepStrictEqual(states, this.#states);
    if (hasSameOptions && isDeepStrictEqual(certificates, this.#certificates)) return 'nothing';
    this.#certificates = certificates;
    this.#states = states;
    this.#spec = undefined;
    return hasSameOptions ? 'certificates' : 'options';
  }

  /** Takes note of a router whose TLS options cannot be used; no specs: they can. True when something is different. */
  refuse(router: string, specs: readonly RouterSpec[]): boolean {
    const before = this.#refused.get(router);
    if (before === undefined && specs.length === 0) return false;
    const hosts = specs.map((spec) => [spec.entryPoints[0] ?? '', hostsOf(spec)] as const);
    if (isDeepStrictEqual(before, hosts)) return false;
    if (hosts.length === 0) this.#refused.delete(router);
    else this.#refused.set(router, hosts);
    this.#spec = undefined;
    return true;
  }

  /** From now on tickets are made with another key; those of before are no good any more, their owners shake hands in full. */
  rotateTicketKey(): void {
    this.#ticketKey = randomBytes(TICKET_KEY_BYTES).toString('base64');
    this.#spec = undefined;
  }

  #refusedHosts(): Record<string, readonly string[]> {
    const all = new Map<string, Set<string>>();
    for (const entries of this.#refused.values())
      for (const [entryPoint, hosts] of entries) {
        const known = all.get(entryPoint) ?? new Set();
        for (const host of hosts) known.add(host);
        all.set(entryPoint, known);
      }
    return Object.fromEntries([...all].map(([entryPoint, hosts]) => [entryPoint, [...hosts].sort()]));
  }
}
