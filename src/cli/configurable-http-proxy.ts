// `configurable-http-proxy`: that program's command line and REST API on our controller and engine.

import { accessSync, closeSync, constants, openSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import type { ChpAddress } from '../config/chp.ts';
import type { ListenAddress } from '../config/static.ts';
import { isAnswered } from '../entrypoint/listening-socket.ts';
import { errorText, ProxyError } from '../errors.ts';
import { createLogger } from '../log.ts';
import type { Logger } from '../log.ts';
import type { ControllerServer } from '../supervisor/messages.ts';
import { runSupervisor } from '../supervisor/supervisor.ts';
import { chpCommand, givenOptions } from './chp-options.ts';
import type { ChpOptions } from './chp-options.ts';
import { setUpChp } from './chp-setup.ts';
import type { ChpSetup } from './chp-setup.ts';
import { capacityText, sayNotices, workerCount } from './traefik.ts';

export function configurableHttpProxyCommand(): Command {
  return chpCommand().action(async (options: ChpOptions, command: Command) => {
    process.exitCode = await run(options, command);
  });
}

async function run(all: ChpOptions, command: Command): Promise<number> {
  const options = givenOptions(all);
  const setup = setUpChp(options, (name) => command.getOptionValueSource(name) === 'cli', process.env);
  const sockets = socketPaths(setup);
  for (const path of sockets) await freeSocket(path);
  if (options.pidFile !== undefined) assertWritable(options.pidFile);
  const log = createLogger('supervisor', setup.static.log);
  for (const remark of setup.remarks) log.info(remark);
  for (const warning of setup.warnings) log.warn(warning);
  sayNotices(setup.static);
  process.title = 'jtp configurable-http-proxy';
  const workers = workerCount(options.workers);
  log.info(capacityText(workers, 'configurable-http-proxy'));
  const exitCode = await runSupervisor({
    static: setup.static,
    workers,
    controller: { kind: 'chp', settings: setup.controller },
    servers: controllerServers(setup),
    log,
    onReady: () => {
      sayReady(setup, options, log);
    },
    onFailure: (message) => {
      process.stderr.write(`configurable-http-proxy: ${message}\n`);
    },
  });
  removeFiles([...sockets, ...(options.pidFile === undefined ? [] : [options.pidFile])]);
  return exitCode;
}

function sayReady(setup: ChpSetup, options: ChpOptions, log: Logger): void {
  log.info(`Proxying ${setup.publicUrl} to ${options.defaultTarget ?? '(no default)'}`);
  if (setup.redirectUrl !== undefined)
    log.info(`Added HTTP to HTTPS redirection from ${setup.redirectUrl} to ${setup.publicUrl}`);
  const { pidFile } = options;
  if (pidFile === undefined) return;
  try {
    writeFileSync(pidFile, String(process.pid));
    log.info(`Writing pid ${String(process.pid)} to ${pidFile}`);
  } catch (error) {
    log.error({ file: pidFile, reason: errorText(error) }, 'the pid file cannot be written');
  }
}

/** Whoever waits for a file that never comes should hear of it at once; throws JTP_ERR_SETTINGS_INVALID. */
function assertWritable(pidFile: string): void {
  try {
    const stats = statSync(pidFile, { throwIfNoEntry: false });
    if (stats === undefined) accessSync(dirname(resolve(pidFile)), constants.W_OK);
    else closeSync(openSync(pidFile, 'r+'));
  } catch (cause) {
    throw new ProxyError('JTP_ERR_SETTINGS_INVALID', {
      message: `--pid-file: ${pidFile} cannot be written: ${errorText(cause)}`,
      cause,
    });
  }
}

function controllerServers({ controller: { api, metrics } }: ChpSetup): readonly ControllerServer[] {
  const address = (of: ChpAddress): ListenAddress =>
    'path' in of ? { host: '', port: 0, path: of.path } : of;
  return [
    { name: 'api', what: 'the REST API', address: address(api.address) },
    ...(metrics === undefined
      ? []
      : [{ name: 'metrics' as const, what: 'the metrics server', address: address(metrics) }]),
  ];
}

function socketPaths({ static: configuration, controller }: ChpSetup): readonly string[] {
  const paths = [...configuration.entryPoints.values()].map(({ address }) => address.path);
  for (const address of [controller.api.address, controller.metrics])
    if (address !== undefined && 'path' in address) paths.push(address.path);
  return paths.filter((path) => path !== undefined);
}

/** Removes a socket that nobody listens on any more; rejects with JTP_ERR_ENTRYPOINT_LISTEN when somebody does, or it is no socket. */
async function freeSocket(path: string): Promise<void> {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return;
  const reason = stats.isSocket()
    ? (await isAnswered(path))
      ? 'another program listens there'
      : undefined
    : 'there is a file of this name, which is no socket';
  if (reason !== undefined)
    throw new ProxyError('JTP_ERR_ENTRYPOINT_LISTEN', { message: `cannot listen on ${path}: ${reason}` });
  rmSync(path, { force: true });
}

function removeFiles(paths: readonly string[]): void {
  for (const path of paths)
    try {
      rmSync(path, { force: true });
    } catch {
      // Somebody else may have made the folder unwritable; the next start says so.
    }
}
