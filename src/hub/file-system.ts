// The few file operations that the routes file needs, so that a test can let each of them fail, or be the last one before a crash.

import { constants, fstatSync, write } from 'node:fs';
import fs from 'node:fs/promises';
import { openLockable } from './file-lock.ts';
import type { LockableFile } from './file-lock.ts';

/** What tells one state of a file from another without reading it. */
export interface FileState {
  readonly identity: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** What is looked at after every append: 0 links is a file that nobody can find any more. */
export interface FileVitals {
  readonly size: number;
  readonly links: number;
}

/** A file opened for writing. */
export interface WritableFile {
  readonly write: (data: Buffer, position: number) => Promise<void>;
  readonly truncate: (length: number) => Promise<void>;
  readonly setMode: (mode: number) => Promise<void>;
  readonly setOwner: (uid: number, gid: number) => Promise<void>;
  readonly sync: () => Promise<void>;
  readonly state: () => Promise<FileState>;
  /** Of a file that has just been written to: known to the system without asking the disk, so not worth a thread. */
  readonly vitals: () => FileVitals;
  readonly close: () => Promise<void>;
}

/** Every method rejects with Node's system errors. */
export interface FileSystem {
  /** The file a path leads to, through links; rejects with ENOENT. */
  readonly resolve: (path: string) => Promise<string>;
  readonly read: (path: string) => Promise<string>;
  readonly state: (path: string) => Promise<FileState>;
  readonly list: (folder: string) => Promise<readonly string[]>;
  /** A new file with mode 0600; rejects with EEXIST. */
  readonly create: (path: string) => Promise<WritableFile>;
  /** An existing file, its content untouched. */
  readonly open: (path: string) => Promise<WritableFile>;
  /** The same, or a new one with mode 0600; each write is on disk when it returns. */
  readonly openLog: (path: string) => Promise<WritableFile>;
  /** A file to be locked: an existing one or a new one with mode 0600, or one that is only looked at. */
  readonly openLock: (path: string, how: 'make' | 'read') => Promise<LockableFile>;
  readonly rename: (from: string, to: string) => Promise<void>;
  readonly remove: (path: string) => Promise<void>;
  readonly syncFolder: (folder: string) => Promise<void>;
}

function stateOf(stats: {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly mode: bigint;
  readonly uid: bigint;
  readonly gid: bigint;
}): FileState {
  const { dev, ino, size, mtimeNs, ctimeNs } = stats;
  return {
    identity: [dev, ino, size, mtimeNs, ctimeNs].join(':'),
    mode: Number(stats.mode) & 0o7777,
    uid: Number(stats.uid),
    gid: Number(stats.gid),
  };
}

async function openFile(path: string, flags: number): Promise<WritableFile> {
  const handle = await fs.open(path, flags, 0o600);
  return {
    async write(data, position) {
      for (let done = 0; done < data.length;) done += await writeSome(handle.fd, data, done, position + done);
    },
    truncate: (length) => handle.truncate(length),
    setMode: (mode) => handle.chmod(mode),
    setOwner: (uid, gid) => handle.chown(uid, gid),
    sync: () => handle.sync(),
    state: async () => stateOf(await handle.stat({ bigint: true })),
    vitals() {
      const { size, nlink } = fstatSync(handle.fd);
      return { size, links: nlink };
    },
    close: () => handle.close(),
  };
}

/** A third faster than the method of the handle, and every change of a route waits for one. */
function writeSome(fd: number, data: Buffer, from: number, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    write(fd, data, from, data.length - from, position, (error, bytesWritten) => {
      if (error === null) resolve(bytesWritten);
      else reject(error);
    });
  });
}

/** The real one. */
export const NODE_FILE_SYSTEM: FileSystem = {
  resolve: (path) => fs.realpath(path),
  read: (path) => fs.readFile(path, 'utf8'),
  state: async (path) => stateOf(await fs.stat(path, { bigint: true })),
  list: (folder) => fs.readdir(folder),
  create: (path) => openFile(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL),
  open: (path) => openFile(path, constants.O_WRONLY),
  // One call instead of a write and an fdatasync: half the time goes into waking threads. Appending, whatever the position: after somebody
  // has truncated the file, the size tells.
  openLog: (path) =>
    openFile(path, constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_DSYNC),
  openLock: (path, how) =>
    openLockable(path, how === 'make' ? constants.O_RDWR | constants.O_CREAT : constants.O_RDONLY),
  rename: (from, to) => fs.rename(from, to),
  remove: (path) => fs.unlink(path),
  async syncFolder(folder) {
    const handle = await fs.open(folder, constants.O_RDONLY);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
};
