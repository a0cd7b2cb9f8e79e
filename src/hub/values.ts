// Values between JSON, TOML and YAML: what a tree of a file is, how two of them are merged and compared, and how a value is written on
// one line.

import type { Json, RouteData } from './route.ts';

/** A table of a file, as its parser made it. */
export type Tree = Readonly<Record<string, unknown>>;

/** True for a table. */
export function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** A table without inherited names, so that any key is just a key. */
export function newTree(entries: Iterable<readonly [string, unknown]> = []): Record<string, unknown> {
  const tree = Object.create(null) as Record<string, unknown>;
  for (const [key, value] of entries) tree[key] = value;
  return tree;
}

/** The table under a key; an empty one when there is none. */
export function subtree(tree: Tree, key: string): Tree {
  const value = Object.hasOwn(tree, key) ? tree[key] : undefined;
  return isTree(value) ? value : newTree();
}

/** Tables are merged key by key; of anything else the later one wins. */
export function deepMerge(base: Tree, over: Tree): Tree {
  const merged = newTree(Object.entries(base));
  for (const [key, value] of Object.entries(over)) {
    const before = merged[key];
    merged[key] = isTree(before) && isTree(value) ? deepMerge(before, value) : value;
  }
  return merged;
}

/** True when two values say the same, whatever the order of keys and whichever way numbers were parsed. */
export function isSame(a: unknown, b: unknown): boolean {
  if (isNumeric(a) && isNumeric(b)) return Number(a) === Number(b);
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((item, index) => isSame(item, b[index]));
  if (a instanceof Date && b instanceof Date) return a.toISOString() === b.toISOString();
  if (isTree(a) && isTree(b)) {
    const keys = Object.keys(a).filter((key) => a[key] !== undefined);
    const others = Object.keys(b).filter((key) => b[key] !== undefined);
    return (
      keys.length === others.length && keys.every((key) => Object.hasOwn(b, key) && isSame(a[key], b[key]))
    );
  }
  return a === b;
}

function isNumeric(value: unknown): value is number | bigint {
  return typeof value === 'number' || typeof value === 'bigint';
}

/** A parsed value as JSON: integers as numbers, dates as text. */
export function toJson(value: unknown): Json {
  if (value === null || value === undefined) return null;
  if (typeof value === 'bigint') return Number(value);
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  if (Array.isArray(value)) return value.map(toJson);
  if (value instanceof Date) return value.toISOString();
  return isTree(value) ? toData(value) : null;
}

/** A parsed table as the data of a route. */
export function toData(tree: Tree): RouteData {
  const data: Record<string, Json> = {};
  for (const [key, value] of Object.entries(tree))
    // Plain assignment would not make a key of this name.
    Object.defineProperty(data, key, {
      value: toJson(value),
      enumerable: true,
      configurable: true,
      writable: true,
    });
  return data;
}

/** Printable ASCII that means itself, most texts of all. */
const PLAIN_TEXT = /^[ !#-[\]-z|}~]*$/;

/**
 * A string for TOML or YAML. Beside what the formats demand: two braces in a row are broken up, because Traefik runs every file through
 * a template engine first, and line ends of YAML 1.1 are escaped.
 */
export function quoted(text: string): string {
  if (PLAIN_TEXT.test(text)) return `"${text}"`;
  return JSON.stringify(text)
    .replaceAll('{{', '{\\u007b')
    .replace(
      /[\u007f\u0085\u2028\u2029\ufeff]/g,
      (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
    );
}

/** A key of a TOML table. */
export function tomlKey(key: string): string {
  return /^[A-Za-z0-9_-]+$/.test(key) ? key : quoted(key);
}

/** Whether TOML can say this: it has no null, no half characters, and nobody should read deep nesting on one line. */
export function fitsToml(value: Json, depth = 0): boolean {
  if (value === null || depth > 6) return false;
  if (typeof value === 'string') return !/\p{Surrogate}/u.test(value);
  if (Array.isArray(value)) return value.every((item: Json) => fitsToml(item, depth + 1));
  return (
    typeof value !== 'object' ||
    Object.entries(value).every(([key, item]) => fitsToml(key) && fitsToml(item, depth + 1))
  );
}

/** A value that fits, on one line of TOML. */
export function tomlInline(value: Json): string {
  if (typeof value === 'string') return quoted(value);
  if (typeof value === 'number') return tomlNumber(value);
  if (value === null || typeof value === 'boolean') return String(value);
  if (Array.isArray(value)) return `[${value.map(tomlInline).join(', ')}]`;
  const pairs = Object.entries(value).map(([key, item]) => `${tomlKey(key)} = ${tomlInline(item)}`);
  return pairs.length === 0 ? '{}' : `{ ${pairs.join(', ')} }`;
}

function tomlNumber(value: number): string {
  if (Object.is(value, -0)) return '-0.0';
  // Beyond this an integer of TOML need not be the same number.
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? value.toExponential() : String(value);
}
