// The transports of all providers: files read, mistakes found, and which services wait for which of them. Unlike Traefik's, a transport
// that cannot be used is never replaced by a weaker one: it stays as it was, or the services that name it are disabled.

import type { DynamicServersTransportConfiguration, PeerCertSan, TlsVersionName } from '../config/dynamic.ts';
import { errorText } from '../errors.ts';
import type { Logger } from '../log.ts';
import { readPem } from './tls-files.ts';
import { cipherList } from './tls-names.ts';
import type { ServersTransportSpec, TlsVersion, TransportOptions } from './table-change.ts';

const VERSIONS = {
  VersionTLS10: 'TLSv1',
  VersionTLS11: 'TLSv1.1',
  VersionTLS12: 'TLSv1.2',
  VersionTLS13: 'TLSv1.3',
} as const satisfies Record<TlsVersionName, TlsVersion>;

/** What 0 stands for. */
const DEFAULT_MAX_IDLE = 200;

interface TransportState {
  readonly spec: ServersTransportSpec | undefined;
  /** Why there is no spec. */
  readonly reason: string;
  /** What it was built from, so that the same is not built, and complained about, again. */
  readonly text: string;
}

/** What workers have to hear about transports, and which services have to be built again. */
export interface TransportChanges {
  readonly set: Map<string, ServersTransportSpec>;
  readonly removed: Set<string>;
  readonly services: Set<string>;
}

/** All transports by qualified name. */
export class ServersTransports {
  readonly #transports = new Map<string, TransportState>();
  readonly #users = new Map<string, Set<string>>();
  readonly #check: (options: TransportOptions) => void;
  readonly #log: Logger;

  constructor(check: (options: TransportOptions) => void, log: Logger) {
    this.#check = check;
    this.#log = log;
  }

  /** Those that can be used. */
  specs(): readonly ServersTransportSpec[] {
    return [...this.#transports.values()].flatMap(({ spec }) => (spec === undefined ? [] : [spec]));
  }

  /** Why no service can use this transport; undefined when one can. The wording for an unknown one is Traefik's. */
  reasonAgainst(name: string): string | undefined {
    const state = this.#transports.get(name);
    if (state === undefined) return `servers transport not found ${name}`;
    return state.spec === undefined ? `servers transport ${name}: ${state.reason}` : undefined;
  }

  /** Service `service` names transport `name` from now on; undefined: none. */
  use(service: string, before: string | undefined, name: string | undefined): void {
    if (before === name) return;
    if (before !== undefined) {
      const users = this.#users.get(before);
      users?.delete(service);
      if (users?.size === 0) this.#users.delete(before);
    }
    if (name === undefined) return;
    const users = this.#users.get(name) ?? new Set();
    users.add(service);
    this.#users.set(name, users);
  }

  /** Takes a transport, reading its files anew; what came of it is noted in `changes`. */
  set(name: string, configuration: DynamicServersTransportConfiguration, changes: TransportChanges): void {
    const before = this.#transports.get(name);
    const { options, reason } = this.#read(configuration);
    const text = options === undefined ? reason : JSON.stringify(options);
    if (before?.text === text) return;
    if (options === undefined) {
      const isKept = before?.spec !== undefined;
      this.#log.error(
        { serversTransport: name, reason },
        isKept ? 'the transport stays as it was' : 'the transport cannot be used',
      );
    }
    const spec = options === undefined ? before?.spec : { name, ...options };
    this.#transports.set(name, { spec, reason, text });
    if (spec !== undefined && spec !== before?.spec) changes.set.set(name, spec);
    // Services care whether their transport works, not how.
    if ((spec === undefined) !== (before?.spec === undefined) || before === undefined)
      for (const service of this.#users.get(name) ?? []) changes.services.add(service);
  }

  delete(name: string, changes: TransportChanges): void {
    const before = this.#transports.get(name);
    if (before === undefined) return;
    this.#transports.delete(name);
    if (before.spec !== undefined) changes.removed.add(name);
    for (const service of this.#users.get(name) ?? []) changes.services.add(service);
  }

  #read(configuration: DynamicServersTransportConfiguration): {
    readonly options: TransportOptions | undefined;
    readonly reason: string;
  } {
    const { minVersion, maxVersion, serverName, cipherSuites, maxIdleConnsPerHost } = configuration;
    try {
      const options: TransportOptions = {
        ...(serverName === undefined ? {} : { serverName }),
        insecureSkipVerify: configuration.insecureSkipVerify,
        rootCAs: configuration.rootCAs.map(readPem),
        certificates: configuration.certificates.map(({ certFile, keyFile }) => ({
          cert: readPem(certFile),
          key: readPem(keyFile),
        })),
        ...(minVersion === undefined ? {} : { minVersion: VERSIONS[minVersion] }),
        ...(maxVersion === undefined ? {} : { maxVersion: VERSIONS[maxVersion] }),
        ...(cipherSuites.length === 0 ? {} : { ciphers: cipherList(cipherSuites) }),
        peerCertSANs: configuration.peerCertSANs.map(checked),
        maxIdleConnsPerHost: maxIdleConnsPerHost === 0 ? DEFAULT_MAX_IDLE : Math.max(0, maxIdleConnsPerHost),
        ...configuration.forwardingTimeouts,
      };
      this.#check(options);
      return { options, reason: '' };
    } catch (error) {
      return { options: undefined, reason: errorText(error) };
    }
  }
}

function checked(san: PeerCertSan): PeerCertSan {
  if (san.value === '') throw new Error('peerCertSANs: each needs a type, DNSName or URI, and a value');
  return san;
}
