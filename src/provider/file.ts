// The file provider: one file or a folder of them, read again whenever they change. A file that cannot be used leaves everything as it
// is and is named in the log once. Source: Traefik documentation, file provider.

import { readdirSync, readFileSync, statSync, watch as watchFolder } from 'node:fs';
import type { FSWatcher as FolderWatcher } from 'node:fs';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { watch } from 'chokidar';
import type { FSWatcher } from 'chokidar';
import type {
  DynamicConfiguration,
  DynamicServersTransportConfiguration,
  MiddlewareConfiguration,
  RouterConfiguration,
  ServiceConfiguration,
} from '../config/dynamic.ts';
import { parseDynamicConfiguration } from '../config/load-dynamic.ts';
import type { FileProviderConfiguration } from '../config/static.ts';
import { ConfigError, errnoOf, errorText } from '../errors.ts';
import type { Logger } from '../log.ts';
import { signatureOf } from './signature.ts';

/** Several events of one change are taken as one. */
const GATHER_MS = 20;
/** Events get lost (network file systems, a file mounted by itself, many changes at once): this often the files are looked at anyway. */
const LOOK_MS = 500;
/** A file that is empty or broken right after an event may still be in the making. */
const SETTLE_MS = 150;

const EXTENSIONS = new Set(['.toml', '.yaml', '.yml']);

/** What a provider is made of. */
export interface FileProviderOptions {
  readonly configuration: FileProviderConfiguration;
  /** The shortest time between two deliveries; the newest content wins. */
  readonly throttleMs: number;
  readonly log: Logger;
  readonly onConfiguration: (configuration: DynamicConfiguration) => Promise<void> | void;
}

