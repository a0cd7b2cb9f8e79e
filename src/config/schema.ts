// What a configuration may say, as a tree of fields, and the walk that holds a file against it. Keys are compared without regard to
// case, scalars are converted through their text, as Traefik's decoder does (Traefik documentation, configuration file).
//
// Every key has one of four verdicts: used; accepted without effect; known to Traefik but not supported (refused by that name); unknown
// (refused, with the nearest known name). The walk goes to the end, so that all problems are reported at once.

import type { ConfigProblem } from '../errors.ts';
import { errorText } from '../errors.ts';
import { parseDurationMs } from './duration.ts';
import { nearest } from './nearest.ts';

/** A field of the schema. */
export type Field =
  | ScalarField
  | { readonly type: 'strings' }
  | { readonly type: 'struct'; readonly fields: Fields; readonly allowEmpty: boolean }
  | { readonly type: 'map'; readonly of: Field }
  | { readonly type: 'list'; readonly of: Field }
  /** Known to Traefik; refused here. */
  | { readonly type: 'unsupported' }
  /** Accepted; has no effect on what is served. */
  | { readonly type: 'ignored' };

type ScalarField =
  | { readonly type: 'string' }
  | { readonly type: 'int' }
  /** A whole number as text: more digits than a number can hold. */
  | { readonly type: 'int64' }
  | { readonly type: 'bool' }
  | { readonly type: 'duration' }
  | { readonly type: 'choice'; readonly values: readonly string[] };

/** Fields by their documented spelling. */
export type Fields = Readonly<Record<string, Field>>;

export const string = { type: 'string' } as const;
export const int = { type: 'int' } as const;
export const int64 = { type: 'int64' } as const;
export const bool = { type: 'bool' } as const;
export const duration = { type: 'duration' } as const;
export const strings = { type: 'strings' } as const;
export const unsupported = { type: 'unsupported' } as const;
export const ignored = { type: 'ignored' } as const;

export function choice(...values: string[]): Field {
  return { type: 'choice', values };
}

export function struct(fields: Fields, options: { readonly allowEmpty?: boolean } = {}): Field {
  return { type: 'struct', fields, allowEmpty: options.allowEmpty ?? false };
}

export function map(of: Field): Field {
  return { type: 'map', of };
}

export function list(of: Field): Field {
  return { type: 'list', of };
}

/** Many names with one verdict. */
export function all(field: Field, ...names: string[]): Fields {
  return Object.fromEntries(names.map((name) => [name, field]));
}

/** A decoded struct: documented spelling → value; maps become `Map`. */
export type Decoded = Readonly<Record<string, unknown>>;

/** Where a key stands in its file. */
export type LineOf = (path: readonly string[]) => number | undefined;

/** The walk over one file. */
export class Decoder {
  readonly problems: ConfigProblem[] = [];
  readonly #file: string;
  readonly #lineOf: LineOf;

  readonly #allowsEmpty: boolean;

  /** `allowsEmpty`: version 1 took an empty table for what it says, today's Traefik refuses the whole file. */
  constructor(file: string, lineOf: LineOf, options: { readonly allowsEmpty?: boolean } = {}) {
    this.#file = file;
    this.#lineOf = lineOf;
    this.#allowsEmpty = options.allowsEmpty ?? false;
  }

  /** Notes a problem with the key at `path`. */
  refuse(path: readonly string[], message: string): void {
    const line = this.#lineOf(path);
    this.problems.push({
      file: this.#file,
      ...(line === undefined ? {} : { line }),
      key: path.join('.'),
      message,
    });
  }

  /** The value as the field wants it; undefined when it was refused, or means "not set". */
  decode(value: unknown, field: Field, path: readonly string[]): unknown {
    switch (field.type) {
      case 'ignored':
        return undefined;
      case 'unsupported':
        this.refuse(path, 'known to Traefik, but not supported by this engine yet');
        return undefined;
      case 'struct':
        return this.#struct(value, field, path);
      case 'map':
        return this.#map(value, field.of, path);
      case 'list':
        return this.#list(value, field.of, path);
      case 'strings':
        return this.#strings(value, path);
      default:
        return this.#scalar(value, field, path);
    }
  }

