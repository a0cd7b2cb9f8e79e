// `check`: is this configuration all right, and if not, what is wrong with it?

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { stringify } from 'smol-toml';
import { parseDynamicConfiguration } from '../config/load-dynamic.ts';
import { findStaticFile, readStatic } from '../config/load-static.ts';
import { printableTree } from '../config/print-static.ts';
import { parseSource } from '../config/source.ts';
import { ConfigError, errnoOf, errorText, ProxyError } from '../errors.ts';

const ROUTES_TABLES = ['http', 'tcp', 'udp', 'tls', 'jupyterhub', 'backends', 'frontends'];
/** Version 1 could have both in one file. */
const STATIC_TABLES = ['entrypoints', 'defaultentrypoints', 'providers', 'file', 'api'];

export function checkCommand(): Command {
  return new Command('check')
    .description('check a static configuration and the routes file it names')
    .argument(
      '[files...]',
      'static configurations or routes files; without any, traefik.toml is searched for',
    )
    .option(
      '--dynamic <file...>',
      'files that are dynamic configurations (routes files), whatever they look like',
    )
    .option('--print', "print the static configuration in today's syntax")
    .action((files: string[], options: { dynamic?: string[]; print?: boolean }) => {
      const found = findStaticFile();
      const wanted =
        files.length > 0 || options.dynamic !== undefined ? files : found === undefined ? [] : [found];
      if (wanted.length === 0 && options.dynamic === undefined)
        throw new ProxyError('JTP_ERR_CONFIG_UNREADABLE', {
          message: 'there is no traefik.toml here: name a file',
        });
      const results = [
        ...wanted.map((file) =>
          isRoutesFile(file)
            ? checkDynamic(resolve(file))
            : checkStatic(resolve(file), options.print === true),
        ),
        ...(options.dynamic ?? []).map((file) => checkDynamic(resolve(file))),
      ];
      process.exitCode = results.every(Boolean) ? 0 : 1;
    });
}

/** A dynamic configuration has tables that no static one has. One that cannot be parsed says so as either. */
function isRoutesFile(file: string): boolean {
  try {
    const { root } = parseSource(read(file), file);
    const tables = Object.keys(root).map((key) => key.toLowerCase());
    return (
      ROUTES_TABLES.some((table) => tables.includes(table)) &&
      !STATIC_TABLES.some((table) => tables.includes(table))
    );
  } catch {
    return false;
  }
}

function checkStatic(file: string, print: boolean): boolean {
  return report(file, () => {
    const { configuration, tree } = readStatic(read(file), file);
    for (const notice of configuration.notices) process.stderr.write(`${file}: note: ${notice}\n`);
    if (print) process.stdout.write(`${stringify(printableTree(tree))}\n`);
    const routes = configuration.providers.file?.filename;
    return routes === undefined ? true : checkDynamic(resolve(routes));
  });
}

function checkDynamic(file: string): boolean {
  return report(file, () => {
    parseDynamicConfiguration(read(file), file);
    return true;
  });
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    const message = errnoOf(cause) === 'ENOENT' ? 'there is no such file' : errorText(cause);
    throw new ConfigError([{ file, message }], { code: 'JTP_ERR_CONFIG_UNREADABLE', cause });
  }
}

function report(file: string, check: () => boolean): boolean {
  try {
    const isRight = check();
    process.stderr.write(`${file}: ${isRight ? 'ok' : 'ok itself, but see the other file'}\n`);
    return isRight;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return false;
  }
}
