// The hub's own memory of its routes on disk, beside the routes file: all of them, then every change since. docs/route-store.md has the
// format, the states and the rules. A line that says something wrong about itself (its CRC-32) is not believed.

import { randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { errnoOf, ProxyError } from '../errors.ts';
import { storeFailure, temporaryPrefix } from './durable-file.ts';
import type { FileSystem, WritableFile } from './file-system.ts';
import type { HubRoute } from './route.ts';
import { isTree } from './values.ts';
import type { Tree } from './values.ts';

const FORMAT = 1;
/** Routes per line of a fresh journal: some milliseconds of work, between which others get their turn. */
const ROUTES_PER_LINE = 250;
/** Everything there is to remember, at one generation. */
export interface JournalContent {
  readonly generation: number;
  readonly routes: Iterable<HubRoute>;
  readonly count: number;
  /** The routes file without the routes. */
  readonly foreign: string;
}

/** One commit. */
export interface JournalCommit {
  readonly generation: number;
  readonly set: readonly HubRoute[];
  readonly remove: readonly string[];
}

/** What was read back. */
export interface RecoveredJournal {
  readonly generation: number;
  readonly routes: ReadonlyMap<string, HubRoute>;
  readonly foreign: string;
  /** The routes file as we left it. */
  readonly file:
    { readonly identity: string; readonly generation: number; readonly layout: string } | undefined;
  /** Lines that were there and are not to be used, but for a torn last one. */
  readonly damagedLines: number;
  /** Something follows the whole lines. */
  readonly isTorn: boolean;
  /** How much of it is whole lines, and how much of that is its beginning. */
  readonly length: number;
  readonly startLength: number;
}

/** The path of the journal of a routes file. */
export function journalPath(routesFile: string): string {
  return `${routesFile}.journal`;
}

/** An open journal. Commits must not overlap; notes and a compaction may go on beside them. */
export class Journal {
  readonly path: string;
  readonly #fs: FileSystem;
  readonly #shortBytes: number;
  /** Undefined: in doubt, the next append writes it anew. */
  #file: WritableFile | undefined;
  #length = 0;
  #startLength = 0;
  #lane: Promise<unknown> = Promise.resolve();
  /** Lines that a compaction under way has to add. */
  #tail: string[] | undefined;
  #isClosed = false;

  /** A journal shorter than `shortBytes` is never written anew for its length. */
  constructor(path: string, fs: FileSystem, shortBytes: number) {
    this.path = path;
    this.#fs = fs;
    this.#shortBytes = shortBytes;
  }

  /** Goes on with one that was read back. Rejects with a system error; then it is in doubt. */
  async continue(recovered: RecoveredJournal): Promise<void> {
    const file = await this.#fs.openLog(this.path);
    try {
      if (recovered.isTorn) {
        await file.truncate(recovered.length);
        await file.sync();
      }
    } catch (error) {
      await file.close();
      throw error;
    }
    this.#file = file;
    this.#length = recovered.length;
    this.#startLength = recovered.startLength;
  }

  /** Writes it anew; rejects with a system error, and then what was there is there still. */
  async begin(content: JournalContent): Promise<void> {
    await this.#exclusively(() => this.#begin(content));
  }

  /** Much longer than a fresh one would be. */
  get isLong(): boolean {
    return this.#tail === undefined && this.#length > Math.max(this.#shortBytes, 2 * this.#startLength);
  }

  /**
   * Makes a commit durable; rejects with ProxyError JTP_ERR_STORE_WRITE, and then it is not in the journal. `after` gives what there is
   * with this commit, for a journal that has to be written anew.
   */
  async commit(commit: JournalCommit, after: () => JournalContent): Promise<void> {
    try {
      await this.#exclusively(() => this.#append(toLine(commit), after));
    } catch (cause) {
      throw storeFailure('JTP_ERR_STORE_WRITE', `${this.path} cannot be written`, cause);
    }
  }

  /** Remembers how the routes file was left. That may fail: the file is read at the next start, then. */
  async note(note: {
    readonly file: string;
    readonly generation: number;
    /** How routes became routers in it. */
    readonly layout: string;
    readonly foreign: string;
  }): Promise<void> {
    await this.#exclusively(async () => {
      if (this.#file !== undefined) await this.#append(toLine(note), undefined);
    });
  }

  /** Whether somebody has removed, replaced or changed it; it is in doubt from then on. */
  async isIntact(): Promise<boolean> {
    return this.#exclusively(async () => {
      if (this.#file !== undefined && !this.#isAsExpected()) await this.#doubt();
      return this.#file !== undefined;
    });
  }

  /**
   * Writes it anew beside, while it goes on being appended to, and puts that in its place. What `content` has must be what has been
   * committed at the moment of the call. Rejects with a system error; the old one goes on.
   */
  async compact(content: JournalContent): Promise<void> {
    const tail: string[] = [];
    this.#tail = tail;
    try {
      const fresh = await this.#writeFresh(content);
      await this.#exclusively(async () => {
        // Written anew for another reason in the meantime, or closed.
        if (this.#tail !== tail || this.#isClosed) await fresh.abandon();
        else await this.#takeOver(fresh, tail);
      });
    } finally {
      if (this.#tail === tail) this.#tail = undefined;
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#exclusively(() => this.#doubt());
  }

  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#lane.then(work);
    this.#lane = done.catch(() => undefined);
    return done;
  }

  async #append(line: string, after: (() => JournalContent) | undefined): Promise<void> {
    const file = this.#file;
    if (file !== undefined) {
      const data = Buffer.from(line);
      try {
        await file.write(data, this.#length);
      } catch (error) {
        await this.#cutOff(file);
        throw error;
      }
      this.#length += data.length;
      this.#tail?.push(line);
      if (this.#isAsExpected()) return;
      await this.#doubt();
    }
    if (after !== undefined) await this.#begin(after());
  }

  /** Not what we wrote to: a name that leads elsewhere, bytes that are not ours. */
  #isAsExpected(): boolean {
    const vitals = this.#file?.vitals();
    return vitals?.size === this.#length && vitals.links > 0;
  }

  /** Takes half a line away. */
  async #cutOff(file: WritableFile): Promise<void> {
    try {
      await file.truncate(this.#length);
      await file.sync();
    } catch {
      await this.#doubt();
    }
  }

  async #doubt(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    this.#tail = undefined;
    // Nothing is kept back that closing could lose.
    await file?.close().catch(() => undefined);
  }

  async #begin(content: JournalContent): Promise<void> {
    if (this.#isClosed) throw new ProxyError('JTP_ERR_STORE_WRITE', { message: 'the store is closed' });
    this.#tail = undefined;
    await this.#takeOver(await this.#writeFresh(content), []);
  }

  async #writeFresh(content: JournalContent): Promise<Fresh> {
    const path = join(
      dirname(this.path),
      `${temporaryPrefix(this.path.replace(/\.journal$/, ''))}${randomBytes(6).toString('hex')}`,
    );
    const fresh = new Fresh(path, await this.#fs.create(path), this.#fs);
    try {
      for (const line of linesOf(content)) {
        await fresh.add(line);
        await new Promise(setImmediate);
      }
      return fresh;
    } catch (error) {
      await fresh.abandon();
      throw error;
    }
  }

  async #takeOver(fresh: Fresh, tail: readonly string[]): Promise<void> {
    let file: WritableFile | undefined;
    const startLength = fresh.length;
    try {
      if (tail.length > 0) await fresh.add(tail.join(''));
      await fresh.finish();
      file = await this.#fs.openLog(fresh.path);
      await this.#fs.rename(fresh.path, this.path);
    } catch (error) {
      await file?.close();
      await fresh.abandon();
      throw error;
    }
    await this.#doubt();
    this.#file = file;
    this.#length = fresh.length;
    this.#startLength = startLength;
    try {
      await this.#fs.syncFolder(dirname(this.path));
    } catch (error) {
      // After a crash the old one may be there again.
      await this.#doubt();
      throw error;
    }
  }
}

