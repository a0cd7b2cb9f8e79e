// What a proxy has to offer to be compared, and what starting one takes.

import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Running } from './processes.ts';
import { startProgram, waitForPort } from './processes.ts';

/** The checkout this benchmark belongs to. */
export const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
/** Where the peers from npm and PyPI are installed: `npm run bench -- install`. */
export const BENCH_CACHE = path.join(ROOT, '.cache', 'bench');
export const TRAEFIK_VERSION = '3.7.15';
export const CHP_VERSION = '5.3.0';

/** What a proxy is started for. */
export interface PeerOptions {
  /** Scratch folder of this run. */
  readonly folder: string;
  readonly backendPort: number;
  /** 0: everything goes to the server; else so many routers `/user/u000000/` …, and one for the rest. */
  readonly routes: number;
  /** PEM files; present: the port speaks TLS (and HTTP/2, where the proxy can). */
  readonly tls?: { readonly certificate: string; readonly key: string };
  readonly workers: number;
  /** Ours only: also serves the read API there. */
  readonly apiPort?: number;
}

/** A proxy that accepts requests. */
export interface StartedPeer {
  readonly name: string;
  readonly port: number;
  readonly process: Running;
}

/** A kind of proxy. */
export interface Peer {
  readonly name: string;
  /** This proxy, in whatever revision. */
  readonly isOurs?: boolean;
  /** How to get it. */
  readonly install: string;
  /** Undefined: not installed. */
  version(): string | undefined;
  start(options: PeerOptions): Promise<StartedPeer>;
}

/** The path of route number `index`. */
export function routePath(index: number): string {
  return `/user/u${String(index).padStart(6, '0')}/`;
}

/** The first line of what a program says about its version; undefined when it is not there. */
export function versionOf(command: string, args: readonly string[], pattern: RegExp): string | undefined {
  const result = spawnSync(command, args, { encoding: 'utf8' });
  if (result.error !== undefined) return undefined;
  return pattern.exec(`${result.stdout}${result.stderr}`)?.[1];
}

/** Starts a proxy's program and waits until it accepts. */
export async function startPeer(options: {
  readonly name: string;
  readonly folder: string;
  readonly port: number;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}): Promise<StartedPeer> {
  const { name, folder, port, command, args, env } = options;
  const logFile = path.join(folder, `${name.replace(/[^a-z0-9-]/gi, '_')}.log`);
  const program = await startProgram({ name, command, args, logFile, ...(env === undefined ? {} : { env }) });
  try {
    await waitForPort(port, 120_000, program);
  } catch (error) {
    await program.stop();
    throw new Error(`${name} did not start: ${readFileSync(logFile, 'utf8').slice(-600)}`, { cause: error });
  }
  return { name, port, process: program };
}

/** A folder for one proxy's files. */
export function peerFolder(options: PeerOptions, name: string): string {
  const folder = path.join(
    options.folder,
    `${name.replace(/[^a-z0-9-]/gi, '_')}-${String(options.routes)}-${String(options.workers)}`,
  );
  mkdirSync(folder, { recursive: true });
  return folder;
}
