// Finds and reads the static configuration: file → values → verdicts → defaults filled in. Source: Traefik documentation, static
// configuration. Version-1 files are recognised by their keys and upgraded.

import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ConfigError, errnoOf, errorText } from '../errors.ts';
import { buildStatic } from './build-static.ts';
import { Decoder, isTable } from './schema.ts';
import type { Decoded } from './schema.ts';
import { parseSource } from './source.ts';
import type { Source } from './source.ts';
import { STATIC_FIELDS, STATIC_V1_FIELDS, V1_ENTRY_POINT_MARKS, V1_ROOT_MARKS } from './static-schema.ts';
import type { StaticConfiguration } from './static.ts';
import { upgradeStatic } from './upgrade-static.ts';

/** Where a static configuration may be looked for. */
export interface FindOptions {
  /** A path given by the user: it is this file or none. */
  readonly explicit?: string;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** For tests; default `/etc`. */
  readonly etc?: string;
}

const EXTENSIONS = ['.toml', '.yaml', '.yml'];

/** The folders that are searched, in their order: `/etc/traefik`, the user's two, the working directory. */
export function searchFolders(options: FindOptions = {}): readonly string[] {
  const { cwd = process.cwd(), env = process.env, etc = '/etc' } = options;
  const home = env['HOME'];
  const xdg = env['XDG_CONFIG_HOME'];
  return [
    join(etc, 'traefik'),
    ...(home === undefined || home === '' ? [] : [join(home, '.traefik')]),
    ...(xdg === undefined || xdg === '' ? [] : [xdg]),
    ...(home === undefined || home === '' ? [] : [join(home, '.config')]),
    cwd,
  ];
}

/** The static configuration file to use, as an absolute path; undefined when there is none. An explicit one is not checked here. */
export function findStaticFile(options: FindOptions = {}): string | undefined {
  const { explicit, cwd = process.cwd() } = options;
  if (explicit !== undefined && explicit !== '') return resolve(cwd, explicit);
  for (const folder of searchFolders(options))
    for (const extension of EXTENSIONS) {
      const file = join(folder, `traefik${extension}`);
      if (existsSync(file)) return resolve(cwd, file);
    }
  return undefined;
}

/** Reads a static configuration; throws ConfigError with everything that is wrong with it. */
export function loadStaticConfiguration(file: string): StaticConfiguration {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    const reason = errnoOf(cause) === 'ENOENT' ? 'there is no such file' : errorText(cause);
    throw new ConfigError([{ file, message: reason }], { code: 'JTP_ERR_CONFIG_UNREADABLE', cause });
  }
  return parseStaticConfiguration(text, file);
}

/** What an engine without any file serves: an entry point `http` on port 80 and no provider. Throws ConfigError. */
export function defaultStaticConfiguration(): StaticConfiguration {
  const { configuration, problems } = buildStatic({}, { format: 'v3', notices: [] });
  // Nothing but the environment can be wrong.
  if (problems.length > 0)
    throw new ConfigError(
      problems.map(({ path, message }) => ({ file: 'environment', key: path.join('.'), message })),
    );
  return configuration;
}

/** The static configuration in `text`; TOML or YAML by the extension of `file`. Throws ConfigError. */
export function parseStaticConfiguration(text: string, file: string): StaticConfiguration {
  return readStatic(text, file).configuration;
}

/** The same with the tree that today's syntax would have, for `check --print`. */
export function readStatic(
  text: string,
  file: string,
): { readonly configuration: StaticConfiguration; readonly tree: Decoded } {
  const source = parseSource(text, file);
  if (Object.keys(source.root).length === 0)
    throw new ConfigError([{ file, message: 'no configuration found in the file' }]);
  const isV1 = isVersion1(source);
  const decoder = new Decoder(file, source.lineOf, { allowsEmpty: isV1 });
  const decoded = decoder.fields(source.root, isV1 ? STATIC_V1_FIELDS : STATIC_FIELDS, []);
  const notices: string[] = [];
  const tree = isV1 ? upgradeStatic(decoded, notices) : decoded;
  const { configuration, problems } = buildStatic(tree, { file, format: isV1 ? 'v1' : 'v3', notices });
  for (const { path, message } of problems) decoder.refuse(path, message);
  if (decoder.problems.length > 0) throw new ConfigError(decoder.problems);
  return { configuration, tree };
}

/** Source: the keys that only Traefik 1 had. */
function isVersion1({ root }: Source): boolean {
  for (const [key, value] of Object.entries(root)) {
    const name = key.toLowerCase();
    if (V1_ROOT_MARKS.has(name)) return true;
    if (!isTable(value)) continue;
    const names = Object.keys(value).map((child) => child.toLowerCase());
    if (name === 'api' && names.includes('entrypoint')) return true;
    if (name !== 'entrypoints') continue;
    for (const entryPoint of Object.values(value))
      if (
        isTable(entryPoint) &&
        Object.keys(entryPoint).some((child) => V1_ENTRY_POINT_MARKS.has(child.toLowerCase()))
      )
        return true;
  }
  return false;
}
