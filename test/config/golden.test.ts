// Each file of golden/ is a configuration, a line of dashes, and what comes out of it: the values that differ from the defaults, or every
// problem. The name begins with the kind and ends with the format. JTP_UPDATE_GOLDEN=1 writes the second half anew: read the difference.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parseDynamicConfiguration } from '../../src/config/load-dynamic.ts';
import { defaultStaticConfiguration, parseStaticConfiguration } from '../../src/config/load-static.ts';
import type { StaticConfiguration } from '../../src/config/static.ts';
import { ConfigError } from '../../src/errors.ts';
import { ROOT } from '../support/hub.ts';

const FOLDER = join(ROOT, 'test', 'config', 'golden');
const LINE = '\n----------\n';

/** `a.b.c = "value"`, one line for each value that is no container. */
function flatten(value: unknown, path = ''): string[] {
  if (value instanceof Map)
    return [...value].flatMap(([key, item]: [unknown, unknown]) => flatten(item, under(path, String(key))));
  if (Array.isArray(value) && value.some((item) => typeof item === 'object'))
    return value.flatMap((item: unknown, index) => flatten(item, `${path}[${String(index)}]`));
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return Object.entries(value).flatMap(([key, item]) => flatten(item, under(path, key)));
  return [`${path} = ${JSON.stringify(value)}`];
}

function under(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}

/** The values of a static configuration that are not the default ones. */
function showStatic(configuration: StaticConfiguration): string {
  const usual = defaultStaticConfiguration();
  const [entryPoint] = usual.entryPoints.values();
  const names = [...configuration.entryPoints.keys()];
  const defaults = new Set([
    ...flatten({ ...usual, entryPoints: undefined }),
    ...names.flatMap((name) => flatten({ ...entryPoint, name }, `entryPoints.${name}`)),
  ]);
  return flatten({ ...configuration, file: undefined })
    .filter((line) => !defaults.has(line) && line !== 'file = undefined')
    .join('\n');
}

function show(name: string, text: string): string {
  const [, kind, extension] = /^(static|dynamic)-.*\.(toml|yaml)\.txt$/.exec(name) ?? [];
  try {
    if (kind === 'static') return showStatic(parseStaticConfiguration(text, `traefik.${extension ?? ''}`));
    assert.equal(kind, 'dynamic');
    const { routers, services, middlewares, serversTransports, tls } = parseDynamicConfiguration(
      text,
      `rules.${extension ?? ''}`,
    );
    return flatten({
      routers,
      services,
      middlewares,
      serversTransports: serversTransports ?? new Map(),
      tls,
    }).join('\n');
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.message;
  }
}

describe('configurations and what comes of them', () => {
  const files = readdirSync(FOLDER).sort();
  for (const name of files)
    it(name.replace(/\.txt$/, ''), () => {
      const path = join(FOLDER, name);
      const content = readFileSync(path, 'utf8');
      const at = content.indexOf(LINE);
      const input = at < 0 ? content : content.slice(0, at + 1);
      const found = show(name, input);
      if (process.env['JTP_UPDATE_GOLDEN'] === '1')
        writeFileSync(path, `${input.replace(/\n?$/, '')}${LINE}${found}\n`);
      else assert.equal(found, content.slice(at + LINE.length).replace(/\n$/, ''));
    });
});
