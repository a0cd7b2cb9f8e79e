// The real file system with a plan of misfortunes: an operation that fails, or after which the machine is dead.

import { NODE_FILE_SYSTEM } from '../../src/hub/file-system.ts';
import type { FileSystem, WritableFile } from '../../src/hub/file-system.ts';

/** A system error as Node makes them. */
export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: injected, somewhere`), { code });
}

/** What happens at an operation: its own failure, or the end of the machine before it, or in the middle of it. */
export type Misfortune =
  | { readonly kind: 'fail'; readonly code: string }
  | { readonly kind: 'crash-before' }
  | { readonly kind: 'crash-within' };

/** Operations are counted over everything that changes the disk. */
export class FaultyFileSystem implements FileSystem {
  readonly operations: string[] = [];
  readonly #locks = new Set<() => Promise<void>>();
  #isDead = false;
  /** Asked before each operation. */
  plan: (operation: string, index: number) => Misfortune | undefined = () => undefined;

  get isDead(): boolean {
    return this.#isDead;
  }

  set isDead(isDead: boolean) {
    this.#isDead = isDead;
    // Whoever dies has no locks.
    if (isDead) for (const release of this.#locks) void release();
  }

  readonly resolve = (path: string): Promise<string> => this.#alive(() => NODE_FILE_SYSTEM.resolve(path));
  readonly read = (path: string): Promise<string> => this.#alive(() => NODE_FILE_SYSTEM.read(path));
  readonly list = (folder: string): Promise<readonly string[]> =>
    this.#alive(() => NODE_FILE_SYSTEM.list(folder));
  readonly state: FileSystem['state'] = (path) => this.#alive(() => NODE_FILE_SYSTEM.state(path));
  readonly create = (path: string): Promise<WritableFile> =>
    this.#step('create', async () => this.#file(await NODE_FILE_SYSTEM.create(path)));
  readonly open = (path: string): Promise<WritableFile> =>
    this.#step('open', async () => this.#file(await NODE_FILE_SYSTEM.open(path)));
  readonly openLog = (path: string): Promise<WritableFile> =>
    this.#step('openLog', async () => this.#file(await NODE_FILE_SYSTEM.openLog(path)));
  /** Not counted: nothing of it is on the disk. */
  readonly openLock: FileSystem['openLock'] = (path, how) =>
    this.#alive(async () => {
      const file = await NODE_FILE_SYSTEM.openLock(path, how);
      let closed: Promise<void> | undefined;
      const close = (): Promise<void> => (closed ??= file.close());
      this.#locks.add(close);
      return { ...file, close };
    });
  readonly rename = (from: string, to: string): Promise<void> =>
    this.#step('rename', () => NODE_FILE_SYSTEM.rename(from, to));
  readonly remove = (path: string): Promise<void> =>
    this.#step('remove', () => NODE_FILE_SYSTEM.remove(path));
  readonly syncFolder = (folder: string): Promise<void> =>
    this.#step('syncFolder', () => NODE_FILE_SYSTEM.syncFolder(folder));

  #alive<T>(work: () => Promise<T>): Promise<T> {
    return this.isDead ? Promise.reject(systemError('EDEAD')) : work();
  }

  async #step<T>(operation: string, work: () => Promise<T>, half?: () => Promise<void>): Promise<T> {
    if (this.isDead) throw systemError('EDEAD');
    const misfortune = this.plan(operation, this.operations.length);
    this.operations.push(operation);
    if (misfortune === undefined) return work();
    if (misfortune.kind === 'fail') throw systemError(misfortune.code);
    if (misfortune.kind === 'crash-within') await (half ?? work)();
    this.isDead = true;
    throw systemError('EDEAD');
  }

  #file(file: WritableFile): WritableFile {
    return {
      write: (data, position) =>
        this.#step(
          'write',
          () => file.write(data, position),
          () => file.write(data.subarray(0, data.length / 2), position),
        ),
      truncate: (length) => this.#step('truncate', () => file.truncate(length)),
      setMode: (mode) => this.#step('setMode', () => file.setMode(mode)),
      setOwner: (uid, gid) => this.#step('setOwner', () => file.setOwner(uid, gid)),
      sync: () => this.#step('sync', () => file.sync()),
      state: () => file.state(),
      vitals: () => file.vitals(),
      // A dead machine closes everything.
      close: () => file.close(),
    };
  }
}
