// Every failure the product can report, in one table: code → default message, whose fault, whether a retry is safe, HTTP status.
// The status sent to a client, the retry decision, the log level and later the metrics label all follow from here.

/** Whose side of the proxy a failure belongs to. */
export type ErrorSource = 'downstream' | 'upstream' | 'internal';

/** Whether the same request may be sent again: never, only if the connection had been used before, or always. */
export type RetryAdvice = 'never' | 'if-reused' | 'safe';

interface ErrorKind {
  readonly message: string;
  readonly source: ErrorSource;
  readonly retry: RetryAdvice;
  readonly status?: number;
}

const ERROR_KINDS = {
  JTP_ERR_CONFIG_INVALID: { message: 'the configuration is not valid', source: 'internal', retry: 'never' },
  JTP_ERR_CONFIG_UNREADABLE: {
    message: 'the configuration cannot be read',
    source: 'internal',
    retry: 'never',
  },
  JTP_ERR_RULE_INVALID: { message: 'the rule is not valid', source: 'internal', retry: 'never' },
  JTP_ERR_ENTRYPOINT_LISTEN: { message: 'the entry point cannot listen', source: 'internal', retry: 'never' },
  JTP_ERR_CHANNEL_PROTOCOL: {
    message: 'the peer on the private socket sent nonsense',
    source: 'internal',
    retry: 'never',
  },
  JTP_ERR_API_REQUEST: {
    message: 'the API request is not valid',
    source: 'downstream',
    retry: 'never',
    status: 400,
  },
  JTP_ERR_STORE_WRITE: {
    message: 'the routes file cannot be written',
    source: 'internal',
    retry: 'never',
    status: 500,
  },
  JTP_ERR_STORE_LOCKED: {
    message: 'another program keeps the routes file',
    source: 'internal',
    retry: 'never',
  },
  JTP_ERR_STORE_READ: {
    message: 'the routes file cannot be read',
    source: 'internal',
    retry: 'never',
    status: 500,
  },
  JTP_ERR_ROUTE_INVALID: {
    message: 'the route is not valid',
    source: 'downstream',
    retry: 'never',
    status: 400,
  },
  JTP_ERR_ROUTE_TIMEOUT: {
    message: 'the engine did not show the route in time',
    source: 'upstream',
    retry: 'never',
    status: 504,
  },
  JTP_ERR_INSTALL: { message: 'Traefik cannot be installed', source: 'internal', retry: 'never' },
  JTP_ERR_ENGINE_START: { message: 'Traefik cannot be started', source: 'internal', retry: 'never' },
  JTP_ERR_ENGINE_UNREACHABLE: {
    message: 'the engine cannot be reached',
    source: 'upstream',
    retry: 'safe',
    status: 502,
  },
  JTP_ERR_ENGINE_DENIED: {
    message: 'the engine refused the API credentials',
    source: 'upstream',
    retry: 'never',
    status: 502,
  },
  JTP_ERR_TLS_REFUSED: { message: 'the TLS connection is refused', source: 'downstream', retry: 'never' },
  JTP_ERR_TLS_CERTIFICATE: { message: 'the certificate cannot be used', source: 'internal', retry: 'never' },
  JTP_ERR_SETTINGS_INVALID: { message: 'the settings are not valid', source: 'internal', retry: 'never' },
  JTP_ERR_PROCESS_FAILED: { message: 'a child process failed', source: 'internal', retry: 'never' },

  JTP_ERR_HTTP_PARSE: {
    message: 'the message is not valid HTTP/1.1',
    source: 'downstream',
    retry: 'never',
    status: 400,
  },
  JTP_ERR_HTTP_FRAMING: {
    message: 'the length of the body is ambiguous',
    source: 'downstream',
    retry: 'never',
    status: 400,
  },
  JTP_ERR_HTTP_HOST: {
    message: 'a request needs exactly one valid Host',
    source: 'downstream',
    retry: 'never',
    status: 400,
  },
  JTP_ERR_HTTP_TARGET: {
    message: 'the request target is not valid',
    source: 'downstream',
    retry: 'never',
    status: 400,
  },
  JTP_ERR_HTTP_HEADER_OVERFLOW: {
    message: 'the header section is too large',
    source: 'downstream',
    retry: 'never',
    status: 431,
  },
  JTP_ERR_HTTP_URI_OVERFLOW: {
    message: 'the request target is too long',
    source: 'downstream',
    retry: 'never',
    status: 414,
  },
  JTP_ERR_HTTP_CHUNK_OVERFLOW: {
    message: 'the chunk headers are too large',
    source: 'downstream',
    retry: 'never',
    status: 400,
  },
  JTP_ERR_TLS_MISDIRECTED: {
    message: 'the connection was made with other TLS options than the host of the request has',
    source: 'downstream',
    retry: 'never',
    status: 421,
  },
  JTP_ERR_HTTP2_FLOOD: {
    message: 'the client sends frames that only cost',
    source: 'downstream',
    retry: 'never',
  },
  JTP_ERR_HTTP2_RESETS: {
    message: 'the client cancels too many requests',
    source: 'downstream',
    retry: 'never',
  },
  JTP_ERR_HTTP_METHOD: {
    message: 'the method is not supported',
    source: 'downstream',
    retry: 'never',
    status: 501,
  },
  JTP_ERR_HTTP_EXPECTATION: {
    message: 'the expectation cannot be met',
    source: 'downstream',
    retry: 'never',
    status: 417,
  },
  JTP_ERR_HTTP_VERSION: {
    message: 'the HTTP version is not supported',
    source: 'downstream',
    retry: 'never',
    status: 505,
  },
  JTP_ERR_HTTP_HEADER_TIMEOUT: {
    message: 'the header section took too long',
    source: 'downstream',
    retry: 'never',
    status: 408,
  },
  JTP_ERR_HTTP_BODY_TIMEOUT: {
    message: 'the body stalled',
    source: 'downstream',
    retry: 'never',
    status: 408,
  },
  JTP_ERR_HTTP_CLIENT_GONE: {
    message: 'the client went away',
    source: 'downstream',
    retry: 'never',
    status: 499,
  },

  JTP_ERR_ROUTER_NOT_FOUND: {
    message: 'no router matches',
    source: 'downstream',
    retry: 'never',
    status: 404,
  },
  JTP_ERR_UPSTREAM_CONNECT: {
    message: 'the server cannot be reached',
    source: 'upstream',
    retry: 'safe',
    status: 502,
  },
  JTP_ERR_UPSTREAM_CONNECT_TIMEOUT: {
    message: 'connecting to the server took too long',
    source: 'upstream',
    retry: 'safe',
    status: 504,
  },
  JTP_ERR_UPSTREAM_BUSY: {
    message: 'the server has as many connections and waiting requests as it may have',
    source: 'upstream',
    retry: 'safe',
    status: 503,
  },
  JTP_ERR_UPSTREAM_CLOSED: {
    message: 'the server closed the connection without an answer',
    source: 'upstream',
    retry: 'if-reused',
    status: 502,
  },
  JTP_ERR_UPSTREAM_RESET: {
    message: 'the server reset the connection',
    source: 'upstream',
    retry: 'if-reused',
    status: 502,
  },
  JTP_ERR_UPSTREAM_TIMEOUT: {
    message: 'the server took too long to answer',
    source: 'upstream',
    retry: 'never',
    status: 504,
  },
  JTP_ERR_UPSTREAM_PROTOCOL: {
    message: 'the answer is not valid HTTP/1.1',
    source: 'upstream',
    retry: 'never',
    status: 500,
  },
  JTP_ERR_UPSTREAM_TLS: {
    message: 'the TLS handshake with the server failed',
    source: 'upstream',
    retry: 'never',
    status: 500,
  },
  JTP_ERR_UPSTREAM_TRUNCATED: {
    message: 'the server closed the connection inside the body',
    source: 'upstream',
    retry: 'never',
    status: 502,
  },
} as const satisfies Record<string, ErrorKind>;

