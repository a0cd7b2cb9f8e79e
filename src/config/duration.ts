// Durations as Go writes and reads them. Source: Go documentation, time.ParseDuration; Traefik documentation (a bare number is seconds).

import { ProxyError } from '../errors.ts';

const UNIT_MS = new Map([
  ['ns', 1e-6],
  ['us', 1e-3],
  ['µs', 1e-3],
  ['μs', 1e-3],
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
]);

/** `"1h30m"`, `"100ms"`, `"10"` or `10` (seconds) in milliseconds; throws ProxyError JTP_ERR_CONFIG_INVALID. */
export function parseDurationMs(value: string | number): number {
  const text = String(value);
  if (/^[+-]?[0-9]+$/.test(text)) return Number(text) * 1000;
  const match = /^([+-]?)((?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+$/.exec(text);
  if (match === null)
    throw new ProxyError('JTP_ERR_CONFIG_INVALID', {
      message: `expected a duration such as "10s", "100ms" or "1h30m", found "${text}"`,
    });
  let total = 0;
  for (const [, number = '', unit = ''] of text.matchAll(/([0-9.]+)(ns|us|µs|μs|ms|s|m|h)/g))
    total += Number(number) * (UNIT_MS.get(unit) ?? 0);
  return match[1] === '-' ? -total : total;
}

/** `90000` as `1m30s`, the way Go prints it. */
export function formatGoDuration(milliseconds: number): string {
  if (milliseconds === 0) return '0s';
  const sign = milliseconds < 0 ? '-' : '';
  const total = Math.abs(milliseconds);
  if (total < 1000) return `${sign}${trim(total)}ms`;
  const hours = Math.floor(total / 3_600_000);
  const minutes = Math.floor((total % 3_600_000) / 60_000);
  const seconds = trim((total % 60_000) / 1000);
  if (hours > 0) return `${sign}${String(hours)}h${String(minutes)}m${seconds}s`;
  return minutes > 0 ? `${sign}${String(minutes)}m${seconds}s` : `${sign}${seconds}s`;
}

function trim(value: number): string {
  return String(Number(value.toFixed(9)));
}
