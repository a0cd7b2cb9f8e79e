// `traefik`: the engine, from Traefik's own static configuration.

import { availableParallelism } from 'node:os';
import { Command, InvalidArgumentError } from 'commander';
import { findStaticFile, loadStaticConfiguration, searchFolders } from '../config/load-static.ts';
import type { StaticConfiguration } from '../config/static.ts';
import { ProxyError } from '../errors.ts';
import { createLogger } from '../log.ts';
import { runSupervisor } from '../supervisor/supervisor.ts';
import { VERSION } from '../config/version.ts';
import { descriptorBudget, descriptorLimit } from '../worker/descriptors.ts';

/** Below this many descriptors a class of a few hundred can run out. Each tab costs two to four. */
const COMFORTABLE_DESCRIPTORS = 8192;

export function traefikCommand(): Command {
  const command = new Command('traefik')
    .description('run the engine with a static configuration (traefik.toml)')
    .option(
      '-c, --configfile <file>',
      'static configuration, TOML or YAML; without it traefik.toml is searched for',
    )
    .option('--workers <number>', 'worker processes; 0 = one per core', parseWorkers, 0)
    .addHelpText(
      'after',
      `
Without --configfile the first of these is used (.toml, .yaml or .yml):
  ${['/etc/traefik/traefik', '$HOME/.traefik/traefik', '$XDG_CONFIG_HOME/traefik', '$HOME/.config/traefik', './traefik'].join('\n  ')}

Signals: SIGHUP reads all configuration again (a changed static one goes to new workers, the old ones
finish what they have begun); SIGTERM and SIGINT stop accepting, let requests finish
(transport.lifeCycle.graceTimeOut) and exit; a second one exits at once.`,
    )
    .action(async (options: { configfile?: string; workers: number }) => {
      process.exitCode = await runTraefik(options);
    });
  return command.showSuggestionAfterError();
}

/** Rewrites Traefik's spellings of our options; throws ProxyError for options of Traefik that have no counterpart. */
export function normalizeTraefikArguments(args: readonly string[]): string[] {
  return args.map((argument) => {
    const match = /^--?([A-Za-z][A-Za-z0-9.[\]]*)(=.*)?$/s.exec(argument);
    const name = match?.[1]?.toLowerCase();
    if (name === undefined || argument === '-c') return argument;
    if (name === 'configfile') return `--configfile${match?.[2] ?? ''}`;
    const [root = ''] = name.split('.');
    if (name.includes('.') || TRAEFIK_ROOTS.has(root))
      throw new ProxyError('JTP_ERR_SETTINGS_INVALID', {
        message: `option "${argument.split('=')[0] ?? ''}" is known to Traefik, but not supported by this engine yet: write it into traefik.toml`,
      });
    return argument;
  });
}

const TRAEFIK_ROOTS = new Set([
  'global',
  'entrypoints',
  'providers',
  'api',
  'ping',
  'log',
  'accesslog',
  'metrics',
  'tracing',
  'serverstransport',
  'certificatesresolvers',
  'experimental',
  'hostresolver',
]);

function parseWorkers(text: string): number {
  if (!/^[0-9]{1,3}$/.test(text)) throw new InvalidArgumentError('expected a number from 0 to 999');
  return Number(text);
}

/** One per core unless a number is given. */
export function workerCount(wanted: number): number {
  return wanted > 0 ? wanted : availableParallelism();
}

async function runTraefik(options: { configfile?: string; workers: number }): Promise<number> {
  const file = findStaticFile(options.configfile === undefined ? {} : { explicit: options.configfile });
  if (file === undefined)
    throw new ProxyError('JTP_ERR_CONFIG_UNREADABLE', {
      message: `no traefik.toml (.yaml, .yml) in ${searchFolders().join(', ')}: name one with --configfile`,
    });
  const configuration = loadStaticConfiguration(file);
  const log = createLogger('supervisor', configuration.log);
  sayNotices(configuration);
  process.title = 'jtp traefik';
  const workers = workerCount(options.workers);
  return runSupervisor({
    static: configuration,
    workers,
    controller: { kind: 'traefik' },
    servers: [],
    log,
    reload: () => ({ static: loadStaticConfiguration(file) }),
    onReady: () => {
      // Said whatever the level: it is the one line everybody looks for.
      const entryPoints = [...configuration.entryPoints.values()].map(
        ({ name, addressText }) => `${name}=${addressText}`,
      );
      process.stdout.write(
        `jupyterhub-traefik-proxy ${VERSION} serves ${file}: ${entryPoints.join(' ')}; ${capacityText(workers)}\n`,
      );
    },
    onFailure: (message) => {
      process.stderr.write(`jupyterhub-traefik-proxy: ${message}\n`);
    },
  });
}

/** What the operator should know at start, once each. */
export function sayNotices(configuration: StaticConfiguration): void {
  for (const notice of configuration.notices)
    process.stderr.write(`jupyterhub-traefik-proxy: ${configuration.file ?? ''}: ${notice}\n`);
}

/** How many processes carry requests, and how much each can take; said at every start. A low limit is said on standard error as well. */
export function capacityText(workers: number, program = 'jupyterhub-traefik-proxy'): string {
  const limit = descriptorLimit();
  const { maxClients } = descriptorBudget(limit);
  if (limit !== undefined && limit < COMFORTABLE_DESCRIPTORS)
    process.stderr.write(
      `${program}: only ${String(limit)} open files are allowed per process, enough for ${String(maxClients)} connections in each worker: raise it (LimitNOFILE=65536 in a systemd unit, or ulimit -n 65536)\n`,
    );
  const each =
    limit === undefined ? '' : `, up to ${String(maxClients)} connections each (${String(limit)} open files)`;
  return `${String(workers)} ${workers === 1 ? 'worker' : 'workers'}${each}`;
}