/** Delivers the content of files. */
export class FileProvider {
  readonly #options: FileProviderOptions;
  readonly #path: string;
  readonly #isFolder: boolean;
  #watcher: FSWatcher | undefined;
  #folderWatcher: FolderWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;
  #looker: NodeJS.Timeout | undefined;
  /** Inodes, sizes and times of what was read last. */
  #signature = '';
  /** What was read last, to tell a new mistake from an old one. */
  #content = '';
  #isSettling = false;
  #delivered: string | undefined;
  #complained: string | undefined;
  #lastDelivery = 0;
  /** Loads and deliveries, one after the other. */
  #work: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(options: FileProviderOptions) {
    this.#options = options;
    const { directory, filename = '' } = options.configuration;
    this.#isFolder = directory !== undefined;
    this.#path = resolve(directory ?? filename);
  }

  /** Resolves when the first load has been delivered, or has failed. */
  async start(): Promise<void> {
    if (this.#options.configuration.watch) this.#watch();
    await this.reload();
  }

  /** Reads everything again, whether it seems to have changed or not. */
  reload(): Promise<void> {
    this.#work = this.#work.then(() => this.#load());
    return this.#work;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    clearInterval(this.#looker);
    this.#folderWatcher?.close();
    await this.#watcher?.close();
    await this.#work;
  }

  #watch(): void {
    const folder = this.#isFolder ? this.#path : dirname(this.#path);
    this.#watchFolder(folder);
    // For folders below, and for links that lead elsewhere. By itself it may report one of two replacements within a second.
    const places = this.#isFolder ? [this.#path] : [this.#path, folder];
    this.#watcher = watch(places, {
      ignoreInitial: true,
      depth: this.#isFolder ? 10 : 0,
      ignored: (path) =>
        !this.#isFolder && path !== dirname(this.#path) && basename(path) !== basename(this.#path),
    });
    this.#looker = setInterval(() => {
      this.#look();
    }, LOOK_MS);
    this.#watcher.on('all', () => {
      this.#schedule(GATHER_MS);
    });
    this.#watcher.on('error', (error) => {
      this.#options.log.warn(
        { path: this.#path, reason: errorText(error) },
        'the routes file cannot be watched',
      );
    });
  }

  #look(): void {
    if (signatureOf(this.#files()) !== this.#signature) this.#schedule(GATHER_MS);
  }

  #files(): readonly string[] {
    try {
      return this.#isFolder ? filesIn(this.#path) : [this.#path];
    } catch {
      // The folder is not there; `#read` says so.
      return [];
    }
  }

  /** Every event of the folder itself. A folder that cannot be watched is left to the other watcher. */
  #watchFolder(folder: string): void {
    try {
      this.#folderWatcher = watchFolder(folder, (_event, name) => {
        if (this.#isFolder || name === null || name === basename(this.#path)) this.#schedule(GATHER_MS);
      });
      this.#folderWatcher.on('error', () => this.#folderWatcher?.close());
    } catch (error) {
      this.#options.log.debug({ folder, reason: errorText(error) }, 'the folder cannot be watched directly');
    }
  }

  #schedule(delayMs: number): void {
    if (this.#isStopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      void this.reload();
    }, delayMs);
  }

  async #load(): Promise<void> {
    if (this.#isStopped) return;
    // Taken before the content: a change in between is seen at the next look.
    this.#signature = signatureOf(this.#files());
    this.#content = '';
    let configuration: DynamicConfiguration;
    try {
      configuration = this.#read();
    } catch (error) {
      this.#complain(error);
      return;
    }
    const text = fingerprint(configuration);
    if (text === this.#delivered) {
      this.#isSettling = false;
      return;
    }
    const isEmpty = configuration.routers.size === 0 && configuration.services.size === 0;
    if (isEmpty && this.#delivered !== undefined && !this.#isSettling) {
      // Most likely somebody truncated the file and is about to fill it.
      this.#isSettling = true;
      this.#schedule(SETTLE_MS);
      return;
    }
    this.#isSettling = false;
    const wait = this.#lastDelivery + this.#options.throttleMs - Date.now();
    if (this.#delivered !== undefined && wait > 0) {
      this.#schedule(wait);
      return;
    }
    this.#delivered = text;
    this.#complained = undefined;
    this.#lastDelivery = Date.now();
    await this.#options.onConfiguration(configuration);
  }

  #complain(error: unknown): void {
    if (!this.#isSettling && this.#delivered !== undefined) {
      this.#isSettling = true;
      this.#schedule(SETTLE_MS);
      return;
    }
    this.#isSettling = false;
    const problems = error instanceof ConfigError ? error.message : `${this.#path}: ${reasonOf(error)}`;
    // Once for each content.
    const complaint = `${problems}\n${this.#content}`;
    if (complaint === this.#complained) return;
    this.#complained = complaint;
    for (const problem of problems.split('\n'))
      this.#options.log.error(
        { providerName: 'file' },
        `the routes file is not used, the routes stay as they are: ${problem}`,
      );
  }

  #read(): DynamicConfiguration {
    if (!this.#isFolder) return this.#readFile(this.#path);
    const merged = {
      routers: new Map<string, RouterConfiguration>(),
      services: new Map<string, ServiceConfiguration>(),
      middlewares: new Map<string, MiddlewareConfiguration>(),
      serversTransports: new Map<string, DynamicServersTransportConfiguration>(),
      certificates: [] as DynamicConfiguration['tls']['certificates'][number][],
    };
    let defaultCertificate: DynamicConfiguration['tls']['defaultCertificate'];
    for (const file of filesIn(this.#path)) {
      const { routers, services, middlewares, serversTransports, tls } = this.#readFile(file);
      this.#merge(merged.routers, routers, { kind: 'router', file });
      this.#merge(merged.services, services, { kind: 'service', file });
      this.#merge(merged.middlewares, middlewares, { kind: 'middleware', file });
      this.#merge(merged.serversTransports, serversTransports ?? new Map(), {
        kind: 'serversTransport',
        file,
      });
      merged.certificates.push(...tls.certificates);
      defaultCertificate ??= tls.defaultCertificate;
    }
    return {
      routers: merged.routers,
      services: merged.services,
      middlewares: merged.middlewares,
      serversTransports: merged.serversTransports,
      tls: {
        certificates: merged.certificates,
        ...(defaultCertificate === undefined ? {} : { defaultCertificate }),
      },
    };
  }

  /** The first file wins. */
  #merge<T>(
    all: Map<string, T>,
    more: ReadonlyMap<string, T>,
    origin: { readonly kind: string; readonly file: string },
  ): void {
    for (const [name, value] of more) {
      if (all.has(name))
        this.#options.log.warn({ file: origin.file, name }, `${origin.kind} already configured, skipping`);
      else all.set(name, value);
    }
  }

  #readFile(file: string): DynamicConfiguration {
    const text = readFileSync(file, 'utf8');
    this.#content += text;
    const template = text.indexOf('{{');
    if (template >= 0)
      throw new ConfigError([
        {
          file,
          line: text.slice(0, template).split('\n').length,
          message: 'templates ("{{") are known to Traefik, but not supported by this engine yet',
        },
      ]);
    return parseDynamicConfiguration(text, file);
  }
}

function filesIn(folder: string): readonly string[] {
  const found: string[] = [];
  for (const name of readdirSync(folder).sort()) {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) found.push(...filesIn(path));
    else if (EXTENSIONS.has(extname(name).toLowerCase())) found.push(path);
  }
  return found;
}

function reasonOf(error: unknown): string {
  return errnoOf(error) === 'ENOENT'
    ? 'there is no such file (it is picked up when it appears)'
    : errorText(error);
}

function fingerprint(configuration: DynamicConfiguration): string {
  return JSON.stringify(configuration, (_key, value: unknown) =>
    value instanceof Map ? [...(value as Map<unknown, unknown>)] : value,
  );
}
