// One file, replaced as a whole so that nobody ever reads half of it: temporary file beside it, fsync, rename, fsync of the folder. A
// new file is 0600; an existing one keeps mode, owner, group and the link that leads to it. Where that cannot be done it is written in
// place, with one warning.

import { randomBytes } from 'node:crypto';
import { basename, dirname, join } from 'node:path';
import { errnoOf, errorText, ProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { FileState, FileSystem, WritableFile } from './file-system.ts';

/** Why a file may have to be written in place: bind mounts, folders that cannot be written to, owners that cannot be given back. */
const IN_PLACE_REASONS = new Set(['EBUSY', 'EXDEV', 'EROFS', 'EACCES', 'EPERM']);

const PIECE_BYTES = 512 * 1024;

const ADVICE = new Map([
  ['ENOSPC', 'the disk is full: free some space'],
  ['EDQUOT', 'the disk quota is used up: free some space'],
  ['EACCES', 'give the user who runs this program write access to the file and its folder'],
  ['EPERM', 'give the user who runs this program write access to the file and its folder'],
  ['EROFS', 'the file system is mounted read-only: name a file elsewhere'],
  ['ENOENT', 'its folder does not exist: create it, or name a file elsewhere'],
  ['ENOTDIR', 'part of its path is not a folder: name a file elsewhere'],
  ['EISDIR', 'it is a folder: name a file'],
  ['EMFILE', 'too many files are open: raise the limit (ulimit -n)'],
]);

/** A file's content with what tells this state from later ones. */
export interface FileContent {
  readonly text: string;
  readonly identity: string;
}

/** Reads and replaces one file. */
export class DurableFile {
  readonly path: string;
  readonly #fs: FileSystem;
  readonly #log: Logger;
  #hasWarned = false;

  constructor(options: { readonly path: string; readonly fs: FileSystem; readonly log: Logger }) {
    this.path = options.path;
    this.#fs = options.fs;
    this.#log = options.log;
  }

  /** Undefined when there is no such file; rejects with ProxyError JTP_ERR_STORE_READ. */
  async read(): Promise<FileContent | undefined> {
    try {
      // The state first: a change in between is then noticed by the next look.
      const { identity } = await this.#fs.state(this.path);
      return { identity, text: await this.#fs.read(this.path) };
    } catch (cause) {
      if (errnoOf(cause) === 'ENOENT') return undefined;
      throw this.#failure('JTP_ERR_STORE_READ', 'read', cause);
    }
  }

  /** The identity of the present state; undefined when there is no such file. */
  async identity(): Promise<string | undefined> {
    try {
      return (await this.#fs.state(this.path)).identity;
    } catch (cause) {
      if (errnoOf(cause) === 'ENOENT') return undefined;
      throw this.#failure('JTP_ERR_STORE_READ', 'read', cause);
    }
  }

  /**
   * Replaces the content, given in pieces; resolves with the identity of the new state. Rejects with ProxyError JTP_ERR_STORE_WRITE,
   * content unchanged.
   */
  async replace(content: string | readonly Buffer[]): Promise<string> {
    const data = typeof content === 'string' ? [Buffer.from(content, 'utf8')] : gathered(content);
    try {
      const target = await this.target();
      const before = await this.#stateOf(target);
      try {
        return await this.#replaceAtomically(target, data, before);
      } catch (error) {
        if (before === undefined || !IN_PLACE_REASONS.has(errnoOf(error))) throw error;
        const identity = await this.#writeInPlace(target, data, error);
        if (!this.#hasWarned) {
          this.#hasWarned = true;
          this.#log.warn(
            { file: this.path, reason: errorText(error) },
            'the file cannot be replaced as a whole, so it is written in place: a reader may see half of a change',
          );
        }
        return identity;
      }
    } catch (cause) {
      if (cause instanceof ProxyError) throw cause;
      throw this.#failure('JTP_ERR_STORE_WRITE', 'written', cause);
    }
  }

  /** Removes what writers that were killed have left behind. */
  async removeLeftovers(): Promise<void> {
    const target = await this.target();
    const prefix = temporaryPrefix(target);
    let names: readonly string[] = [];
    try {
      names = await this.#fs.list(dirname(target));
    } catch {
      // The folder cannot be listed: whatever is in it stays.
    }
    for (const name of names)
      if (name.startsWith(prefix)) await this.#fs.remove(join(dirname(target), name)).catch(() => undefined);
  }

  /** Keeps content beside the file under another ending, for somebody to look at. */
  async keepBeside(ending: string, text: string): Promise<string> {
    const path = `${this.path}${ending}`;
    const beside = new DurableFile({ path, fs: this.#fs, log: this.#log });
    await beside.replace(text);
    return path;
  }

  /** Where the file is, or will be, when links are followed. */
  async target(): Promise<string> {
    try {
      return await this.#fs.resolve(this.path);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
      // Links are followed in the folder, too: the temporary file has to be where the file will be.
      return join(await this.#fs.resolve(dirname(this.path)), basename(this.path));
    }
  }

  async #stateOf(target: string): Promise<FileState | undefined> {
    try {
      return await this.#fs.state(target);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  async #replaceAtomically(
    target: string,
    data: readonly Buffer[],
    before: FileState | undefined,
  ): Promise<string> {
    const temporary = join(dirname(target), `${temporaryPrefix(target)}${randomBytes(6).toString('hex')}`);
    const file = await this.#fs.create(temporary);
    try {
      try {
        await writeAll(file, data);
        if (before !== undefined) {
          const { uid, gid } = await file.state();
          if (uid !== before.uid || gid !== before.gid) await file.setOwner(before.uid, before.gid);
          // After the owner: changing that clears bits of the mode.
          await file.setMode(before.mode);
        }
        await file.sync();
      } finally {
        await file.close();
      }
      await this.#fs.rename(temporary, target);
    } catch (error) {
      await this.#fs.remove(temporary).catch(() => undefined);
      throw error;
    }
    await this.#fs.syncFolder(dirname(target));
    return (await this.#fs.state(target)).identity;
  }

  async #writeInPlace(target: string, data: readonly Buffer[], reason: unknown): Promise<string> {
    const before = await this.#fs.read(target);
    let file;
    try {
      file = await this.#fs.open(target);
    } catch (error) {
      // Neither way works; the first reason is the one to act on.
      throw errnoOf(error) === 'EACCES' || errnoOf(error) === 'EPERM' ? reason : error;
    }
    try {
      try {
        await overwrite(file, data);
      } catch (error) {
        // The old content had room.
        await overwrite(file, [Buffer.from(before, 'utf8')]).catch(() => undefined);
        throw error;
      }
      return (await file.state()).identity;
    } finally {
      await file.close();
    }
  }

  #failure(code: 'JTP_ERR_STORE_READ' | 'JTP_ERR_STORE_WRITE', what: string, cause: unknown): ProxyError {
    return storeFailure(code, `${this.path} cannot be ${what}`, cause);
  }
}

/** What went wrong with a file of the store, and what to do about it. */
export function storeFailure(
  code: 'JTP_ERR_STORE_READ' | 'JTP_ERR_STORE_WRITE',
  what: string,
  cause: unknown,
): ProxyError {
  const advice = ADVICE.get(errnoOf(cause));
  const reason = errorText(cause).replace(/, [a-z]+(?: '.*)?$/s, '');
  return new ProxyError(code, {
    message: `${what}: ${reason}${advice === undefined ? '' : ` (${advice})`}`,
    cause,
  });
}

/** Not an ending that Traefik's directory provider would read. */
export function temporaryPrefix(target: string): string {
  return `.${basename(target)}.tmp-`;
}

/** Pieces of a size that is worth a system call; few of them at a time are copied. */
function gathered(pieces: readonly Buffer[]): readonly Buffer[] {
  const large: Buffer[] = [];
  let small: Buffer[] = [];
  let length = 0;
  for (const piece of pieces) {
    small.push(piece);
    length += piece.length;
    if (length < PIECE_BYTES) continue;
    large.push(Buffer.concat(small, length));
    small = [];
    length = 0;
  }
  if (length > 0) large.push(Buffer.concat(small, length));
  return large;
}

/** Resolves with how much there is now. */
async function writeAll(file: Pick<WritableFile, 'write'>, data: readonly Buffer[]): Promise<number> {
  let position = 0;
  for (const piece of data) {
    await file.write(piece, position);
    position += piece.length;
  }
  return position;
}

async function overwrite(
  file: Pick<WritableFile, 'write' | 'truncate' | 'sync'>,
  data: readonly Buffer[],
): Promise<void> {
  await file.truncate(await writeAll(file, data));
  await file.sync();
}
