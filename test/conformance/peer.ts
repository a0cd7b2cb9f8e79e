// One proxy under comparison, the real Traefik or this engine, running with a configuration set of its own: free ports, servers that
// record, a folder with its files. Texts hold places `<name>` for ports; what is observed is turned back into them.

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { freePorts } from '../support/free-ports.ts';
import { OLDEST_VERSION, REFERENCE_VERSION, ROOT, traefikPath } from '../support/traefik-binary.ts';
import { Backend } from './backend.ts';
import type { Reaction } from './backend.ts';
import { exchangeRaw } from './raw-client.ts';
import type { RawAnswer } from './raw-client.ts';
import type { TargetRecord } from './observation.ts';

/** Who can be compared. */
export type PeerKind = 'reference' | 'oldest' | 'engine';

/** A configuration set: the same for every peer but for ports and folders. */
export interface PeerSetup {
  /** Entry points by name; a port is found for each. `::1` or `127.0.0.1` is where the client connects. */
  readonly entryPoints: readonly string[];
  /** Servers that record. */
  readonly backends: readonly string[];
  /** Names of ports on which nobody listens. */
  readonly closedPorts?: readonly string[];
  /** Files by name below the folder `<dir>`; `traefik.toml` is the static one. */
  readonly files: Readonly<Record<string, string>>;
  /** Ready when a GET for this target does not answer 404. */
  readonly ready: { readonly entryPoint: string; readonly target: string };
}

const DEADLINE_MS = 15_000;

/** A running proxy. */
export class Peer {
  readonly name: string;
  readonly folder: string;
  readonly #setup: PeerSetup;
  readonly #ports: ReadonlyMap<string, number>;
  readonly #backends: readonly Backend[];
  readonly #child: ChildProcess;
  #log = '';

  private constructor(
    parts: { kind: PeerKind; folder: string; setup: PeerSetup } & {
      ports: ReadonlyMap<string, number>;
      backends: readonly Backend[];
    },
  ) {
    this.name = describePeer(parts.kind);
    this.folder = parts.folder;
    this.#setup = parts.setup;
    this.#ports = parts.ports;
    this.#backends = parts.backends;
    const [command, ...args] = commandOf(parts.kind, path.join(parts.folder, 'traefik.toml'));
    // A home of its own: no configuration file of this machine may be found instead.
    const env = { PATH: process.env['PATH'], HOME: parts.folder, LANG: 'C.UTF-8' };
    this.#child = spawn(command, args, { cwd: parts.folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on('data', (chunk: Buffer) => (this.#log += stripVTControlCharacters(chunk.toString())));
  }

  /** Starts a peer and waits until it routes. */
  static async start(kind: PeerKind, setup: PeerSetup): Promise<Peer> {
    const folder = await mkdtemp(path.join(tmpdir(), 'conformance-'));
    const backends = await Promise.all(setup.backends.map((name) => Backend.open(name)));
    const names = [...setup.entryPoints, ...(setup.closedPorts ?? [])];
    const found = await freePorts(names.length);
    const ports = new Map<string, number>(backends.map((backend) => [backend.name, backend.port]));
    names.forEach((name, index) => ports.set(name, found[index] ?? 0));
    for (const [name, text] of Object.entries(setup.files))
      await writeText(folder, name, fill(text, ports, folder));
    const peer = new Peer({ kind, folder, setup, ports, backends });
    try {
      await peer.#untilReady();
    } catch (error) {
      await peer.stop();
      throw error;
    }
    return peer;
  }

  /** Everything the program has written so far. */
  get log(): string {
    return this.#log;
  }

  /** The exit code, once there is one. */
  get exitCode(): number | null {
    return this.#child.exitCode;
  }

