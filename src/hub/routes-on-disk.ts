// Where routes outlive the process. docs/route-store.md has the states and the rules:
//
//   commit ──► journal ──► memory                       ──a moment later──► routes file     (our own engine)
//   commit ──► memory ──► routes file ──fails──► memory as it was                           (somebody else's, or no journal)
//
// All work on the routes file is done one after the other in a lane of its own, which commits to the journal do not wait for.

import { errnoOf, errorText } from '../errors.ts';
import type { DynamicConfiguration } from '../config/dynamic.ts';
import type { Logger } from '../log.ts';
import type { FileSystem } from './file-system.ts';
import { takeRoutesLock } from './routes-lock.ts';
import type { RoutesLock } from './routes-lock.ts';
import { Journal, journalPath, readJournal } from './journal.ts';
import type { JournalContent, RecoveredJournal } from './journal.ts';
import type { ElementOptions, HubRoute, RouteElements } from './route.ts';
import type { RoutePersistence } from './route-store.ts';
import { DurableFile, storeFailure } from './durable-file.ts';
import type { LoadedRoutes, RoutesFile, TableChange } from './routes-file.ts';
import type { WrittenRoute } from './routes-document.ts';

/** The file is written so long after the first change that it lacks, so that a burst is written once. */
const GATHER_MS = 250;
/** Whoever made a change of more routes than this is waiting for the workers, and the writing for a second. */
const MANY_ROUTES = 1000;
const GATHER_MANY_MS = 900;
/** A long journal of many routes is written anew with the first commit that comes so long after it became long. */
const COMPACT_PAUSE_MS = 1000;
/** Two writes of the file begin no closer than this, and not closer than four times as long as one takes. */
const PAUSE_MS = 700;
/** A file that is found behind at start is written so long after it. */
const START_PAUSE_MS = 1000;
/** A file that may be in the making is looked at again after this time. */
const SETTLE_MS = 150;
/** After a write has failed, the next attempt without a new change: first after, then twice as long, at most. */
const RETRY_MS = 1000;
const SHORT_JOURNAL_BYTES = 1024 * 1024;
const MAX_RETRY_MS = 30_000;
/** Reasons for which no journal can ever be made here. */
const NO_JOURNAL_REASONS = new Set(['EACCES', 'EPERM', 'EROFS']);

/** What it is made of. */
export interface RoutesOnDiskOptions {
  readonly file: RoutesFile;
  readonly fs: FileSystem;
  readonly log: Logger;
  /** False: whoever reads the file must find every acknowledged change in it. */
  readonly usesJournal: boolean;
  /** The process that others are told of when they want this file; default: this one. */
  readonly pid?: number;
  /** How long somebody else may have the file at start; default 10 s. */
  readonly patienceMs?: number;
  /** A journal shorter than this is left to grow; default 1 MiB. */
  readonly shortJournalBytes?: number;
}

/** See the head of this file. Commits must not overlap. */
export class RoutesOnDisk implements RoutePersistence {
  readonly #options: RoutesOnDiskOptions;
  readonly #file: RoutesFile;
  readonly #log: Logger;
  #lock: RoutesLock | undefined;
  #journal: Journal | undefined;
  #generation = 0;
  #lane: Promise<unknown> = Promise.resolve();
  /** The file does not say what memory says. */
  #isBehind = false;
  #failures = 0;
  /** When the journal was found to be long. */
  #longSince: number | undefined;
  #notBefore = -Infinity;
  #lastWriteAt = -Infinity;
  #lastWriteMs = 0;
  #writeTimer: NodeJS.Timeout | undefined;
  #lookTimer: NodeJS.Timeout | undefined;
  #onForeignChange: () => void = () => undefined;
  #isClosed = false;

  constructor(options: RoutesOnDiskOptions) {
    this.#options = options;
    this.#file = options.file;
    this.#log = options.log;
  }

  get generation(): number {
    return this.#generation;
  }

  get written(): Iterable<WrittenRoute> {
    return this.#file.routes;
  }

  get foreign(): DynamicConfiguration {
    return this.#file.foreign;
  }

  elementsOf(routespec: string): RouteElements | undefined {
    return this.#file.routes.get(routespec)?.elements;
  }

