// A decoded static configuration in a form that a TOML writer takes.

import { formatGoDuration } from './duration.ts';
import type { Decoded } from './schema.ts';

const DURATION_KEYS = /^(?:providersThrottleDuration|.*Time[oO]ut|keepAliveMaxTime)$/;

/** Maps as tables, durations as text. Keys that only version 1 had are left out. */
export function printableTree(tree: Decoded): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(tree)
      .filter(([key]) => key !== 'basicAuth' && key !== 'certificates' && key !== 'entryPoint')
      .map(([key, value]) => [key, printable(key, value)] as const)
      .filter(([, value]) => value !== undefined),
  );
}

function printable(key: string, value: unknown): unknown {
  if (value instanceof Map)
    return Object.fromEntries(
      [...value].map(([name, item]: [unknown, unknown]) => [String(name), printable('', item)]),
    );
  if (typeof value === 'number' && DURATION_KEYS.test(key)) return formatGoDuration(value);
  if (Array.isArray(value)) return value.map((item: unknown) => printable('', item));
  return typeof value === 'object' && value !== null ? printableTree(value as Decoded) : value;
}
