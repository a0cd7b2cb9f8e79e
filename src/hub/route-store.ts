// The hub's routes: in memory, and in the routes file. Changes that arrive while a write is under way share the next one.
//
//   change() ──► queue ──► [batch: memory ──► file (durable) ──► engine (live)] ──► acknowledged
//                                  └─ cannot be written: memory as before, refused
//
// The file is watched: our routes are put back when somebody removes them, what somebody adds beside them is kept.

import { readFile, rename, writeFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { watch } from 'chokidar';
import type { FSWatcher } from 'chokidar';
import { errnoOf, errorText, ProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { DurableFile } from './durable-file.ts';
import type { FileIdentity } from './durable-file.ts';
import { parseRoutes, renderRoutes, storeRoute } from './routes-file.ts';
import type { ForeignContent, RoutesFormat, StoredRoute } from './routes-file.ts';
import type { HubRoute } from './routespec.ts';

/** One step: a route set (added or replaced) or deleted. */
export type RouteChange =
  | { readonly kind: 'set'; readonly route: HubRoute }
  | { readonly kind: 'delete'; readonly routespec: string };

/** What an engine has to be told after a write. */
export interface RouteBatch {
  readonly set: readonly StoredRoute[];
  readonly deleted: readonly StoredRoute[];
}

/** Makes routes live. */
export interface RouteEngine {
  /** Resolves when the batch is in force; called in the order of the writes. */
  apply(batch: RouteBatch): Promise<void>;
  /** What is not the hub's has changed. */
  applyForeign(foreign: ForeignContent): void;
}

/** What a store is made of. */
export interface RouteStoreOptions {
  readonly file: string;
  readonly format: RoutesFormat;
  /** Name of the entry point of every route. */
  readonly entryPoint: string;
  readonly log: Logger;
  /** Adds to the foreign content what must be there whatever the file says. */
  readonly completeForeign: (foreign: ForeignContent) => ForeignContent;
}

interface Pending {
  readonly changes: readonly RouteChange[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Events get lost: this often the file is looked at anyway. */
const LOOK_MS = 1000;
/** How long after an event the file is looked at: editors write in several steps. */
const SETTLE_MS = 100;

/** The store of one controller. */
export class RouteStore {
  readonly #options: RouteStoreOptions;
  readonly #file: DurableFile;
  readonly #routes = new Map<string, StoredRoute>();
  #foreign: ForeignContent = {};
  #engine: RouteEngine | undefined;
  #written: FileIdentity | undefined;
  #pending: Pending[] = [];
  #isWriting = false;
  #needsWrite = false;
  #watcher: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;
  #looker: NodeJS.Timeout | undefined;
  #complained = '';

  constructor(options: RouteStoreOptions) {
    this.#options = options;
    this.#file = new DurableFile(options.file, options.log);
  }

  get routes(): ReadonlyMap<string, StoredRoute> {
    return this.#routes;
  }

  get foreign(): ForeignContent {
    return this.#foreign;
  }

  /** Reads the file and writes it back if something is missing in it. Rejects with JTP_ERR_STORE_READ or JTP_ERR_STORE_WRITE. */
  async load(): Promise<void> {
    const text = await this.#read();
    if (text !== undefined) {
      try {
        const { routes, foreign } = parseRoutes(text, this.#options);
        for (const [routespec, route] of routes) this.#routes.set(routespec, route);
        this.#foreign = foreign;
      } catch (error) {
        await this.#setAside(error);
      }
    }
    this.#foreign = this.#options.completeForeign(this.#foreign);
    const wanted = this.#render();
    if (text !== wanted) await this.#write(wanted);
    else this.#written = await this.#file.identity();
  }

  /** From now on changes go to `engine`, and the file is watched. */
  start(engine: RouteEngine): void {
    this.#engine = engine;
    const { file } = this.#options;
    this.#watcher = watch([file, dirname(file)], {
      ignoreInitial: true,
      depth: 0,
      ignored: (path) => path !== dirname(file) && basename(path) !== basename(file),
    });
    const look = (): void => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => {
        void this.#inspect();
      }, SETTLE_MS);
    };
    this.#looker = setInterval(() => {
      void this.#inspect();
    }, LOOK_MS);
    this.#looker.unref();
    this.#watcher.on('all', look);
    this.#watcher.on('error', (error) => {
      this.#options.log.warn({ file, reason: errorText(error) }, 'the routes file cannot be watched');
    });
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    clearInterval(this.#looker);
    await this.#watcher?.close();
  }

  /** Resolves when all changes are on disk and live; rejects, with none of them done, when the file cannot be written. */
  change(changes: readonly RouteChange[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#pending.push({ changes, resolve, reject });
      void this.#writeBatches();
    });
  }

  async #writeBatches(): Promise<void> {
    if (this.#isWriting) return;
    this.#isWriting = true;
    try {
      while (this.#pending.length > 0 || this.#needsWrite) {
        const batch = this.#pending;
        this.#pending = [];
        await this.#writeBatch(batch);
      }
    } finally {
      this.#isWriting = false;
    }
  }

  async #writeBatch(batch: readonly Pending[]): Promise<void> {
    const before = new Map<string, StoredRoute | undefined>();
    for (const { changes } of batch) for (const change of changes) this.#applyToMemory(change, before);
    const set: StoredRoute[] = [];
    const deleted: StoredRoute[] = [];
    for (const [routespec, old] of before) {
      const now = this.#routes.get(routespec);
      if (now === undefined) {
        if (old !== undefined) deleted.push(old);
      } else if (now !== old) set.push(now);
    }
    try {
      if (set.length > 0 || deleted.length > 0 || this.#needsWrite) await this.#write(this.#render());
      this.#needsWrite = false;
    } catch (error) {
      for (const [routespec, old] of before) {
        if (old === undefined) this.#routes.delete(routespec);
        else this.#routes.set(routespec, old);
      }
      // A repair of the file is tried again with the next change, not in a loop.
      this.#needsWrite = false;
      this.#options.log.error({ reason: errorText(error) }, 'a change of the routes is refused');
      for (const { reject } of batch) reject(error);
      return;
    }
    // The next batch may be written while the engine takes this one.
    const live = this.#engine?.apply({ set, deleted }) ?? Promise.resolve();
    live.then(
      () => {
        for (const { resolve } of batch) resolve();
      },
      (error: unknown) => {
        for (const { reject } of batch) reject(error);
      },
    );
  }

  #applyToMemory(change: RouteChange, before: Map<string, StoredRoute | undefined>): void {
    const routespec = change.kind === 'set' ? change.route.routespec : change.routespec;
    const old = this.#routes.get(routespec);
    if (change.kind === 'delete') {
      if (!before.has(routespec)) before.set(routespec, old);
      this.#routes.delete(routespec);
      return;
    }
    const { route } = change;
    // The hub adds some routes again every few minutes: nothing changes, so nothing is done.
    const isSame =
      old !== undefined &&
      old.target === route.target &&
      JSON.stringify(old.data) === JSON.stringify(route.data);
    if (isSame) return;
    if (!before.has(routespec)) before.set(routespec, old);
    this.#routes.set(routespec, storeRoute(route, this.#options));
  }

  #render(): string {
    return renderRoutes(this.#routes.values(), this.#foreign, this.#options.format);
  }

  async #write(text: string): Promise<void> {
    await this.#file.write(text);
    this.#written = await this.#file.identity();
  }

  async #read(): Promise<string | undefined> {
    try {
      return await readFile(this.#options.file, 'utf8');
    } catch (cause) {
      if (errnoOf(cause) === 'ENOENT') return undefined;
      const reason = errnoOf(cause) === 'EACCES' ? 'permission denied' : errorText(cause);
      throw new ProxyError('JTP_ERR_STORE_READ', {
        message: `${this.#options.file} cannot be read: ${reason}`,
        cause,
      });
    }
  }

  /** Somebody else has touched the file. */
  async #inspect(): Promise<void> {
    if (this.#isWriting) return;
    try {
      const found = await this.#file.identity();
      if (sameIdentity(found, this.#written)) return;
      await this.#takeEdit(await this.#read());
    } catch (error) {
      const reason = errorText(error);
      if (reason !== this.#complained)
        this.#options.log.error({ reason }, 'the routes file cannot be checked');
      this.#complained = reason;
    }
  }

  async #takeEdit(text: string | undefined): Promise<void> {
    const { log, file } = this.#options;
    const wanted = this.#render();
    if (text === wanted || this.#isWriting) {
      this.#written = await this.#file.identity();
      return;
    }
    let foreign = this.#foreign;
    if (text === undefined || text.trim() === '')
      log.warn({ file }, 'somebody has emptied the routes file; the routes are put back');
    else {
      try {
        foreign = this.#options.completeForeign(parseRoutes(text, this.#options).foreign);
        log.info(
          { file },
          'somebody has edited the routes file; what is not a route of JupyterHub is taken over',
        );
      } catch (error) {
        await this.#setAside(error);
      }
    }
    this.#foreign = foreign;
    this.#engine?.applyForeign(foreign);
    this.#needsWrite = true;
    await this.#writeBatches();
  }

  /** A file that cannot be read is kept beside ours for whoever edited it. */
  async #setAside(error: unknown): Promise<void> {
    const { file, log } = this.#options;
    const aside = `${file}.broken`;
    try {
      const text = await readFile(file);
      await writeFile(`${aside}.new`, text, { mode: 0o600 });
      await rename(`${aside}.new`, aside);
    } catch {
      // The folder cannot be written to; the log line below is what remains.
    }
    log.error(
      { file, reason: errorText(error) },
      `the routes file is not valid; a copy is kept in ${aside}, and it is written again`,
    );
  }
}

function sameIdentity(a: FileIdentity | undefined, b: FileIdentity | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.inode === b.inode && a.size === b.size && a.modifiedMs === b.modifiedMs;
}
