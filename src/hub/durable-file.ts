// Replaces a file so that a reader, or a machine that loses its power, finds either the old content or the new. Where the file cannot
// be replaced (mounted by itself, or its folder may not be written to) it is written in place, which is said once.
//
//   temporary file in the same folder ──► written, mode and owner of the old one ──► fsync ──► rename ──► fsync of the folder

import { constants } from 'node:fs';
import { open, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { errnoOf, errorText, ProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';

const NEW_FILE_MODE = 0o600;
/** Errors that say "this folder cannot take a new file" and not "the disk is full". */
const IN_PLACE_ERRORS = new Set(['EBUSY', 'EXDEV', 'EROFS', 'EACCES', 'EPERM']);

/** What tells one content of a file from the next without reading it. */
export interface FileIdentity {
  readonly inode: number;
  readonly size: number;
  readonly modifiedMs: number;
}

/** One file that is written again and again. */
export class DurableFile {
  readonly path: string;
  readonly #log: Logger;
  #isInPlace = false;
  #counter = 0;

  constructor(path: string, log: Logger) {
    this.path = path;
    this.#log = log;
  }

  /** Undefined when the file does not exist. */
  async identity(): Promise<FileIdentity | undefined> {
    try {
      const { ino, size, mtimeMs } = await stat(this.path);
      return { inode: ino, size, modifiedMs: mtimeMs };
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw this.#explain(error);
    }
  }

  /** When it resolves the content is on disk. Rejects with ProxyError JTP_ERR_STORE_WRITE, with the old content in place. */
  async write(content: string): Promise<void> {
    try {
      // A link stays a link: what it points to is replaced.
      const target = await resolveLink(this.path);
      if (!this.#isInPlace && (await this.#replace(target, content))) return;
      await writeInPlace(target, content);
    } catch (error) {
      throw this.#explain(error);
    }
  }

  /** False: it has to be written in place. */
  async #replace(target: string, content: string): Promise<boolean> {
    const temporary = join(
      dirname(target),
      `.${basename(target)}.${String(process.pid)}-${String(++this.#counter)}.tmp`,
    );
    try {
      const old = await stat(target).catch(() => undefined);
      const file = await open(temporary, 'wx', NEW_FILE_MODE);
      try {
        await file.writeFile(content);
        if (old !== undefined) {
          await file.chmod(old.mode & 0o7777);
          const isOurs = old.uid === process.getuid?.() && old.gid === process.getgid?.();
          if (!isOurs) await file.chown(old.uid, old.gid);
        }
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, target);
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined);
      if (!IN_PLACE_ERRORS.has(errnoOf(error))) throw error;
      this.#isInPlace = true;
      this.#log.warn(
        { file: target, reason: errorText(error) },
        'the routes file cannot be replaced and is written in place: a crash at the wrong moment can damage it; allow writing to its folder',
      );
      return false;
    }
    await syncFolder(dirname(target));
    return true;
  }

  #explain(error: unknown): ProxyError {
    const hints = new Map([
      ['ENOSPC', 'the disk is full'],
      ['EDQUOT', 'the disk quota is used up'],
      ['EACCES', 'permission denied: let the user who runs JupyterHub write to it'],
      ['EPERM', 'permission denied: let the user who runs JupyterHub write to it'],
      ['EROFS', 'the file system is read-only (with systemd: ReadWritePaths=)'],
      ['ENOENT', 'its folder does not exist'],
      ['EISDIR', 'it is a folder'],
    ]);
    return new ProxyError('JTP_ERR_STORE_WRITE', {
      message: `${this.path} cannot be written: ${hints.get(errnoOf(error)) ?? errorText(error)}`,
      cause: error,
    });
  }
}

async function resolveLink(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return path;
    throw error;
  }
}

async function writeInPlace(target: string, content: string): Promise<void> {
  const file = await open(target, constants.O_WRONLY | constants.O_CREAT, NEW_FILE_MODE);
  try {
    const bytes = Buffer.from(content, 'utf8');
    // The rest is cut off last: a reader in between finds too much and never nothing.
    await file.write(bytes, 0, bytes.length, 0);
    await file.truncate(bytes.length);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } catch (error) {
    // Some network file systems cannot; the rename itself has been done.
    if (errnoOf(error) !== 'EINVAL') throw error;
  } finally {
    await handle.close();
  }
}
