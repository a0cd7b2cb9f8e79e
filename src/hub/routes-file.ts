// The routes file: reads it, writes it, and notices what somebody else does to it. The hub's routes in memory are right, whatever the file
// says; everything else in the file belongs to whoever wrote it. When it is written, and what else remembers routes, is decided in
// routes-on-disk.ts.

import { existsSync, watch } from 'node:fs';
import type { FSWatcher } from 'node:fs';
import type { DynamicConfiguration } from '../config/dynamic.ts';
import { EMPTY_DYNAMIC_CONFIGURATION } from '../config/dynamic.ts';
import { ConfigError, errorText, formatProblem, ProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { DurableFile } from './durable-file.ts';
import type { FileSystem } from './file-system.ts';
import type { ElementOptions, HubRoute } from './route.ts';
import type { RecoveredJournal } from './journal.ts';
import { RouteList } from './route-list.ts';
import {
  formatOf,
  generationOf,
  parseDocument,
  prune,
  renderDocument,
  renderRoutes,
  withoutOurs,
  writeForeign,
  writeRoute,
} from './routes-document.ts';
import type { ForeignText, Format, ParsedDocument, RoutesText, WrittenRoute } from './routes-document.ts';
import { deepMerge, isSame, newTree } from './values.ts';
import type { Tree } from './values.ts';

/** Also looked at this often, for file systems that report no changes. */
const POLL_MS = 2000;
/** Several events of one change are taken as one. */
const GATHER_MS = 30;
/** Whoever removes the file may be about to remove its folder, or to put another one there. */
const REMOVED_MS = 1000;
/** So many routes are made into text before others get their turn. */
const ROUTES_PER_TURN = 256;

/** What a routes file is made of. */
export interface RoutesFileOptions {
  /** Absolute; the ending decides between TOML and YAML. */
  readonly path: string;
  readonly elements: ElementOptions;
  /** What stands in the file beside the routes because of the settings, given what is there; it wins. Asked once, at start. */
  readonly setup: (present: Tree) => Promise<Tree>;
  /** Reads what is not the hub's, for an engine that is ours; throws ConfigError. Absent: whatever it says is somebody else's. */
  readonly readForeign?: (text: string, file: string) => DynamicConfiguration;
  readonly fs: FileSystem;
  readonly log: Logger;
}

/** The file at start. */
export interface LoadedRoutes {
  readonly generation: number;
  /** The file does not say what it should; `exists` tells whether there is one. */
  readonly needsWrite: boolean;
  /** That is somebody else's doing. */
  readonly isDamaged: boolean;
  readonly exists: boolean;
}

/** What became of the file since the last look. `unsettled`: it may be in the making, look again soon. */
export type Inspection =
  | { readonly kind: 'unchanged' }
  | { readonly kind: 'unsettled' }
  | { readonly kind: 'changed'; readonly needsWrite: boolean; readonly foreignChanged: boolean };

/** The routes that a change sets and removes, by routespec. */
export type TableChange = ReadonlyMap<string, HubRoute | undefined>;

/** See the head of this file. Calls must not overlap. */
export class RoutesFile {
  readonly #options: RoutesFileOptions;
  readonly #file: DurableFile;
  readonly #format: Format;
  #elements: ElementOptions;
  #routes = new RouteList<RoutesText>();
  #setup: Tree = newTree();
  #foreign: Tree = newTree();
  #foreignText: ForeignText;
  #foreignConfiguration: DynamicConfiguration = EMPTY_DYNAMIC_CONFIGURATION;
  /** The state of the file that is known to be right. */
  #identity: string | undefined;
  #content: readonly Buffer[] | undefined;
  /** A state that looked wrong once. */
  #suspect: string | undefined;
  #watcher: FSWatcher | undefined;
  #onEvent: (() => void) | undefined;
  #timers: NodeJS.Timeout[] = [];

  constructor(options: RoutesFileOptions) {
    this.#options = options;
    this.#format = formatOf(options.path);
    this.#elements = options.elements;
    this.#file = new DurableFile({ path: options.path, fs: options.fs, log: options.log });
    this.#foreignText = writeForeign(this.#format, this.#foreign);
  }

  get path(): string {
    return this.#options.path;
  }

  /** Routers, services, middlewares and certificates that are not routes, as an engine of ours takes them. */
  get foreign(): DynamicConfiguration {
    return this.#foreignConfiguration;
  }

  /** Of the state of the file that is known to be right. */
  get identity(): string | undefined {
    return this.#identity;
  }

  /** What is not routes, as a file of its own. */
  get foreignDocument(): string {
    return this.#textOf(this.#foreign);
  }

  /** How routes become routers, in one word. */
  get layout(): string {
    return JSON.stringify(this.#elements);
  }

  /** Where the file is, or will be, when links are followed. */
  target(): Promise<string> {
    return this.#file.target();
  }

  #written(route: HubRoute): WrittenRoute {
    return writeRoute(route, this.#elements);
  }

  /** Routes become routers in another way from now on; false when no router changes by that. */
  reconfigure(elements: ElementOptions): boolean {
    this.#elements = elements;
    const before = this.#routes;
    const after = [...before].map(({ route }) => this.#written(route));
    this.#routes = new RouteList(after);
    return after.some(({ route, elements }) => !isSame(elements, before.get(route.routespec)?.elements));
  }

  /** All routes as the file has them, in their order. */
  get routes(): RouteList<RoutesText> {
    return this.#routes;
  }

  /**
   * Reads the file, or believes the journal when the file is as we left it. One that cannot be used is kept beside; rejects when it cannot
   * be read, or the settings' own part is wrong.
   */
  async load(journal?: RecoveredJournal): Promise<LoadedRoutes> {
    await this.#file.removeLeftovers().catch(() => undefined);
    const identity = await this.#file.identity();
    const isOurs = journal?.file !== undefined && journal.file.identity === identity;
    const content = isOurs || identity === undefined ? undefined : await this.#file.read();
    const text = content?.text ?? '';
    const remembered = journal === undefined ? undefined : this.#parseForeign(journal.foreign);
    const isLost = journal !== undefined && (isOurs || text.trim() === '');
    const parsed = isLost
      ? { routes: [], damaged: new Set<string>(), foreign: remembered ?? newTree(), complaints: [] }
      : this.#parse(text);
    const present = parsed instanceof ConfigError ? (remembered ?? newTree()) : parsed.foreign;
    this.#setup = await this.#options.setup(present);
    this.#takeSetup();
    if (parsed instanceof ConfigError) {
      await this.#keepBroken(text, parsed);
      this.#takeForeign(present);
      this.#takeRoutes(journal?.routes.values() ?? []);
      return { generation: journal?.generation ?? 0, needsWrite: true, isDamaged: true, exists: true };
    }
    this.#identity = identity;
    this.#content = content === undefined ? undefined : [Buffer.from(text)];
    const mistake = this.#takeForeign(present);
    if (mistake !== undefined) await this.#keepBroken(text, mistake);
    for (const complaint of parsed.complaints)
      this.#options.log.warn({ file: this.path }, `not a route, left alone: ${complaint}`);
    const fileGeneration = isOurs ? journal.file.generation : generationOf(text);
    const isBehind = journal !== undefined && fileGeneration <= journal.generation;
    this.#takeRoutes(isBehind ? journal.routes.values() : parsed.routes);
    const damage = isOurs || !isBehind ? parsed.damaged.size : this.#damage(parsed);
    if (isBehind && !isOurs)
      this.#sayWhatWasDone(identity, text, fileGeneration === journal.generation ? damage : 0);
    const isDamaged = identity === undefined || mistake !== undefined || damage > 0;
    const needsWrite =
      isDamaged ||
      (isBehind && fileGeneration < journal.generation) ||
      (isOurs && journal.file.layout !== this.layout) ||
      !isSame(this.#foreign, present);
    const generation = Math.max(fileGeneration, journal?.generation ?? 0);
    return { generation, needsWrite, isDamaged, exists: identity !== undefined };
  }

  /** A file that is not as we left it, although the journal knows how we did. */
  #sayWhatWasDone(identity: string | undefined, text: string, damage: number): void {
    const what = identity === undefined ? 'removed' : text.trim() === '' ? 'emptied' : undefined;
    if (what === undefined && damage === 0) return;
    this.#options.log.warn(
      { file: this.path, routes: damage },
      what === undefined
        ? 'the routes file was changed by somebody else: the routes of the hub are restored, other changes are kept'
        : `the routes file was ${what} by somebody else and is restored`,
    );
  }

  #takeRoutes(routes: Iterable<HubRoute>): void {
    const written: WrittenRoute[] = [];
    for (const route of routes) written.push(this.#written(route));
    this.#routes = new RouteList(written);
    this.#dropClashes(this.#routes);
  }

  /** Changes the routes in memory; `save` brings them into the file. Returns what takes the change back. */
  amend(change: TableChange): TableChange {
    const before = new Map<string, HubRoute | undefined>();
    const added: WrittenRoute[] = [];
    for (const [routespec, route] of change) {
      before.set(routespec, this.#routes.get(routespec)?.route);
      if (route === undefined) {
        this.#routes.delete(routespec);
        continue;
      }
      const written = this.#written(route);
      this.#routes.set(written);
      added.push(written);
    }
    this.#dropClashes(added);
    return before;
  }

  /** Writes all there is; resolves with what tells this state of the file from others. Rejects with ProxyError JTP_ERR_STORE_WRITE. */
  async save(generation: number): Promise<string> {
    const { blocks } = this.#routes;
    const foreign = this.#foreignText;
    let count = 0;
    const texts: RoutesText[] = [];
    for (const block of blocks) {
      if (block.cache === undefined) {
        block.cache = renderRoutes(this.#format, block.routes);
        count += block.routes.length;
        if (count >= ROUTES_PER_TURN) {
          count = 0;
          await new Promise(setImmediate);
        }
      }
      texts.push(block.cache);
    }
    const content = renderDocument(this.#format, foreign, texts, generation);
    this.#identity = await this.#file.replace(content);
    this.#content = content;
    this.#suspect = undefined;
    this.#watchFile();
    return this.#identity;
  }

  /** Looks whether somebody else has changed the file; `isUrgent`: do not wait for a file that may be in the making. */
  async inspect(isUrgent: boolean): Promise<Inspection> {
    const identity = await this.#file.identity();
    if (identity !== undefined && identity === this.#identity) return { kind: 'unchanged' };
    const content = await this.#file.read();
    if (content !== undefined && isSameContent(content.text, this.#content)) {
      this.#identity = content.identity;
      this.#watchFile();
      return { kind: 'unchanged' };
    }
    const parsed =
      content === undefined || content.text.trim() === '' ? undefined : this.#parse(content.text);
    if (!isUrgent && (parsed === undefined || parsed instanceof ConfigError)) {
      const state = content?.identity ?? 'gone';
      if (this.#suspect !== state) {
        this.#suspect = state;
        return { kind: 'unsettled' };
      }
    }
    this.#suspect = undefined;
    if (content === undefined || parsed === undefined) {
      const what = content === undefined ? 'removed' : 'emptied';
      this.#options.log.warn(
        { file: this.path },
        `the routes file was ${what} by somebody else and is restored`,
      );
      return { kind: 'changed', needsWrite: true, foreignChanged: false };
    }
    if (parsed instanceof ConfigError) {
      await this.#keepBroken(content.text, parsed);
      return { kind: 'changed', needsWrite: true, foreignChanged: false };
    }
    return this.#takeChanges(content, parsed);
  }

  async #takeChanges(
    content: { readonly text: string; readonly identity: string },
    parsed: ParsedDocument,
  ): Promise<Inspection> {
    const before = this.#foreign;
    const mistake = this.#takeForeign(parsed.foreign);
    if (mistake !== undefined) {
      await this.#keepBroken(content.text, mistake);
      return { kind: 'changed', needsWrite: true, foreignChanged: false };
    }
    this.#dropClashes(this.#routes);
    const foreignChanged = !isSame(before, this.#foreign);
    const damage = this.#damage(parsed);
    const needsWrite = damage > 0 || !isSame(this.#foreign, parsed.foreign);
    this.#identity = content.identity;
    this.#watchFile();
    this.#content = [Buffer.from(content.text)];
    if (needsWrite)
      this.#options.log.warn(
        { file: this.path, routes: damage },
        'the routes file was changed by somebody else: the routes of the hub are restored, other changes are kept',
      );
    else
      this.#options.log.info(
        { file: this.path },
        'somebody else changed the routes file; the changes are kept',
      );
    return { kind: 'changed', needsWrite, foreignChanged };
  }

  /** How many routes the file has wrong, lacks or has too many. */
  #damage(parsed: ParsedDocument): number {
    const found = new Map(parsed.routes.map((route) => [route.routespec, route]));
    let count = parsed.complaints.length;
    for (const { route, elements } of this.#routes) {
      const other = found.get(route.routespec);
      found.delete(route.routespec);
      if (other === undefined || parsed.damaged.has(elements.routerName) || !isSame(other, route)) count++;
    }
    return count + found.size;
  }

  #parse(text: string): ParsedDocument | ConfigError {
    try {
      return parseDocument(text, this.path, this.#elements);
    } catch (error) {
      if (error instanceof ConfigError) return error;
      throw error;
    }
  }

  /** Merges the settings' part into what is foreign and takes it; what is wrong with it otherwise, and then it is not taken. */
  #takeForeign(found: Tree): ConfigError | undefined {
    const foreign = prune(deepMerge(found, this.#setup));
    try {
      this.#foreignConfiguration = this.#read(foreign);
    } catch (error) {
      if (error instanceof ConfigError) return error;
      throw error;
    }
    this.#foreign = foreign;
    this.#foreignText = writeForeign(this.#format, foreign);
    return undefined;
  }

  #read(foreign: Tree): DynamicConfiguration {
    const { readForeign } = this.#options;
    return readForeign === undefined
      ? EMPTY_DYNAMIC_CONFIGURATION
      : readForeign(this.#textOf(foreign), this.path);
  }

  /** The settings' own part has to be right by itself. */
  #takeSetup(): void {
    const mistake = this.#takeForeign(newTree());
    if (mistake === undefined) return;
    const problems = mistake.problems.map(({ key, message }) =>
      formatProblem({ file: 'extraDynamicConfig', message, ...(key === undefined ? {} : { key }) }),
    );
    throw new ProxyError('JTP_ERR_SETTINGS_INVALID', { message: problems.join('\n'), cause: mistake });
  }

  #textOf(foreign: Tree): string {
    return Buffer.concat(renderDocument(this.#format, writeForeign(this.#format, foreign), [], 0)).toString();
  }

  /** What the journal remembers; it was valid once. */
  #parseForeign(text: string): Tree {
    const parsed = this.#parse(text);
    return parsed instanceof ConfigError ? newTree() : parsed.foreign;
  }

  /** What is foreign and has the name of one of these routes' elements goes. */
  #dropClashes(routes: Iterable<WrittenRoute>): void {
    const foreign = withoutOurs(this.#foreign, routes);
    if (foreign === this.#foreign) return;
    this.#foreign = foreign;
    this.#foreignText = writeForeign(this.#format, foreign);
  }

  async #keepBroken(text: string, error: ConfigError): Promise<void> {
    let kept: string;
    try {
      kept = await this.#file.keepBeside('.broken', text);
    } catch (failure) {
      kept = `nowhere: ${errorText(failure)}`;
    }
    for (const line of error.message.split('\n'))
      this.#options.log.error({ kept }, `the routes file cannot be used as it is and is restored: ${line}`);
  }

  /** Calls back, gathered, when the file may have changed. */
  watch(onChange: () => void): void {
    let gathering: NodeJS.Timeout | undefined;
    this.#onEvent = () => {
      gathering ??= setTimeout(
        () => {
          gathering = undefined;
          onChange();
        },
        existsSync(this.path) ? GATHER_MS : REMOVED_MS,
      ).unref();
    };
    this.#watchFile();
    this.#timers.push(setInterval(onChange, POLL_MS).unref());
  }

  /** The file itself, not its folder: in that, each change of a route would be an event. To be begun again with each new file. */
  #watchFile(): void {
    const onEvent = this.#onEvent;
    if (onEvent === undefined) return;
    this.#watcher?.close();
    this.#watcher = undefined;
    try {
      this.#watcher = watch(this.path, onEvent);
      this.#watcher.on('error', onEvent);
    } catch {
      // It is gone, or nothing can be watched: it is looked at every now and then in any case.
    }
  }

  unwatch(): void {
    this.#onEvent = undefined;
    this.#watcher?.close();
    for (const timer of this.#timers) clearInterval(timer);
    this.#timers = [];
  }
}

function isSameContent(text: string, pieces: readonly Buffer[] | undefined): boolean {
  if (pieces === undefined) return false;
  const data = Buffer.from(text);
  let at = 0;
  for (const piece of pieces) {
    if (!data.subarray(at, at + piece.length).equals(piece)) return false;
    at += piece.length;
  }
  return at === data.length;
}
