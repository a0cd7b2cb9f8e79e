import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatGoDuration, parseDurationMs } from '../../src/config/duration.ts';

describe('parseDurationMs', () => {
  const cases: readonly { readonly text: string | number; readonly want: number }[] = [
    { text: '10s', want: 10_000 },
    { text: '100ms', want: 100 },
    { text: '1h30m', want: 5_400_000 },
    { text: '1.5s', want: 1500 },
    { text: '.5s', want: 500 },
    { text: '1h1m1s1ms', want: 3_661_001 },
    { text: '1000us', want: 1 },
    { text: '1000µs', want: 1 },
    { text: '1000000ns', want: 1 },
    { text: '0', want: 0 },
    { text: '0s', want: 0 },
    { text: '5', want: 5000 },
    { text: 5, want: 5000 },
    { text: '-1s', want: -1000 },
    { text: '+1s', want: 1000 },
  ];
  for (const { text, want } of cases)
    it(JSON.stringify(text), () => {
      assert.equal(parseDurationMs(text), want);
    });

  for (const text of ['', 's', '1 s', '1x', '1s1', 'an hour', '1h-5m', '1.2', '١s', '1e3s'])
    it(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseDurationMs(text), { code: 'JTP_ERR_CONFIG_INVALID' });
    });
});

describe('formatGoDuration', () => {
  const cases: readonly { readonly milliseconds: number; readonly want: string }[] = [
    { milliseconds: 0, want: '0s' },
    { milliseconds: 250, want: '250ms' },
    { milliseconds: 1500, want: '1.5s' },
    { milliseconds: 90_000, want: '1m30s' },
    { milliseconds: 3_600_000, want: '1h0m0s' },
    { milliseconds: -90_000, want: '-1m30s' },
  ];
  for (const { milliseconds, want } of cases)
    it(want, () => {
      assert.equal(formatGoDuration(milliseconds), want);
      assert.equal(parseDurationMs(want), milliseconds);
    });
});
