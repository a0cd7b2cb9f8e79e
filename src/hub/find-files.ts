// Which files the hub works with. Source: the documentation of TraefikTomlProxy: `/etc/traefik/`, `$HOME/.traefik/` and the working
// directory are searched, in this order.

import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** Where files may be looked for. */
export interface SearchOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** For tests; default `/etc`. */
  readonly etc?: string;
}

/** The folders that are searched, in their order. */
export function hubSearchFolders(options: SearchOptions = {}): readonly string[] {
  const { cwd = process.cwd(), env = process.env, etc = '/etc' } = options;
  const home = env['HOME'];
  return [join(etc, 'traefik'), ...(home === undefined || home === '' ? [] : [join(home, '.traefik')]), cwd];
}

/** The routes file, absolute: the one that was named, the first that exists, or one to be made in the working directory. */
export function findRoutesFile(named: string | undefined, options: SearchOptions = {}): string {
  const { cwd = process.cwd() } = options;
  if (named !== undefined) return resolve(cwd, named);
  const found = hubSearchFolders(options).find((folder) => existsSync(join(folder, 'rules.toml')));
  return resolve(cwd, found ?? cwd, 'rules.toml');
}

/**
 * The static file to write, absolute: the one that was named, the first found that `isOurs`, or the one in the working directory. One
 * that an administrator wrote for another Traefik, in a folder shared by the machine, is never taken.
 */
export function findStaticFileToWrite(
  named: string | undefined,
  isOurs: (file: string) => boolean,
  options: SearchOptions = {},
): string {
  const { cwd = process.cwd() } = options;
  if (named !== undefined) return resolve(cwd, named);
  const found = hubSearchFolders(options)
    .map((folder) => join(folder, 'traefik.toml'))
    .find((file) => existsSync(file) && isOurs(file));
  return resolve(cwd, found ?? 'traefik.toml');
}