  /** Tells the servers how to react from now on and forgets what they recorded, once connections that they have ended are gone. */
  async react(reaction: Reaction): Promise<void> {
    await Promise.all(this.#backends.map((backend) => backend.reset(reaction)));
  }

  /** What reached the servers since `react`. */
  get records(): TargetRecord[] {
    return this.#backends.flatMap((backend) =>
      backend.records.map((message) => ({ target: backend.name, message })),
    );
  }

  /** The port of an entry point (or server). */
  port(name: string): number {
    const port = this.#ports.get(name);
    if (port === undefined) throw new Error(`no entry point ${name}`);
    return port;
  }

  /** Sends raw bytes (places filled in) to an entry point. */
  send(
    entryPoint: string,
    bytes: string,
    options: { tunnelBytes?: string; host?: string } = {},
  ): Promise<RawAnswer> {
    const { host = '127.0.0.1', ...rest } = options;
    return exchangeRaw({
      host,
      port: this.port(entryPoint),
      bytes: fill(bytes, this.#ports, this.folder),
      ...rest,
    });
  }

  /** Replaces a file of the folder atomically. */
  async write(name: string, text: string): Promise<void> {
    const temporary = path.join(this.folder, '.new');
    await writeFile(temporary, fill(text, this.#ports, this.folder));
    await rename(temporary, path.join(this.folder, name));
  }

  /** Asks until the status of a GET is the wanted one. */
  async until(entryPoint: string, target: string, isWanted: (status: string) => boolean): Promise<void> {
    await this.#poll(`${target} on ${entryPoint}`, async () => {
      const { final } = await this.send(entryPoint, `GET ${target} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
      return final !== undefined && isWanted(final.startLine.split(' ')[1] ?? '');
    });
  }

  /** Waits until the log, from a position on, matches. */
  async untilLogged(pattern: RegExp, from: number): Promise<void> {
    await this.#poll(String(pattern), () => Promise.resolve(pattern.test(this.#log.slice(from))));
  }

  /** Ports, the folder and the name of the machine as places. */
  normalise(text: string): string {
    let result = text.replaceAll(this.folder, '<dir>').replaceAll(hostname(), '<hostname>');
    for (const [name, port] of this.#ports) result = result.replaceAll(String(port), `<${name}>`);
    return result;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill('SIGKILL');
      await once(this.#child, 'exit');
    }
    await Promise.all(this.#backends.map((backend) => backend.close()));
    await rm(this.folder, { recursive: true, force: true });
  }

  async #untilReady(): Promise<void> {
    const { entryPoint, target } = this.#setup.ready;
    await this.until(entryPoint, target, (status) => status !== '404');
  }

  async #poll(what: string, isDone: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + DEADLINE_MS;
    while (!(await isDone())) {
      if (this.#child.exitCode !== null || Date.now() > deadline)
        throw new Error(`${this.name} did not come to ${what}; its log:\n${this.#log}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** How a peer is called in reports. */
export function describePeer(kind: PeerKind): string {
  if (kind === 'engine') return 'engine';
  return `Traefik ${kind === 'reference' ? REFERENCE_VERSION : OLDEST_VERSION}`;
}

function commandOf(kind: PeerKind, file: string): [string, ...string[]] {
  if (kind === 'engine') {
    const program = path.join(ROOT, 'bin', 'jupyterhub-traefik-proxy.js');
    // One worker: every worker balances on its own, and distributions are compared.
    return [process.execPath, program, 'traefik', '--configfile', file, '--workers', '1'];
  }
  return [traefikPath(kind === 'reference' ? REFERENCE_VERSION : OLDEST_VERSION), '--configfile', file];
}

function fill(text: string, ports: ReadonlyMap<string, number>, folder: string): string {
  return text.replace(/<([a-z][a-z0-9_-]*)>/g, (place, name: string) => {
    if (name === 'dir') return folder;
    const port = ports.get(name);
    return port === undefined ? place : String(port);
  });
}

async function writeText(folder: string, name: string, text: string): Promise<void> {
  const file = path.join(folder, name);
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, text);
}
