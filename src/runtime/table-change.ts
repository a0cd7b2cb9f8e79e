// What the control plane tells the data plane. A change names only what it touches, so its cost does not depend on the size of the
// table; a snapshot is a change with `full`, sent to a worker that has just connected.

import type { PeerCertSan, RedirectSchemeConfiguration } from '../config/dynamic.ts';
import type { BasicAuthConfiguration } from '../config/static.ts';

/** A middleware ready to be built: resolved, in the order in which a request passes it. */
export type MiddlewareSpec =
  | {
      readonly kind: 'basicAuth';
      /** Qualified name, `auth@file`. */
      readonly name: string;
      /** `usersFile` has been read: only `users`, `realm`, `removeHeader` and `headerField` arrive here. */
      readonly options: BasicAuthConfiguration;
    }
  | { readonly kind: 'redirectScheme'; readonly name: string; readonly options: RedirectSchemeConfiguration };

/** One enabled router. */
export interface RouterSpec {
  /** Qualified: `router__2Fuser_2Fzoe_2F@file`. */
  readonly name: string;
  /** The name in the metrics, where it is another one. */
  readonly label?: string;
  /** Names of existing entry points. */
  readonly entryPoints: readonly string[];
  /** A rule in today's syntax (version-1 rules are translated before), known to parse. */
  readonly rule: string;
  /** Effective: the byte length of the rule when none was configured. Higher wins. */
  readonly priority: number;
  /** TLS routers match only TLS requests, the others only plaintext ones. */
  readonly tls: boolean;
  /** TLS routers: the options that their clients' handshakes must have had. Absent: `default`. */
  readonly tlsOptions?: string;
  readonly middlewares: readonly MiddlewareSpec[];
  /** Qualified name of a service of the same table. */
  readonly service: string;
}

/** One usable service. */
export type ServiceSpec =
  | {
      readonly kind: 'loadBalancer';
      readonly name: string;
      readonly servers: readonly {
        /** `http://host:port`, `https://host:port`, `unix:/path` (or `http+unix://%2Fpath`), with an optional path. */
        readonly url: string;
        readonly weight: number;
        readonly preservePath: boolean;
      }[];
      readonly passHostHeader: boolean;
      /** Qualified name of a transport of the same table; absent: the static configuration's. */
      readonly serversTransport?: string;
    }
  /** `api@internal`, `ping@internal`, `dashboard@internal`, `prometheus@internal`: answered by the controller over its private socket. */
  | { readonly kind: 'controller'; readonly name: string }
  /** `noop@internal`: 418. */
  | { readonly kind: 'noop'; readonly name: string }
  /** `stopped@internal`: 424, for polls of servers that have been stopped. */
  | { readonly kind: 'stopped'; readonly name: string };

/** How servers are connected to, with every file read. */
export interface TransportOptions {
  /** The name to ask for and to verify; absent: the host of the server's URL. */
  readonly serverName?: string;
  readonly insecureSkipVerify: boolean;
  /** PEM texts; empty: the system's. */
  readonly rootCAs: readonly string[];
  /** PEM texts, shown to servers that ask. */
  readonly certificates: readonly { readonly cert: string; readonly key: string }[];
  readonly minVersion?: TlsVersion;
  readonly maxVersion?: TlsVersion;
  /** OpenSSL's list; TLS 1.3 suites included. Absent: Node's. */
  readonly ciphers?: string;
  /** One of them has to be in the server's certificate; empty: any will do. */
  readonly peerCertSANs: readonly PeerCertSan[];
  /** Idle connections kept per server; 0 = none. */
  readonly maxIdleConnsPerHost: number;
  /** 0 = off, here and below. */
  readonly dialTimeoutMs: number;
  readonly responseHeaderTimeoutMs: number;
  readonly idleConnTimeoutMs: number;
}

/** As `node:tls` names them. */
export type TlsVersion = 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3';

/** One usable transport of the dynamic configuration. */
export interface ServersTransportSpec extends TransportOptions {
  /** Qualified: `internal-ssl@file`. */
  readonly name: string;
}

/** `tls.options.<name>`, checked and translated: files read, names as OpenSSL has them. */
export interface TlsOptionsSpec {
  /** `default`, or qualified: `strict@file`. */
  readonly name: string;
  readonly minVersion: TlsVersion;
  readonly maxVersion: TlsVersion;
  /** OpenSSL's list; TLS 1.3 suites included. */
  readonly ciphers: string;
  /** OpenSSL's list; empty: its own choice. */
  readonly curves: string;
  readonly clientAuth: ClientAuthSpec;
  /** Clients that name no host with a certificate of its own are refused. */
  readonly sniStrict: boolean;
  readonly alpnProtocols: readonly string[];
  readonly disableSessionTickets: boolean;
}

/** What clients have to show. `ca`: PEM texts; only certificates signed by one of them are accepted where they are verified. */
export interface ClientAuthSpec {
  readonly type:
    | 'NoClientCert'
    | 'RequestClientCert'
    | 'RequireAnyClientCert'
    | 'VerifyClientCertIfGiven'
    | 'RequireAndVerifyClientCert';
  readonly ca: readonly string[];
}

/** The options that routers get which ask for none, unless a provider defines `default` anew. */
export const DEFAULT_TLS_OPTIONS = 'default';

/** Certificates in PEM, already read from their files; the data plane never opens a file. */
export interface TlsSpec {
  readonly certificates: readonly { readonly cert: string; readonly key: string }[];
  /** Absent: the engine's own self-signed one is in `fallbackCertificate`. */
  readonly defaultCertificate?: { readonly cert: string; readonly key: string };
  readonly fallbackCertificate?: { readonly cert: string; readonly key: string };
  /** Always with one named `default`. */
  readonly options: readonly TlsOptionsSpec[];
  /** Hosts by entry point whose routers name options that cannot be used: nobody is let in with others in their place. */
  readonly refusedHosts: Readonly<Record<string, readonly string[]>>;
  /** Key of the session tickets that all workers accept and issue, 48 bytes in base64. A secret. */
  readonly ticketKey: string;
}

/** A step from one generation of the routing table to the next. */
export interface TableChange {
  /** Counts up by one with each change of this controller process. */
  readonly generation: number;
  /** True: everything not named here is gone (a worker keeps what is unchanged as it is). */
  readonly full: boolean;
  readonly routers: readonly RouterSpec[];
  readonly removedRouters: readonly string[];
  readonly services: readonly ServiceSpec[];
  readonly removedServices: readonly string[];
  /** Before the services that name them are built. Absent: none changed (in a full change: there is none). */
  readonly serversTransports?: readonly ServersTransportSpec[];
  readonly removedServersTransports?: readonly string[];
  /** Present only when certificates changed. */
  readonly tls?: TlsSpec;
}