/** The codes of the table above; `docs/errors.md` explains each one to an operator. */
export type ErrorCode = keyof typeof ERROR_KINDS;

/** All codes, for the test that keeps `docs/errors.md` in step. */
export const ERROR_CODES = Object.keys(ERROR_KINDS) as readonly ErrorCode[];

/** What may be said about a failure beside its code. */
export interface ProxyErrorOptions {
  /** One lower-case sentence without a full stop; the table's message when absent. */
  readonly message?: string;
  readonly cause?: unknown;
  /** Overrides the table's status, for the few codes where the cause decides. */
  readonly status?: number;
}

/** The one base of all errors the product throws on purpose. */
export class ProxyError extends Error {
  readonly code: ErrorCode;
  readonly source: ErrorSource;
  readonly retry: RetryAdvice;
  readonly status: number | undefined;

  constructor(code: ErrorCode, options: ProxyErrorOptions = {}) {
    const kind: ErrorKind = ERROR_KINDS[code];
    super(options.message ?? kind.message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.source = kind.source;
    this.retry = kind.retry;
    this.status = options.status ?? kind.status;
  }
}

/** One thing wrong with a configuration; a file is always checked to its end, so that all problems are reported at once. */
export interface ConfigProblem {
  readonly file: string;
  /** 1-based; undefined where the place cannot be told (a value from a flag, say). */
  readonly line?: number;
  /** Dotted path as the user wrote it: `entryPoints.web.adress`. */
  readonly key?: string;
  /** One sentence: what is wrong, what was expected, the nearest valid name. */
  readonly message: string;
}

/** A configuration that was refused, with every reason. */
export class ConfigError extends ProxyError {
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[], options: { code?: ErrorCode; cause?: unknown } = {}) {
    super(options.code ?? 'JTP_ERR_CONFIG_INVALID', {
      message: problems.map(formatProblem).join('\n'),
      ...(options.cause === undefined ? {} : { cause: options.cause }),
    });
    this.problems = problems;
  }
}

/** `rules.toml:12: http.routers.x.rul: unknown key, did you mean "rule"?` */
export function formatProblem(problem: ConfigProblem): string {
  const place = problem.line === undefined ? problem.file : `${problem.file}:${String(problem.line)}`;
  return problem.key === undefined
    ? `${place}: ${problem.message}`
    : `${place}: ${problem.key}: ${problem.message}`;
}

/** The text of anything thrown, for log fields and messages. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The errno code of a Node system error (`ECONNREFUSED`), or an empty string. */
export function errnoOf(error: unknown): string {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : '';
}
