// The dynamic configuration as one provider delivers it: routers, services, middlewares and certificates by their unqualified
// names. Syntax has been checked; meaning (does the rule parse, does the service exist) is the runtime's business, because there a
// mistake disables one router and not the whole file.

import type { BasicAuthConfiguration, RouterTlsConfiguration } from './static.ts';

/** `http.routers.<name>`. */
export interface RouterConfiguration {
  readonly rule: string;
  readonly entryPoints?: readonly string[];
  readonly service?: string;
  readonly middlewares?: readonly string[];
  /** 0 or absent: the byte length of the rule. int64 in Traefik; beyond 2^53 the nearest representable number, with its digits in `priorityText`. */
  readonly priority?: number;
  /** The exact digits of a priority that a number cannot hold. */
  readonly priorityText?: string;
  readonly tls?: RouterTlsConfiguration;
}

/** One server of a load balancer. */
export interface ServerConfiguration {
  readonly url: string;
  /** Default 1; 0 or less takes the server out. */
  readonly weight?: number;
  readonly preservePath?: boolean;
}

/** `http.services.<name>.loadBalancer`. */
export interface LoadBalancerConfiguration {
  readonly servers: readonly ServerConfiguration[];
  readonly passHostHeader: boolean;
  /** A name of `http.serversTransports`, perhaps qualified; absent: the static configuration's `serversTransport`. */
  readonly serversTransport?: string;
}

/** TLS versions as Traefik names them. */
export type TlsVersionName = 'VersionTLS10' | 'VersionTLS11' | 'VersionTLS12' | 'VersionTLS13';

/** A subject alternative name: as in `http.serversTransports.<name>.peerCertSANs`. */
export interface PeerCertSan {
  readonly type: 'DNSName' | 'URI';
  readonly value: string;
}

/** `http.serversTransports.<name>`: how servers are connected to. */
export interface DynamicServersTransportConfiguration {
  /** The name to ask for and to verify; absent: the host of the server's URL. */
  readonly serverName?: string;
  readonly insecureSkipVerify: boolean;
  /** Paths or PEM texts; empty: the system's. */
  readonly rootCAs: readonly string[];
  /** Shown to servers that ask for a client's certificate. */
  readonly certificates: readonly CertificateConfiguration[];
  readonly minVersion?: TlsVersionName;
  readonly maxVersion?: TlsVersionName;
  /** For TLS 1.2 and before, by Go's names; empty: the default ones. */
  readonly cipherSuites: readonly string[];
  /** One of them has to be in the server's certificate; empty: any will do. `peerCertURI` is among them. */
  readonly peerCertSANs: readonly PeerCertSan[];
  /** 0: the default; negative: connections are not reused. */
  readonly maxIdleConnsPerHost: number;
  readonly forwardingTimeouts: {
    readonly dialTimeoutMs: number;
    readonly responseHeaderTimeoutMs: number;
    readonly idleConnTimeoutMs: number;
  };
}

/** `http.services.<name>`: exactly one kind. */
export interface ServiceConfiguration {
  readonly loadBalancer?: LoadBalancerConfiguration;
}

/** `http.middlewares.<name>.redirectScheme`. */
export interface RedirectSchemeConfiguration {
  /** `https` or `http`; anything else disables the middleware. */
  readonly scheme: string;
  /** Absent: the scheme's own. */
  readonly port?: string;
  readonly permanent: boolean;
}

/** `http.middlewares.<name>`: exactly one kind. */
export interface MiddlewareConfiguration {
  readonly basicAuth?: BasicAuthConfiguration;
  readonly redirectScheme?: RedirectSchemeConfiguration;
}

/** A certificate and its key: paths or PEM text, as in Traefik. */
export interface CertificateConfiguration {
  readonly certFile: string;
  readonly keyFile: string;
}

/** `tls`. */
export interface TlsConfiguration {
  readonly certificates: readonly CertificateConfiguration[];
  /** `tls.stores.default.defaultCertificate`. */
  readonly defaultCertificate?: CertificateConfiguration;
  /** `tls.options`: name and content. */
  readonly options?: readonly (readonly [name: string, options: TlsOptionsConfiguration])[];
}

/** `tls.options.<name>`. Names of suites and curves are those of Go and are checked by the runtime: a wrong one disables these options only. */
export interface TlsOptionsConfiguration {
  /** Default: TLS 1.2 and 1.3. */
  readonly minVersion?: TlsVersionName;
  readonly maxVersion?: TlsVersionName;
  /** Empty: the default ones. */
  readonly cipherSuites: readonly string[];
  readonly curvePreferences: readonly string[];
  readonly clientAuth?: {
    /** Paths or PEM texts. */
    readonly caFiles: readonly string[];
    readonly clientAuthType?: string;
  };
  readonly sniStrict: boolean;
  /** Empty: h2 and http/1.1. */
  readonly alpnProtocols: readonly string[];
  readonly disableSessionTickets: boolean;
}

/** What one provider delivers. */
export interface DynamicConfiguration {
  readonly routers: ReadonlyMap<string, RouterConfiguration>;
  readonly services: ReadonlyMap<string, ServiceConfiguration>;
  readonly middlewares: ReadonlyMap<string, MiddlewareConfiguration>;
  /** Absent: none. */
  readonly serversTransports?: ReadonlyMap<string, DynamicServersTransportConfiguration>;
  readonly tls: TlsConfiguration;
  /** How a version-1 file spelt its tables, for the version-1 API; absent for version-3 content. */
  readonly v1?: V1DynamicConfiguration;
}

/** The tables of a version-1 file as its API prints them. */
export interface V1DynamicConfiguration {
  readonly frontends: ReadonlyMap<string, unknown>;
  readonly backends: ReadonlyMap<string, unknown>;
}

/** A provider that has nothing to say. */
export const EMPTY_DYNAMIC_CONFIGURATION: DynamicConfiguration = {
  routers: new Map(),
  services: new Map(),
  middlewares: new Map(),
  tls: { certificates: [] },
};