/** A journal that is not there yet. */
class Fresh {
  readonly path: string;
  length = 0;
  readonly #file: WritableFile;
  readonly #fs: FileSystem;

  constructor(path: string, file: WritableFile, fs: FileSystem) {
    this.path = path;
    this.#file = file;
    this.#fs = fs;
  }

  async add(text: string): Promise<void> {
    const data = Buffer.from(text);
    await this.#file.write(data, this.length);
    this.length += data.length;
  }

  async finish(): Promise<void> {
    await this.#file.sync();
    await this.#file.close();
  }

  async abandon(): Promise<void> {
    // It has no name that anybody knows.
    await this.#file.close().catch(() => undefined);
    await this.#fs.remove(this.path).catch(() => undefined);
  }
}

function toLine(document: object): string {
  const text = JSON.stringify(document);
  return `${crc32(text).toString(16).padStart(8, '0')} ${text}\n`;
}

function* linesOf({ generation, routes, count, foreign }: JournalContent): Generator<string> {
  yield toLine({ journal: FORMAT, generation, routes: count, foreign });
  let some: HubRoute[] = [];
  for (const route of routes) {
    some.push(route);
    if (some.length < ROUTES_PER_LINE) continue;
    yield toLine({ routes: some });
    some = [];
  }
  if (some.length > 0) yield toLine({ routes: some });
}

