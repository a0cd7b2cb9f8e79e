// The private folder of one supervisor: 0700, holds the sockets between its children, gone when it is.

import { lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ProxyError } from '../errors.ts';

const PREFIX = 'jtp-';
const PID_FILE = 'pid';

/** The longest path of a Unix socket on Linux. Source: unix(7). */
const MAX_SOCKET_PATH = 107;

/** Makes the folder, and removes those that killed supervisors have left behind. */
export function createRuntimeFolder(env: NodeJS.ProcessEnv = process.env): string {
  const preferred = env['XDG_RUNTIME_DIR'];
  for (const base of [preferred, tmpdir(), '/tmp']) {
    if (
      base === undefined ||
      base === '' ||
      join(base, `${PREFIX}123456`, '9999', 'control.sock').length > MAX_SOCKET_PATH
    )
      continue;
    try {
      removeStale(base);
      const folder = mkdtempSync(join(base, PREFIX));
      writeFileSync(join(folder, PID_FILE), String(process.pid), { mode: 0o600 });
      return folder;
    } catch {
      // Not ours to write in: the next one is tried.
    }
  }
  throw new ProxyError('JTP_ERR_PROCESS_FAILED', {
    message: `no folder for private sockets can be made in ${tmpdir()}: set TMPDIR to a writable folder with a short name`,
  });
}

export function removeRuntimeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}

function removeStale(base: string): void {
  for (const name of readdirSync(base)) {
    if (!name.startsWith(PREFIX)) continue;
    const folder = join(base, name);
    try {
      if (!isOurs(folder)) continue;
      const pid = Number(readFileSync(join(folder, PID_FILE), 'utf8'));
      if (Number.isInteger(pid) && pid > 0 && !isAlive(pid)) rmSync(folder, { recursive: true, force: true });
    } catch {
      // Somebody else's folder, or one that is being made or removed at this moment.
    }
  }
}

/**
 * Made by us, with nothing in it by anybody else. Everybody may put things into a folder for temporary files: a pipe that is read for
 * ever, or folders that become links while they are removed.
 */
function isOurs(folder: string): boolean {
  const about = lstatSync(folder);
  const isPrivate = (about.mode & 0o077) === 0 && about.uid === (process.getuid?.() ?? about.uid);
  return about.isDirectory() && isPrivate && lstatSync(join(folder, PID_FILE)).isFile();
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
