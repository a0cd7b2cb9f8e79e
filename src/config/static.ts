// The static configuration after reading: defaults filled in, version-1 files upgraded, durations in milliseconds.
// It is plain data: the supervisor hands it to every child process as it is (structured clone keeps the maps).

import type { LimitsConfiguration } from './limits.ts';

import type { ChpTls } from './chp.ts';
import type { TlsOptionsConfiguration } from './dynamic.ts';
import type { PrometheusConfiguration } from './prometheus.ts';

/** `[host]:port` taken apart; an empty host means all interfaces. Source: Traefik documentation, EntryPoints. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
  /** A Unix socket instead. */
  readonly path?: string;
}

/** Users of HTTP basic authentication, `name:hash` each (bcrypt, apr1 or {SHA}). */
export interface BasicAuthConfiguration {
  readonly users: readonly string[];
  readonly usersFile?: string;
  readonly realm?: string;
  readonly removeHeader?: boolean;
  readonly headerField?: string;
}

/** `http.redirections.entryPoint` of an entry point. */
export interface RedirectionConfiguration {
  /** The name of an entry point, or `:port`. */
  readonly to: string;
  readonly scheme: string;
  readonly permanent: boolean;
  /** Digits: 64 bits are more than a number can hold. */
  readonly priorityText: string;
}

/** `entryPoints.<name>`. */
export interface EntryPointConfiguration {
  readonly name: string;
  /** As written: `:8000`, `127.0.0.1:8099`. */
  readonly addressText: string;
  readonly address: ListenAddress;
  readonly asDefault: boolean;
  readonly reusePort: boolean;
  readonly transport: {
    readonly lifeCycle: { readonly requestAcceptGraceTimeoutMs: number; readonly graceTimeOutMs: number };
    /** 0 switches a limit off. Traefik's defaults: 60 s, off, 180 s. */
    readonly respondingTimeouts: {
      readonly readTimeoutMs: number;
      readonly writeTimeoutMs: number;
      readonly idleTimeoutMs: number;
      /** A connection with a request in flight is cut when no byte has moved for so long; only from the configurable-http-proxy command. */
      readonly silenceTimeoutMs?: number;
    };
    readonly keepAliveMaxRequests: number;
    readonly keepAliveMaxTimeMs: number;
  };
  readonly forwardedHeaders: {
    readonly insecure: boolean;
    readonly trustedIPs: readonly string[];
    readonly connection: readonly string[];
    readonly notAppendXForwardedFor: boolean;
  };
  readonly http: {
    /** Qualified names, prepended to the middlewares of every router on this entry point. */
    readonly middlewares: readonly string[];
    /** Present: every router here is a TLS router unless it says otherwise. */
    readonly tls?: RouterTlsConfiguration;
    readonly maxHeaderBytes: number;
    readonly sanitizePath: boolean;
    readonly redirection?: RedirectionConfiguration;
  };
  readonly http2: {
    readonly maxConcurrentStreams: number;
    /** Bytes of the tables of header compression, for what clients and what we send. */
    readonly maxDecoderHeaderTableSize: number;
    readonly maxEncoderHeaderTableSize: number;
  };
  /** Only from version-1 files (`entryPoints.x.auth.basic`): stands before everything on this entry point except `/ping`. */
  readonly basicAuth?: BasicAuthConfiguration;
  /** Only from the configurable-http-proxy command: TLS and nothing else, with this certificate for every name. */
  readonly serverTls?: ChpTls;
  /** Only from version-1 files (`entryPoints.x.tls.certificates`): paths or PEM text; the first one is the default. */
  readonly certificates?: readonly { readonly certFile: string; readonly keyFile: string }[];
}

/** `tls` of a router or of an entry point; an empty table is enough to ask for TLS. */
export interface RouterTlsConfiguration {
  readonly options?: string;
  readonly certResolver?: string;
  readonly domains?: readonly { readonly main: string; readonly sans?: readonly string[] }[];
}

