import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readLimits } from '../../src/config/limits.ts';
import type { LimitProblem, LimitsConfiguration } from '../../src/config/limits.ts';

describe('readLimits', () => {
  const usual: LimitsConfiguration = {
    maxHeaders: 500,
    maxTargetBytes: 65_536,
    maxChunkOverheadBytes: 16_384,
    maxConnections: 0,
    maxConnectionsPerAddress: 0,
    maxServerConnections: 10_000,
    maxServerQueue: 1000,
    maxWebSocketIdleSeconds: 0,
  };
  const cases: readonly {
    readonly env: Readonly<Record<string, string>>;
    readonly want: Partial<LimitsConfiguration>;
    readonly problems?: readonly string[];
  }[] = [
    { env: {}, want: {} },
    { env: { JTP_MAX_HEADERS: '' }, want: {} },
    { env: { JTP_MAX_HEADERS: '10' }, want: { maxHeaders: 10 } },
    { env: { JTP_MAX_TARGET_BYTES: '1048576' }, want: { maxTargetBytes: 1_048_576 } },
    { env: { JTP_MAX_CHUNK_OVERHEAD_BYTES: '64' }, want: { maxChunkOverheadBytes: 64 } },
    { env: { JTP_MAX_CONNECTIONS: '2000' }, want: { maxConnections: 2000 } },
    { env: { JTP_MAX_CONNECTIONS_PER_ADDRESS: '100' }, want: { maxConnectionsPerAddress: 100 } },
    { env: { JTP_MAX_SERVER_CONNECTIONS: '0' }, want: { maxServerConnections: 0 } },
    { env: { JTP_MAX_SERVER_QUEUE: '5' }, want: { maxServerQueue: 5 } },
    { env: { JTP_MAX_WEBSOCKET_IDLE_SECONDS: '3600' }, want: { maxWebSocketIdleSeconds: 3600 } },
    {
      env: { JTP_MAX_HEADERS: '9', JTP_MAX_CONNECTIONS: 'many', JTP_MAX_TARGET_BYTES: '-1' },
      want: {},
      problems: [
        'JTP_MAX_HEADERS: environment variable: expected a whole number from 10 to 10000, found "9"',
        'JTP_MAX_TARGET_BYTES: environment variable: expected a whole number from 256 to 1048576, found "-1"',
        'JTP_MAX_CONNECTIONS: environment variable: expected a whole number from 0 to 1000000, found "many"',
      ],
    },
  ];
  for (const { env, want, problems = [] } of cases)
    it(JSON.stringify(env), () => {
      const found: LimitProblem[] = [];
      assert.deepEqual(readLimits(env, found), { ...usual, ...want });
      assert.deepEqual(
        found.map(({ path, message }) => `${path.join('.')}: ${message}`),
        problems,
      );
    });
});
