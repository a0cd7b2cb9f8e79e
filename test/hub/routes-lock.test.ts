// Two programs and one routes file.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { ProxyError } from '../../src/errors.ts';
import { NODE_FILE_SYSTEM } from '../../src/hub/file-system.ts';
import type { FileSystem } from '../../src/hub/file-system.ts';
import { makeStore, temporaryFolder, userRoute } from '../support/hub-store.ts';
import type { StoreOptions } from '../support/hub-store.ts';
import { systemError } from '../support/faulty-file-system.ts';
import { until } from '../support/until.ts';

const CHILD = new URL('../support/store-child.js', import.meta.url).pathname;
/** For those who are meant to be refused. */
const IMPATIENT = { patienceMs: 0 };

function fixture(t: TestContext): {
  readonly path: string;
  readonly open: (options?: StoreOptions) => ReturnType<typeof makeStore>;
} {
  const path = join(temporaryFolder(t), 'rules.toml');
  return { path, open: (options) => makeStore(t, path, options) };
}

function isLocked(error: unknown): boolean {
  return error instanceof ProxyError && error.code === 'JTP_ERR_STORE_LOCKED';
}

/** A folder in which no file can be made, and a file in it that can be written. */
const READ_ONLY_FOLDER: FileSystem = {
  ...NODE_FILE_SYSTEM,
  create: () => Promise.reject(systemError('EROFS')),
  openLog: () => Promise.reject(systemError('EROFS')),
  openLock: (path, how) =>
    how === 'make' ? Promise.reject(systemError('EROFS')) : NODE_FILE_SYSTEM.openLock(path, how),
};