  reconfigure(elements: ElementOptions): boolean {
    if (!this.#file.reconfigure(elements)) return false;
    this.#isBehind = true;
    this.#lookIn(0);
    return true;
  }

  async load(): Promise<void> {
    // A folder that is not there is complained about when the file is made.
    const target = await this.#file.target().catch(() => this.#file.path);
    const { fs, log, pid = process.pid, patienceMs } = this.#options;
    this.#lock = await takeRoutesLock({
      path: target,
      fs,
      log,
      pid,
      ...(patienceMs === undefined ? {} : { patienceMs }),
    });
    const path = journalPath(target);
    const found = await readJournal(path, this.#options.fs);
    const recovered = found.kind === 'read' ? found.journal : undefined;
    if (found.kind === 'unusable') await this.#keepUnusable(path, found.text);
    if (recovered !== undefined && recovered.damagedLines > 0)
      this.#log.error(
        { file: path, lines: recovered.damagedLines },
        'lines of the journal of routes are damaged; the others are used',
      );
    const loaded = await this.#file.load(recovered);
    this.#generation = loaded.generation;
    this.#isBehind = loaded.needsWrite;
    if (this.#options.usesJournal) await this.#openJournal(path, recovered);
    if (loaded.needsWrite && (this.#journal === undefined || !loaded.exists)) await this.#writeFirst(loaded);
    if (!this.#options.usesJournal && found.kind !== 'none' && !this.#isBehind)
      // One that stays behind is older than the file from now on, by their generations.
      await this.#options.fs.remove(path).catch(() => undefined);
    // What is only behind can wait: nothing is lost with a journal, and the workers want their tables now.
    if (this.#isBehind) this.#lookIn(this.#journal === undefined || loaded.isDamaged ? 0 : START_PAUSE_MS);
    else if (this.#journal !== undefined) await this.#lookAtNote(recovered);
  }

  /** Makes sure that the next start need not read the file. */
  async #lookAtNote(recovered: RecoveredJournal | undefined): Promise<void> {
    const { identity } = this.#file;
    if (identity === undefined || recovered?.file?.identity === identity) return;
    await this.#note(identity, this.#generation);
  }

  async #writeFirst({ exists }: LoadedRoutes): Promise<void> {
    try {
      await this.#write();
    } catch (error) {
      if (!exists) throw error;
      this.#onWriteFailed(error);
    }
  }

  async #openJournal(path: string, recovered: RecoveredJournal | undefined): Promise<void> {
    const journal = new Journal(
      path,
      this.#options.fs,
      this.#options.shortJournalBytes ?? SHORT_JOURNAL_BYTES,
    );
    try {
      if (
        recovered !== undefined &&
        recovered.damagedLines === 0 &&
        recovered.generation === this.#generation
      )
        await journal.continue(recovered);
      else await journal.begin(this.#content(new Map()));
    } catch (error) {
      if (NO_JOURNAL_REASONS.has(errnoOf(error))) {
        this.#log.warn(
          { file: path, reason: errorText(error) },
          'no journal of routes can be kept here, so every change writes the routes file as a whole: give the user who runs this program write access to the folder',
        );
        return;
      }
      // In doubt: the next commit tries to begin it.
      this.#log.error({ file: path, reason: errorText(error) }, 'the journal of routes cannot be written');
    }
    this.#journal = journal;
  }

  async #keepUnusable(path: string, text: string): Promise<void> {
    const { fs } = this.#options;
    let kept: string;
    try {
      kept = await new DurableFile({ path, fs, log: this.#log }).keepBeside('.broken', text);
    } catch (error) {
      kept = `nowhere: ${errorText(error)}`;
    }
    this.#log.error({ file: path, kept }, 'the journal of routes is damaged; the routes file is used alone');
  }

  async commit(change: TableChange): Promise<void> {
    const generation = this.#generation + 1;
    const journal = this.#journal;
    if (journal === undefined) {
      await this.#inLane(() => this.#commitToFile(change, generation));
      return;
    }
    const set: HubRoute[] = [];
    const remove: string[] = [];
    for (const [routespec, route] of change)
      if (route === undefined) remove.push(routespec);
      else set.push(route);
    await journal.commit({ generation, set, remove }, () => ({ ...this.#content(change), generation }));
    this.#generation = generation;
    this.#file.amend(change);
    this.#isBehind = true;
    this.#schedule(change.size > MANY_ROUTES ? GATHER_MANY_MS : GATHER_MS);
    this.#compact(journal);
  }

  /** Between two commits, because what it writes is what has been committed. */
  #compact(journal: Journal): void {
    if (!journal.isLong) return;
    const now = performance.now();
    this.#longSince ??= now;
    if (this.#file.routes.size > MANY_ROUTES && now - this.#longSince < COMPACT_PAUSE_MS) return;
    this.#longSince = undefined;
    journal.compact(this.#content(new Map())).catch((error: unknown) => {
      this.#log.warn(
        { file: journal.path, reason: errorText(error) },
        'the journal of routes grows, because it cannot be written anew',
      );
    });
  }

  async #commitToFile(change: TableChange, generation: number): Promise<void> {
    await this.#look(true);
    const before = this.#file.amend(change);
    try {
      await this.#file.save(generation);
    } catch (error) {
      this.#file.amend(before);
      this.#isBehind = true;
      this.#retry();
      throw error;
    }
    this.#generation = generation;
    this.#isBehind = false;
    this.#onWritten();
  }

  /** All routes, with a change that is not in memory yet. */
  #content(change: TableChange): JournalContent {
    const { routes, foreignDocument } = this.#file;
    let count = routes.size;
    for (const [routespec, route] of change)
      count += (route === undefined ? 0 : 1) - (routes.get(routespec) === undefined ? 0 : 1);
    const { blocks } = routes;
    function* all(): Generator<HubRoute> {
      for (const block of blocks)
        for (const { route } of block.routes) if (!change.has(route.routespec)) yield route;
      for (const route of change.values()) if (route !== undefined) yield route;
    }
    return { generation: this.#generation, routes: all(), count, foreign: foreignDocument };
  }

  watch(onForeignChange: () => void): void {
    this.#onForeignChange = onForeignChange;
    this.#file.watch(() => {
      this.#lookIn(0);
    });
  }

  /** Looks at the file now and writes it when that is needed; rejects with ProxyError JTP_ERR_STORE_WRITE. */
  async settle(): Promise<void> {
    clearTimeout(this.#writeTimer);
    this.#writeTimer = undefined;
    await this.#inLane(async () => {
      await this.#look(true);
      if (this.#isBehind) await this.#write();
      await this.#lookAtJournal();
    });
  }

  /** Without a journal the file is all there is, and somebody may have damaged it since the last commit. */
  async assure(): Promise<void> {
    if (this.#journal === undefined) await this.settle();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#file.unwatch();
    clearTimeout(this.#writeTimer);
    clearTimeout(this.#lookTimer);
    await this.#lane;
    await this.#journal?.close();
    await this.#lock?.release();
    this.#lock = undefined;
  }

  #inLane<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#lane.then(work);
    this.#lane = done.catch(() => undefined);
    return done;
  }

  /** The file is behind: it is written after a while. */
  #schedule(gatherMs: number): void {
    if (this.#writeTimer !== undefined || this.#isClosed || this.#failures > 0) return;
    const pause = this.#lastWriteAt + Math.max(PAUSE_MS, 4 * this.#lastWriteMs) - performance.now();
    this.#writeTimer = setTimeout(
      () => {
        this.#writeTimer = undefined;
        this.#lookIn(0);
      },
      Math.max(gatherMs, pause),
    );
  }

  /** Looks at the file after some time, and writes it if need be. */
  #lookIn(ms: number): void {
    if (this.#isClosed) return;
    if (ms > 0) {
      clearTimeout(this.#lookTimer);
      this.#lookTimer = setTimeout(() => {
        this.#lookIn(0);
      }, ms).unref();
      return;
    }
    this.#inLane(async () => {
      if (this.#isClosed) return;
      await this.#look(false);
      // Somebody else's edit is undone at once; changes of our own wait for their time.
      if (this.#isBehind && this.#writeTimer === undefined && performance.now() >= this.#notBefore)
        await this.#write();
      await this.#lookAtJournal();
    }).catch((error: unknown) => {
      this.#onWriteFailed(error);
    });
  }

  async #look(isUrgent: boolean): Promise<void> {
    const inspection = await this.#file.inspect(isUrgent);
    if (inspection.kind === 'unsettled') this.#lookIn(SETTLE_MS);
    if (inspection.kind !== 'changed') return;
    if (inspection.needsWrite) {
      this.#isBehind = true;
      clearTimeout(this.#writeTimer);
      this.#writeTimer = undefined;
    }
    if (inspection.foreignChanged) this.#onForeignChange();
  }

  async #write(): Promise<void> {
    const generation = this.#generation;
    const startedAt = performance.now();
    this.#isBehind = false;
    let identity: string;
    try {
      identity = await this.#file.save(generation);
    } catch (error) {
      this.#isBehind = true;
      throw error;
    }
    this.#lastWriteAt = startedAt;
    this.#lastWriteMs = performance.now() - startedAt;
    this.#onWritten();
    await this.#note(identity, generation);
  }

