// `hub`: what the JupyterHub plug-in starts. Settings come as one JSON object, or as flags from a person; secrets never come as flags,
// because everybody on the machine can read those. The command itself loads next to nothing: what it does is in run-hub.ts, and loads while
// the controller is loading.

import { Command, InvalidArgumentError } from 'commander';
import { EarlyController, forkController } from '../supervisor/programs.ts';

/** The port of configurable-http-proxy's API. */
const DEFAULT_API_PORT = 8001;

/** The flags of the command. */
export interface HubOptions {
  readonly settings?: string;
  readonly readyFd?: number;
  readonly publicUrl: string;
  readonly routesFile?: string;
  readonly staticFile?: string;
  readonly sslKey?: string;
  readonly sslCert?: string;
  readonly entrypoint?: string;
  readonly external?: true;
  readonly engine?: string;
  readonly engineUrl?: string;
  readonly engineUser?: string;
  readonly apiPort: number;
  readonly workers: number;
  readonly errorTarget?: string;
  readonly stateFile?: string;
  readonly logLevel?: string;
}

export function hubCommand(): Command {
  return new Command('hub')
    .description("run JupyterHub's routes: REST API, rules.toml and the engine")
    .option('--settings <file>', 'all settings as one JSON object; "-" reads it from standard input')
    .option(
      '--ready-fd <number>',
      'tell an inherited descriptor, in one line of JSON, when ready',
      parseNumber(1023),
    )
    .option('--public-url <url>', 'where users come in', 'http://:8000')
    .option('--routes-file <file>', 'routes file, .toml or .yaml; without it rules.toml is searched for')
    .option('--static-file <file>', 'static configuration to write; without it traefik.toml')
    .option('--ssl-key <file>', 'private key of the public side (PEM)')
    .option('--ssl-cert <file>', 'certificate of the public side (PEM)')
    .option('--entrypoint <name>', "entry point of the users (default: http or https, by the URL's scheme)")
    .option(
      '--external',
      'somebody else runs the engine: write the routes file and ask the engine for confirmation',
    )
    .option('--engine <name>', 'embedded (default), or a Traefik to start: a name on the PATH, or a path')
    .option('--engine-url <url>', "the engine's API (default: http://localhost:8099)")
    .option('--engine-user <name>', "user of the engine's API")
    .option(
      '--api-port <number>',
      'loopback port of the REST API; 0 = any',
      parseNumber(65535),
      DEFAULT_API_PORT,
    )
    .option('--workers <number>', 'worker processes; 0 = one per core', parseNumber(999), 0)
    .option(
      '--error-target <url>',
      "the hub's error pages, such as http://127.0.0.1:8081/hub/error; without it pages of our own",
    )
    .option('--state-file <file>', 'where to write address and token of the REST API (mode 0600)')
    .option('--log-level <level>', 'DEBUG, INFO, WARN or ERROR')
    .addHelpText(
      'after',
      `
Environment:
  CONFIGPROXY_AUTH_TOKEN  token of the REST API; without it a random one is used, which only the state file tells
  JTP_ENGINE_PASSWORD     password of the engine's API; without it a random one (not with --external)

Signals: SIGHUP reads traefik.toml, the file of --settings and the routes again; SIGTERM and SIGINT let requests
finish and exit.

With --settings all other flags but --ready-fd are settings of the same object and may not be given.`,
    )
    .showSuggestionAfterError()
    .action(async (options: HubOptions, command: Command) => {
      const controller = new EarlyController(forkController('hub'));
      try {
        process.exitCode = await (await import('./run-hub.ts')).runHub(options, command, controller);
      } finally {
        controller.end();
      }
    });
}

function parseNumber(most: number): (text: string) => number {
  return (text) => {
    if (!/^[0-9]{1,5}$/.test(text) || Number(text) > most)
      throw new InvalidArgumentError(`expected a number from 0 to ${String(most)}`);
    return Number(text);
  };
}
