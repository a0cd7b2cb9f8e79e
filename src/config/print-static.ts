// A decoded static configuration in a form that a TOML writer takes.

import { formatGoDuration } from './duration.ts';
import type { Decoded } from './schema.ts';

const DURATION_KEYS = /^(?:providersThrottleDuration|.*Time[oO]ut|keepAliveMaxTime)$/;

/** What version 1 said, and today's static configuration cannot. */
const ONLY_V1 = /^(?:tlsOptions|api entryPoint|entryPoints [^ ]+ (?:basicAuth|certificates))$/;

/** Maps as tables, durations as text. Keys that only version 1 had are left out. */
export function printableTree(tree: Decoded, path: readonly string[] = []): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(tree)
      .filter(([key]) => !ONLY_V1.test([...path, key].join(' ')))
      .map(([key, value]) => [key, printable(value, [...path, key])] as const)
      .filter(([, value]) => value !== undefined),
  );
}

function printable(value: unknown, path: readonly string[]): unknown {
  if (value instanceof Map)
    return Object.fromEntries(
      [...value].map(([name, item]: [unknown, unknown]) => [
        String(name),
        // A blank in a name must not look like two keys.
        printable(item, [...path, String(name).replace(/ /g, '_')]),
      ]),
    );
  if (typeof value === 'number' && DURATION_KEYS.test(path.at(-1) ?? '')) return formatGoDuration(value);
  if (Array.isArray(value)) return value.map((item: unknown) => printable(item, path));
  return typeof value === 'object' && value !== null ? printableTree(value as Decoded, path) : value;
}
