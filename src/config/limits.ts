// Limits that Traefik has no keys for. They come from the environment, so that the files stay valid for a real Traefik.

/** Each holds for one entry point, or one server, of one worker. */
export interface LimitsConfiguration {
  /** Headers of a request, and trailers. */
  readonly maxHeaders: number;
  /** Bytes of a request target. */
  readonly maxTargetBytes: number;
  /** Bytes of chunk sizes and extensions of one body, beside eight for each byte of the body. */
  readonly maxChunkOverheadBytes: number;
  /** Connections, tunnels included; 0 = as many as there are descriptors for. */
  readonly maxConnections: number;
  /** Connections of one client address, tunnels included; 0 = no limit. */
  readonly maxConnectionsPerAddress: number;
  /** Connections to one server, tunnels included; 0 = no limit. */
  readonly maxServerConnections: number;
  /** Requests that may wait for one of them. */
  readonly maxServerQueue: number;
  /** How long a tunnel may be without a byte either way; 0 = for ever. */
  readonly maxWebSocketIdleSeconds: number;
}

interface Limit {
  readonly key: keyof LimitsConfiguration;
  readonly usual: number;
  readonly least: number;
  readonly most: number;
}

/** Environment variable → the limit it sets. */
const LIMITS: ReadonlyMap<string, Limit> = new Map([
  ['JTP_MAX_HEADERS', { key: 'maxHeaders', usual: 500, least: 10, most: 10_000 }],
  ['JTP_MAX_TARGET_BYTES', { key: 'maxTargetBytes', usual: 65_536, least: 256, most: 1_048_576 }],
  [
    'JTP_MAX_CHUNK_OVERHEAD_BYTES',
    { key: 'maxChunkOverheadBytes', usual: 16_384, least: 64, most: 16_777_216 },
  ],
  ['JTP_MAX_CONNECTIONS', { key: 'maxConnections', usual: 0, least: 0, most: 1_000_000 }],
  [
    'JTP_MAX_CONNECTIONS_PER_ADDRESS',
    { key: 'maxConnectionsPerAddress', usual: 0, least: 0, most: 1_000_000 },
  ],
  ['JTP_MAX_SERVER_CONNECTIONS', { key: 'maxServerConnections', usual: 10_000, least: 0, most: 1_000_000 }],
  ['JTP_MAX_SERVER_QUEUE', { key: 'maxServerQueue', usual: 1000, least: 0, most: 1_000_000 }],
  [
    'JTP_MAX_WEBSOCKET_IDLE_SECONDS',
    { key: 'maxWebSocketIdleSeconds', usual: 0, least: 0, most: 31_536_000 },
  ],
]);

/** The names of the variables, for the test that keeps `docs/configuration.md` in step. */
export const LIMIT_VARIABLES: readonly string[] = [...LIMITS.keys()];

/** A variable that cannot be used. */
export interface LimitProblem {
  readonly path: readonly string[];
  readonly message: string;
}

/** Reads the limits; what is wrong is added to `problems`, and the usual value taken. */
export function readLimits(
  env: Readonly<Record<string, string | undefined>>,
  problems: LimitProblem[],
): LimitsConfiguration {
  const limits = {
    maxHeaders: 0,
    maxTargetBytes: 0,
    maxChunkOverheadBytes: 0,
    maxConnections: 0,
    maxConnectionsPerAddress: 0,
    maxServerConnections: 0,
    maxServerQueue: 0,
    maxWebSocketIdleSeconds: 0,
  };
  for (const [name, { key, usual, least, most }] of LIMITS) {
    const text = env[name] ?? '';
    const value = text === '' ? usual : Number(text);
    const isUsable = text === '' || (/^[0-9]{1,9}$/.test(text) && value >= least && value <= most);
    if (!isUsable)
      problems.push({
        path: [name],
        message: `environment variable: expected a whole number from ${String(least)} to ${String(most)}, found "${text}"`,
      });
    limits[key] = isUsable ? value : usual;
  }
  return limits;
}
