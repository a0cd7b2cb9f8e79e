// TOML and YAML as text → values, and the line of every key. Lines are only asked for when there is something to complain about.

import { extname } from 'node:path';
import { parse as parseToml, TomlError } from 'smol-toml';
import { parseTOML } from 'toml-eslint-parser';
import type { AST } from 'toml-eslint-parser';
import type { Document } from 'yaml';
import { ConfigError, errorText } from '../errors.ts';
import { isTable } from './schema.ts';
import type { LineOf } from './schema.ts';
import { yaml } from './yaml.ts';

/** A configuration file after its syntax has been read. */
export interface Source {
  readonly file: string;
  readonly root: Readonly<Record<string, unknown>>;
  readonly lineOf: LineOf;
}

/** TOML or YAML, by the extension of `file` (JSON is read as YAML). Throws ConfigError with the line of the first syntax error. */
export function parseSource(text: string, file: string): Source {
  switch (extname(file).toLowerCase()) {
    case '.toml':
      return parseTomlSource(text, file);
    case '.yaml':
    case '.yml':
    case '.json':
      return parseYamlSource(text, file);
    default:
      throw new ConfigError([
        { file, message: `unsupported file extension "${extname(file)}": expected .toml, .yaml or .yml` },
      ]);
  }
}

function parseTomlSource(text: string, file: string): Source {
  let root: Record<string, unknown>;
  try {
    root = parseToml(text, { integersAsBigInt: 'asNeeded' });
  } catch (error) {
    const line = error instanceof TomlError ? error.line : undefined;
    const [reason = ''] = errorText(error)
      .replace(/^Invalid TOML document: /, '')
      .split('\n');
    throw new ConfigError(
      [{ file, ...(line === undefined ? {} : { line }), message: `not valid TOML: ${reason}` }],
      {
        cause: error,
      },
    );
  }
  let lines: ReadonlyMap<string, number> | undefined;
  return {
    file,
    root,
    lineOf: (path) => {
      lines ??= tomlLines(text);
      return lineOfNearest(lines, path);
    },
  };
}

function parseYamlSource(text: string, file: string): Source {
  const { LineCounter, parseDocument } = yaml();
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter, intAsBigInt: false });
  const [problem] = document.errors;
  if (problem !== undefined) {
    const line = problem.linePos?.[0].line;
    const [reason = ''] = problem.message.split('\n');
    throw new ConfigError([
      {
        file,
        ...(line === undefined ? {} : { line }),
        message: `not valid YAML: ${reason.replace(/ at line.*$/, '')}`,
      },
    ]);
  }
  const value = yamlValue(document, file);
  if (value !== null && value !== undefined && !isTable(value))
    throw new ConfigError([{ file, line: 1, message: 'expected a mapping at the top' }]);
  return {
    file,
    root: isTable(value) ? value : {},
    lineOf: (path) => {
      const lines = new Map<string, number>();
      collectYamlLines(document.contents, [], (offset) => counter.linePos(offset).line, lines);
      return lineOfNearest(lines, path);
    },
  };
}

/** Aliases of aliases grow without bound; the library counts them. */
function yamlValue(document: Document, file: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    throw new ConfigError([{ file, message: `not valid YAML: ${errorText(cause)}` }], { cause });
  }
}

const SEPARATOR = '\u0000';

function keyOf(path: readonly (string | number)[]): string {
  return path.join(SEPARATOR).toLowerCase();
}

/** The line of the key, or of the closest table around it. */
function lineOfNearest(lines: ReadonlyMap<string, number>, path: readonly string[]): number | undefined {
  for (let length = path.length; length > 0; length--) {
    const line = lines.get(keyOf(path.slice(0, length)));
    if (line !== undefined) return line;
  }
  return undefined;
}

function tomlLines(text: string): ReadonlyMap<string, number> {
  const lines = new Map<string, number>();
  const note = (path: readonly (string | number)[], line: number): void => {
    for (let length = 1; length <= path.length; length++) {
      const key = keyOf(path.slice(0, length));
      if (!lines.has(key)) lines.set(key, line);
    }
  };
  const visitValue = (node: AST.TOMLContentNode, path: readonly (string | number)[]): void => {
    if (node.type === 'TOMLInlineTable') for (const entry of node.body) visitPair(entry, path);
    else if (node.type === 'TOMLArray')
      node.elements.forEach((element, index) => {
        note([...path, index], element.loc.start.line);
        visitValue(element, [...path, index]);
      });
  };
  const visitPair = (node: AST.TOMLKeyValue, path: readonly (string | number)[]): void => {
    const keys = node.key.keys.map((key) => (key.type === 'TOMLBare' ? key.name : key.value));
    note([...path, ...keys], node.loc.start.line);
    visitValue(node.value, [...path, ...keys]);
  };
  for (const node of parseTOML(text).body[0].body) {
    if (node.type === 'TOMLKeyValue') visitPair(node, []);
    else {
      note(node.resolvedKey, node.loc.start.line);
      for (const pair of node.body) visitPair(pair, node.resolvedKey);
    }
  }
  return lines;
}

function collectYamlLines(
  node: unknown,
  path: readonly string[],
  lineAt: (offset: number) => number,
  lines: Map<string, number>,
): void {
  const { isMap, isPair, isScalar, isSeq } = yaml();
  if (isMap(node)) {
    for (const pair of node.items) {
      if (!isPair(pair) || !isScalar(pair.key)) continue;
      const place = [...path, String(pair.key.value)];
      if (pair.key.range !== undefined && pair.key.range !== null)
        lines.set(keyOf(place), lineAt(pair.key.range[0]));
      collectYamlLines(pair.value, place, lineAt, lines);
    }
  } else if (isSeq(node))
    node.items.forEach((item, index) => {
      collectYamlLines(item, [...path, String(index)], lineAt, lines);
    });
}
