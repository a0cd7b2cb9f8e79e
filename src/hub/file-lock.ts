// An exclusive lock on an open file (flock(2)), which the system releases with the process, however that ends. Node has no call for it;
// but the lock belongs to the open file and not to the process that asks for it, so a short-lived `flock`, or Python, gets it for us.

import { spawn } from 'node:child_process';
import { close, fstat, ftruncate, open, stat, write } from 'node:fs';
import { promisify } from 'node:util';

/** The file is descriptor 3 of these; exit code 0: locked, 1: somebody else has it. */
const LOCKERS: readonly (readonly [string, ...string[]])[] = [
  ['flock', '-n', '3'],
  [
    'python3',
    '-c',
    [
      'import fcntl, sys',
      'try: fcntl.flock(3, fcntl.LOCK_EX | fcntl.LOCK_NB)',
      'except BlockingIOError: sys.exit(1)',
      'except OSError as error: print(error, file=sys.stderr); sys.exit(2)',
    ].join('\n'),
  ],
];

/** An open file that can be locked. */
export interface LockableFile {
  /** False when somebody else has the lock; rejects when the system or its file system has no locks. */
  readonly lock: () => Promise<boolean>;
  /** Whether this path leads to it. */
  readonly isAt: (path: string) => Promise<boolean>;
  /** Replaces the content. */
  readonly write: (text: string) => Promise<void>;
  /** Releases the lock. */
  readonly close: () => Promise<void>;
}

/** Opens a file to be locked; rejects with Node's system errors. */
export async function openLockable(path: string, flags: number): Promise<LockableFile> {
  // A bare descriptor: a handle that is collected as garbage would release the lock.
  const fd = await promisify(open)(path, flags, 0o600);
  return {
    lock: () => lock(fd),
    async isAt(other) {
      const [here, there] = await Promise.all([
        promisify(fstat)(fd),
        promisify(stat)(other).catch(() => undefined),
      ]);
      return here.ino === there?.ino && here.dev === there.dev;
    },
    async write(text) {
      await promisify(ftruncate)(fd);
      await promisify(write)(fd, Buffer.from(text, 'utf8'), 0, undefined, 0);
    },
    close: () => promisify(close)(fd),
  };
}

async function lock(fd: number): Promise<boolean> {
  for (const [program, ...args] of LOCKERS) {
    const result = await run(program, args, fd);
    if (result === 'missing') continue;
    if (result.code > 1)
      throw new Error(`${program} ended with exit code ${String(result.code)}: ${result.said.trim()}`);
    return result.code === 0;
  }
  throw new Error('neither flock (of util-linux) nor python3 is on the PATH');
}

function run(
  program: string,
  args: readonly string[],
  fd: number,
): Promise<'missing' | { readonly code: number; readonly said: string }> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe', fd] });
    let said = '';
    child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString('utf8')));
    child.on('error', (error) => {
      if ('code' in error && error.code === 'ENOENT') resolve('missing');
      else resolve({ code: 2, said: error.message });
    });
    child.on('close', (code) => {
      // Killed: nobody knows what became of it.
      resolve({ code: code ?? 2, said });
    });
  });
}
