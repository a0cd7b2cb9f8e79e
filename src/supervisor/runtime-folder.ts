// The private folder of one supervisor: 0700, holds the sockets between its children, gone when it is.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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
      const pid = Number(readFileSync(join(folder, PID_FILE), 'utf8'));
      if (Number.isInteger(pid) && pid > 0 && !isAlive(pid)) rmSync(folder, { recursive: true, force: true });
    } catch {
      // Somebody else's folder, or one that is being made or removed at this moment.
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