describe('a routes file that two programs want', () => {
  for (const usesJournal of [true, false])
    it(`is kept by the first, ${usesJournal ? 'with' : 'without'} a journal, and the second is told by whom`, async (t) => {
      const { path, open } = fixture(t);
      const first = open({ usesJournal });
      await first.store.start();
      const second = open({ usesJournal, ...IMPATIENT });
      await assert.rejects(second.store.start(), (error) => {
        assert.ok(isLocked(error));
        const message = String(error);
        assert.ok(message.includes(`${path} is kept by process ${String(process.pid)} since `), message);
        assert.ok(!message.includes('\n'), message);
        return true;
      });
      await second.store.stop();
      // Refusing has taken nothing away.
      await first.store.change({ add: [userRoute('amy')], remove: [] });
      await first.store.stop();
      const third = open({ usesJournal });
      await third.store.start();
      assert.deepEqual([...third.store.routes.keys()], ['/user/amy/']);
    });

  it('is one file, whatever links lead to it', async (t) => {
    const { path, open } = fixture(t);
    await open().store.start();
    const link = join(temporaryFolder(t), 'link.toml');
    symlinkSync(path, link);
    await assert.rejects(makeStore(t, link, IMPATIENT).store.start(), isLocked);
  });

  it('goes to the second as soon as the first is killed', async (t) => {
    const { path, open } = fixture(t);
    const child = spawn(process.execPath, [CHILD, path], { stdio: ['pipe', 'pipe', 'ignore'] });
    t.after(() => child.kill('SIGKILL'));
    await new Promise((resolve) => child.stdout.once('data', resolve));
    const second = open();
    const started = second.store.start();
    await assert.rejects(open(IMPATIENT).store.start(), new RegExp(`process ${String(child.pid)} since`));
    const done = new Promise((resolve) => child.stdout.once('data', resolve));
    child.stdin.write(`${JSON.stringify({ id: 1, add: [userRoute('amy')], remove: [] })}\n`);
    await done;
    child.kill('SIGKILL');
    await started;
    assert.deepEqual([...second.store.routes.keys()], ['/user/amy/']);
    const holder = JSON.parse(readFileSync(`${path}.lock`, 'utf8')) as { readonly pid: number };
    assert.equal(holder.pid, process.pid);
  });

  it('goes to the second when the first ends while the second waits', async (t) => {
    const { open } = fixture(t);
    const first = open();
    await first.store.start();
    const second = open();
    const started = second.store.start();
    await first.store.change({ add: [userRoute('amy')], remove: [] });
    await first.store.stop();
    await started;
    assert.deepEqual([...second.store.routes.keys()], ['/user/amy/']);
  });

  it('is not locked by a lock file that somebody removes', async (t) => {
    const { path, open } = fixture(t);
    const first = open();
    await first.store.start();
    let isWaiting = false;
    const fs: FileSystem = {
      ...NODE_FILE_SYSTEM,
      async openLock(name, how) {
        const file = await NODE_FILE_SYSTEM.openLock(name, how);
        isWaiting = true;
        return file;
      },
    };
    const second = open({ fs });
    const started = second.store.start();
    await until(() => isWaiting, 'the second to wait');
    rmSync(`${path}.lock`);
    await first.store.stop();
    await started;
    // The second has a file of its own, which others find.
    await assert.rejects(open(IMPATIENT).store.start(), isLocked);
  });

  it('may be emptied, removed and edited by others all the same', async (t) => {
    const { path, open } = fixture(t);
    const { store } = open();
    await store.start();
    await store.change({ add: [userRoute('amy')], remove: [] });
    truncateSync(path);
    await store.reload();
    rmSync(path);
    await store.reload();
    assert.match(readFileSync(path, 'utf8'), /user\/amy/);
  });

  it('is locked itself where nothing can be made beside it', async (t) => {
    const { path, open } = fixture(t);
    writeFileSync(path, '');
    const first = open({ fs: READ_ONLY_FOLDER });
    await first.store.start();
    await first.store.change({ add: [userRoute('amy')], remove: [] });
    const second = open({ fs: READ_ONLY_FOLDER, ...IMPATIENT });
    await assert.rejects(second.store.start(), /kept by another process, and only one program may/);
    await second.store.stop();
    await first.store.stop();
    const third = open({ fs: READ_ONLY_FOLDER });
    await third.store.start();
    assert.deepEqual([...third.store.routes.keys()], ['/user/amy/']);
  });

  it('is not begun with when its lock file is somebody else’s', async (t) => {
    const { open } = fixture(t);
    const fs: FileSystem = {
      ...NODE_FILE_SYSTEM,
      openLock: () => Promise.reject(systemError('EACCES')),
    };
    await assert.rejects(
      open({ fs }).store.start(),
      /rules\.toml\.lock cannot be opened: EACCES.*write access to the file and its folder/,
    );
  });
});

describe('the lock of a routes file', { concurrency: false }, () => {
  function withPath(t: TestContext, path: string): void {
    const before = process.env['PATH'];
    process.env['PATH'] = path;
    t.after(() => {
      process.env['PATH'] = before;
    });
  }

  it('is taken with Python where there is no flock', async (t) => {
    const { open } = fixture(t);
    const programs = join(temporaryFolder(t), 'bin');
    mkdirSync(programs);
    const python = execFileSync('python3', ['-c', 'import sys; print(sys.executable)'], {
      encoding: 'utf8',
    }).trim();
    symlinkSync(python, join(programs, 'python3'));
    withPath(t, programs);
    const first = open();
    await first.store.start();
    assert.deepEqual(first.lines, []);
    await assert.rejects(open(IMPATIENT).store.start(), isLocked);
  });

  it('is done without, with one warning, where there is neither', async (t) => {
    const { open } = fixture(t);
    withPath(t, temporaryFolder(t));
    const { store, lines } = open();
    await store.start();
    await store.change({ add: [userRoute('amy')], remove: [] });
    assert.deepEqual(
      lines.map(({ level, reason }) => [level, reason]),
      [[40, 'neither flock (of util-linux) nor python3 is on the PATH']],
    );
  });
});
