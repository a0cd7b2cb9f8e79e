// The program: one executable, several commands. Started under the name of a command (by a link), it is that command.

import { basename } from 'node:path';
import { Command, CommanderError } from 'commander';
import { errorText } from '../errors.ts';
import { tolerateClosedOutput } from '../supervisor/child.ts';
import { VERSION } from '../version.ts';
import { checkCommand } from './check.ts';
import { configurableHttpProxyCommand } from './configurable-http-proxy.ts';
import { hubCommand } from './hub.ts';
import { installTraefikCommand } from './install-traefik.ts';
import { normalizeTraefikArguments, traefikCommand } from './traefik.ts';

/** Names under which the program may be started to be one command. */
const COMMAND_NAMES = new Set(['traefik', 'configurable-http-proxy']);

function program(): Command {
  const root = new Command('jupyterhub-traefik-proxy')
    .description('The JupyterHub proxy whose routing table is a TOML file.')
    .version(VERSION, '-V, --version', 'print the version')
    .showSuggestionAfterError()
    .addHelpText('after', '\nDocumentation: docs/ in the package, README.md first.');
  for (const command of [
    traefikCommand(),
    hubCommand(),
    configurableHttpProxyCommand(),
    checkCommand(),
    installTraefikCommand(),
  ])
    root.addCommand(command);
  root
    .command('version')
    .description('print the version')
    .action(() => {
      process.stdout.write(`${VERSION}\n`);
    });
  return root;
}

/** Runs one command. Exits through Node's own end, so that everything written has been written. */
export async function main(argv: readonly string[]): Promise<void> {
  tolerateClosedOutput();
  const name = basename(argv[1] ?? '').replace(/\.m?js$/, '');
  const given = COMMAND_NAMES.has(name) ? [name, ...argv.slice(2)] : argv.slice(2);
  try {
    // Traefik accepts one dash or two and any case.
    const args = given[0] === 'traefik' ? ['traefik', ...normalizeTraefikArguments(given.slice(1))] : given;
    await program().parseAsync(args, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode;
      return;
    }
    process.stderr.write(`jupyterhub-traefik-proxy: ${errorText(error)}\n`);
    process.exitCode = 1;
  }
}