  async #note(identity: string, generation: number): Promise<void> {
    const { foreignDocument: foreign, layout } = this.#file;
    // Without it the file is read at the next start, no more.
    await this.#journal?.note({ file: identity, generation, layout, foreign }).catch(() => undefined);
  }

  /** Somebody may have removed it. */
  async #lookAtJournal(): Promise<void> {
    const journal = this.#journal;
    if (journal === undefined || (await journal.isIntact())) return;
    try {
      await journal.begin(this.#content(new Map()));
    } catch (cause) {
      throw storeFailure('JTP_ERR_STORE_WRITE', `${journal.path} cannot be written`, cause);
    }
    this.#log.warn(
      { file: journal.path },
      'the journal of routes was removed or changed by somebody else and is restored',
    );
  }

  #onWritten(): void {
    if (this.#failures > 0) this.#log.info({ file: this.#file.path }, 'the routes file can be written again');
    this.#failures = 0;
    this.#notBefore = -Infinity;
  }

  #onWriteFailed(error: unknown): void {
    if (this.#failures === 0)
      this.#log.error(
        { reason: errorText(error) },
        'the routes file cannot be written; what it should say is tried again and again',
      );
    this.#retry();
  }

  #retry(): void {
    this.#failures++;
    const delay = Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** Math.min(this.#failures - 1, 10));
    this.#notBefore = performance.now() + delay;
    this.#lookIn(delay + 1);
  }
}