/** `api`. */
export interface ApiConfiguration {
  readonly insecure: boolean;
  readonly dashboard: boolean;
  readonly debug: boolean;
  readonly basePath: string;
  /** Only from version-1 files (`api.entryPoint`): the API is mounted there for every path, behind that entry point's `basicAuth`. */
  readonly entryPoint?: string;
}

/** `ping`. */
export interface PingConfiguration {
  readonly entryPoint: string;
  readonly manualRouting: boolean;
  readonly terminatingStatusCode: number;
}

/** `log`. */
export interface LogConfiguration {
  readonly level: 'TRACE' | 'DEBUG' | 'INFO' | 'WARN' | 'ERROR' | 'FATAL' | 'PANIC';
  /** `chp`: as the configurable-http-proxy command writes its log. */
  readonly format: 'common' | 'json' | 'chp';
  readonly filePath?: string;
  readonly noColor: boolean;
}

/** `serversTransport`: defaults of the connections to servers. */
export interface ServersTransportConfiguration {
  readonly insecureSkipVerify: boolean;
  readonly rootCAs: readonly string[];
  /** PEM texts, shown to servers that ask; only from the configurable-http-proxy command. */
  readonly certificates?: readonly { readonly cert: string; readonly key: string }[];
  readonly maxIdleConnsPerHost: number;
  readonly forwardingTimeouts: {
    readonly dialTimeoutMs: number;
    readonly responseHeaderTimeoutMs: number;
    readonly idleConnTimeoutMs: number;
  };
}

/** `providers.file`. */
export interface FileProviderConfiguration {
  readonly filename?: string;
  readonly directory?: string;
  readonly watch: boolean;
}

/** What the configurable-http-proxy command asks of the data plane beside what Traefik knows. */
export interface ChpConfiguration {
  /** `--no-x-forward`: `untouched`. */
  readonly forwarded: 'appended' | 'untouched';
  readonly includePrefix: boolean;
  readonly prependPath: boolean;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  readonly autoRewrite: boolean;
  readonly protocolRewrite?: string;
  /** Absolute path of a folder with `404.html`, `503.html`, `error.html`. */
  readonly errorPath?: string;
  readonly errorTarget?: string;
  /** Whether requests are counted. */
  readonly hasMetrics: boolean;
  /** Redirects everything on this entry point to a port of HTTPS. */
  readonly redirect?: { readonly entryPoint: string; readonly port: number };
}

/** Everything a `traefik.toml` can say that this engine supports. */
export interface StaticConfiguration {
  /** Absolute path of the file it came from; undefined for built-in defaults. */
  readonly file?: string;
  /** The syntax of the file. A version-1 file also switches on the version-1 API (`/api/providers/…`). */
  readonly format: 'v1' | 'v3';
  /** Sorted by name; implicit ones (`traefik` on :8080, `http` on :80) included. */
  readonly entryPoints: ReadonlyMap<string, EntryPointConfiguration>;
  readonly providers: {
    /** `providers.providersThrottleDuration`, default 2 s. */
    readonly throttleMs: number;
    readonly file?: FileProviderConfiguration;
  };
  /** Only from version-1 files (`entryPoints.x.tls`): for everybody, in the place of `tls.options.default`. */
  readonly tlsOptions?: TlsOptionsConfiguration;
  readonly api?: ApiConfiguration;
  readonly ping?: PingConfiguration;
  /** `metrics.prometheus`; absent: nothing is counted. */
  readonly prometheus?: PrometheusConfiguration;
  readonly log: LogConfiguration;
  readonly serversTransport: ServersTransportConfiguration;
  /** Not from the file: from the environment. */
  readonly limits: LimitsConfiguration;
  readonly chp?: ChpConfiguration;
  /** Not from the file: a hub whose error pages are shown, and how it is reached with TLS. */
  readonly hubErrorPages?: {
    readonly url: string;
    readonly caFile?: string;
    readonly certFile?: string;
    readonly keyFile?: string;
  };
  /** Things said once at start: keys of a version-1 file that have no effect, a missing public entry point. */
  readonly notices: readonly string[];
}