  #struct(
    value: unknown,
    field: Extract<Field, { type: 'struct' }>,
    path: readonly string[],
  ): Decoded | undefined {
    if (!isTable(value)) {
      if (field.allowEmpty && (value === true || value === 'true')) return {};
      if (field.allowEmpty && (value === false || value === 'false')) return undefined;
      this.refuse(path, `expected a table, found ${describe(value)}`);
      return undefined;
    }
    if (!field.allowEmpty) this.#refuseEmpty(value, path);
    return this.fields(value, field.fields, path);
  }

  #refuseEmpty(table: Readonly<Record<string, unknown>>, path: readonly string[]): void {
    if (!this.#allowsEmpty && Object.keys(table).length === 0)
      this.refuse(path, 'cannot be a standalone element: give it a key, or leave it out');
  }

  /** The keys of a table. */
  fields(table: Readonly<Record<string, unknown>>, fields: Fields, path: readonly string[]): Decoded {
    const spelling = new Map(Object.keys(fields).map((name) => [name.toLowerCase(), name]));
    const decoded: Record<string, unknown> = {};
    for (const [key, value] of Object.entries(table)) {
      const name = spelling.get(key.toLowerCase());
      const field = name === undefined ? undefined : fields[name];
      const place = [...path, key];
      if (name === undefined || field === undefined) {
        const near = nearest(key, Object.keys(fields));
        this.refuse(place, `unknown key${near === undefined ? '' : `, did you mean "${near}"?`}`);
        continue;
      }
      // YAML's `key:` without a value is the same as no key.
      if (value === null || value === undefined) continue;
      const result = this.decode(value, field, place);
      if (result !== undefined) decoded[name] = result;
    }
    return decoded;
  }

  #map(value: unknown, of: Field, path: readonly string[]): ReadonlyMap<string, unknown> | undefined {
    if (!isTable(value)) {
      this.refuse(path, `expected a table of names, found ${describe(value)}`);
      return undefined;
    }
    this.#refuseEmpty(value, path);
    const decoded = new Map<string, unknown>();
    for (const [name, item] of Object.entries(value)) {
      const result = this.decode(item, of, [...path, name]);
      if (result !== undefined) decoded.set(name, result);
    }
    return decoded;
  }

  #list(value: unknown, of: Field, path: readonly string[]): readonly unknown[] | undefined {
    if (!Array.isArray(value)) {
      this.refuse(path, `expected a list, found ${describe(value)}`);
      return undefined;
    }
    return value
      .map((item: unknown, index) => this.decode(item, of, [...path, String(index)]))
      .filter((item) => item !== undefined);
  }

  #strings(value: unknown, path: readonly string[]): readonly string[] | undefined {
    const items: readonly unknown[] = Array.isArray(value)
      ? value
      : String(scalarText(value) ?? '').split(',');
    const texts = items.map(scalarText);
    if (isTable(value) || texts.includes(undefined)) {
      this.refuse(path, `expected a list of strings, found ${describe(value)}`);
      return undefined;
    }
    return texts.map((text) => (text ?? '').trim()).filter((text) => text !== '');
  }

  #scalar(value: unknown, field: ScalarField, path: readonly string[]): unknown {
    const text = scalarText(value);
    if (text === undefined) {
      this.refuse(path, `expected ${EXPECTED[field.type]}, found ${describe(value)}`);
      return undefined;
    }
    switch (field.type) {
      case 'string':
        return text;
      case 'choice': {
        const found = field.values.find((choice) => choice.toLowerCase() === text.toLowerCase());
        if (found === undefined)
          this.refuse(path, `expected one of ${field.values.join(', ')}, found "${text}"`);
        return found;
      }
      case 'int':
        return this.#int(value, text, path);
      case 'int64':
        return this.#int(value, text, path) === undefined ? undefined : text;
      case 'bool':
        if (/^(?:1|t|T|TRUE|true|True)$/.test(text)) return true;
        if (/^(?:0|f|F|FALSE|false|False)$/.test(text)) return false;
        this.refuse(path, `expected true or false, found "${text}"`);
        return undefined;
      case 'duration':
        try {
          return parseDurationMs(text);
        } catch (error) {
          this.refuse(path, errorText(error));
          return undefined;
        }
    }
  }

  #int(value: unknown, text: string, path: readonly string[]): number | undefined {
    if (/^[+-]?[0-9]{1,19}$/.test(text) && (typeof value !== 'number' || Number.isInteger(value)))
      return Number(text);
    this.refuse(path, `expected a whole number, found ${describe(value)}`);
    return undefined;
  }
}

const EXPECTED = {
  string: 'a string',
  int: 'a whole number',
  int64: 'a whole number',
  bool: 'true or false',
  duration: 'a duration such as "10s"',
  choice: 'a string',
};

/** True for a TOML table or a YAML mapping. */
export function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function scalarText(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint')
    return String(value);
  return undefined;
}

function describe(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (isTable(value)) return 'a table';
  if (value instanceof Date) return 'a date';
  return typeof value === 'string' ? `"${value}"` : String(value);
}
