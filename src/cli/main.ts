// The program: one executable, several commands. Started under the name of a command (by a link), it is that command.

import { basename } from 'node:path';
import { Command, CommanderError } from 'commander';
import { errorText } from '../errors.ts';
import { tolerateClosedOutput } from '../supervisor/child.ts';
import { VERSION } from '../config/version.ts';

/** Names under which the program may be started to be one command. */
const COMMAND_NAMES = new Set(['traefik', 'configurable-http-proxy']);

/** Loaded when they are wanted: what all of them need takes longer to load than a routes file. */
const COMMANDS: ReadonlyMap<string, () => Promise<Command>> = new Map([
  ['traefik', async () => (await import('./traefik.ts')).traefikCommand()],
  ['hub', async () => (await import('./hub.ts')).hubCommand()],
  [
    'configurable-http-proxy',
    async () => (await import('./configurable-http-proxy.ts')).configurableHttpProxyCommand(),
  ],
  ['check', async () => (await import('./check.ts')).checkCommand()],
  ['install-traefik', async () => (await import('./install-traefik.ts')).installTraefikCommand()],
]);

/** With the command that is named; with all of them for help and for names that are none. */
async function program(name: string | undefined): Promise<Command> {
  const root = new Command('jupyterhub-traefik-proxy')
    .description('The JupyterHub proxy whose routing table is a TOML file.')
    .version(VERSION, '-V, --version', 'print the version')
    .showSuggestionAfterError()
    .addHelpText('after', '\nDocumentation: docs/ in the package, README.md first.');
  const wanted = COMMANDS.get(name ?? '');
  for (const load of wanted === undefined ? COMMANDS.values() : [wanted]) root.addCommand(await load());
  root
    .command('version')
    .description('print the version')
    .action(() => {
      process.stdout.write(`${VERSION}\n`);
    });
  return root;
}

/** Traefik accepts one dash or two and any case. */
async function normalized(args: readonly string[]): Promise<readonly string[]> {
  return (await import('./traefik.ts')).normalizeTraefikArguments(args);
}

/** Runs one command. Exits through Node's own end, so that everything written has been written. */
export async function main(argv: readonly string[]): Promise<void> {
  tolerateClosedOutput();
  const name = basename(argv[1] ?? '').replace(/\.m?js$/, '');
  const given = COMMAND_NAMES.has(name) ? [name, ...argv.slice(2)] : argv.slice(2);
  try {
    const args = given[0] === 'traefik' ? ['traefik', ...(await normalized(given.slice(1)))] : given;
    await (await program(given[0])).parseAsync(args, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode;
      return;
    }
    // That command is another program to whoever started it.
    const program = given[0] === 'configurable-http-proxy' ? given[0] : 'jupyterhub-traefik-proxy';
    process.stderr.write(`${program}: ${errorText(error)}\n`);
    process.exitCode = 1;
  }
}