/**
 * Reads a journal back. `none`: there is none. `unusable`: its beginning is damaged, so that nothing can be said. Rejects with ProxyError
 * JTP_ERR_STORE_READ.
 */
export async function readJournal(
  path: string,
  fs: FileSystem,
): Promise<
  | { readonly kind: 'none' }
  | { readonly kind: 'unusable'; readonly text: string }
  | { readonly kind: 'read'; readonly journal: RecoveredJournal }
> {
  let text: string;
  try {
    text = await fs.read(path);
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return { kind: 'none' };
    throw storeFailure('JTP_ERR_STORE_READ', `${path} cannot be read`, cause);
  }
  const journal = new Reader(text).read();
  return journal === undefined ? { kind: 'unusable', text } : { kind: 'read', journal };
}

/** Goes through the lines of a journal once. */
class Reader {
  readonly #text: string;
  readonly #routes = new Map<string, HubRoute>();
  #at = 0;
  #generation = 0;
  #foreign = '';
  #file: RecoveredJournal['file'];
  #damagedLines = 0;

  constructor(text: string) {
    this.#text = text;
  }

  read(): RecoveredJournal | undefined {
    const head = this.#next();
    if (head?.['journal'] !== FORMAT) return undefined;
    const { generation, routes: count, foreign } = head;
    if (typeof generation !== 'number' || typeof foreign !== 'string') return undefined;
    this.#generation = generation;
    this.#foreign = foreign;
    while (this.#routes.size < Number(count)) {
      const line = this.#next();
      if (line === undefined || !this.#takeRoutes(line['routes'])) return undefined;
    }
    const startLength = this.#at;
    // Of damage at the very end nothing is said: a line was being written when the machine died.
    let damaged = 0;
    let end = this.#at;
    while (this.#at < this.#text.length) {
      const line = this.#next();
      if (line === undefined || !this.#take(line)) {
        damaged++;
        continue;
      }
      this.#damagedLines += damaged;
      damaged = 0;
      end = this.#at;
    }
    return {
      generation: this.#generation,
      routes: this.#routes,
      foreign: this.#foreign,
      file: this.#file,
      damagedLines: this.#damagedLines,
      isTorn: end < this.#text.length,
      length: Buffer.byteLength(this.#text.slice(0, end)),
      startLength: Buffer.byteLength(this.#text.slice(0, startLength)),
    };
  }

  /** The next line; undefined when it is damaged. */
  #next(): Tree | undefined {
    const start = this.#at;
    const end = this.#text.indexOf('\n', start);
    this.#at = end < 0 ? this.#text.length : end + 1;
    if (end < start + 10) return undefined;
    const json = this.#text.slice(start + 9, end);
    if (Number.parseInt(this.#text.slice(start, start + 8), 16) !== crc32(json)) return undefined;
    const document: unknown = JSON.parse(json);
    return isTree(document) ? document : undefined;
  }

  #take(line: Tree): boolean {
    const { generation, set, remove, file, layout, foreign } = line;
    if (typeof generation !== 'number') return false;
    if (typeof file === 'string') {
      this.#file = { identity: file, generation, layout: String(layout) };
      if (typeof foreign === 'string') this.#foreign = foreign;
      return true;
    }
    if (!Array.isArray(remove)) return false;
    for (const routespec of remove) this.#routes.delete(String(routespec));
    if (!this.#takeRoutes(set)) return false;
    this.#generation = generation;
    return true;
  }

  #takeRoutes(routes: unknown): boolean {
    if (!Array.isArray(routes)) return false;
    // What has the right CRC was written by `toLine`, from routes.
    for (const route of routes as HubRoute[]) this.#routes.set(route.routespec, route);
    return true;
  }
}
