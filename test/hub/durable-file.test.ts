import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { ProxyError } from '../../src/errors.ts';
import { DurableFile } from '../../src/hub/durable-file.ts';
import { FaultyFileSystem } from '../support/faulty-file-system.ts';
import { rememberingLogger, temporaryFolder } from '../support/hub-store.ts';

function make(t: TestContext): {
  readonly folder: string;
  readonly path: string;
  readonly fs: FaultyFileSystem;
  readonly file: DurableFile;
  readonly lines: Record<string, unknown>[];
} {
  const folder = temporaryFolder(t);
  const path = join(folder, 'rules.toml');
  const fs = new FaultyFileSystem();
  const { log, lines } = rememberingLogger();
  return { folder, path, fs, file: new DurableFile({ path, fs, log }), lines };
}

describe('a durable file', () => {
  it('is made with mode 0600 and leaves nothing beside it', async (t) => {
    const { folder, path, file } = make(t);
    await file.replace('one');
    assert.equal(readFileSync(path, 'utf8'), 'one');
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.deepEqual(readdirSync(folder), ['rules.toml']);
  });

  it('keeps mode, owner and group of an existing file', async (t) => {
    const { path, file } = make(t);
    writeFileSync(path, 'zero');
    chmodSync(path, 0o640);
    if (process.getuid?.() === 0) chownSync(path, 12345, 23456);
    const { uid, gid } = statSync(path);
    await file.replace('one');
    const after = statSync(path);
    assert.equal(after.mode & 0o777, 0o640);
    assert.deepEqual([after.uid, after.gid], [uid, gid]);
  });

  it('keeps a link and replaces what it leads to, in that folder', async (t) => {
    const { folder, path, file, fs } = make(t);
    mkdirSync(join(folder, 'real'));
    writeFileSync(join(folder, 'real', 'r.toml'), 'zero');
    symlinkSync(join('real', 'r.toml'), path);
    await file.replace('one');
    assert.ok(lstatSync(path).isSymbolicLink());
    assert.equal(readFileSync(join(folder, 'real', 'r.toml'), 'utf8'), 'one');
    assert.ok(fs.operations.includes('rename'));
  });

  it('syncs the content before the rename and the folder after it', async (t) => {
    const { file, fs } = make(t);
    await file.replace('one');
    assert.deepEqual(fs.operations, ['create', 'write', 'sync', 'rename', 'syncFolder']);
  });

  it('tells states apart', async (t) => {
    const { path, file } = make(t);
    assert.equal(await file.identity(), undefined);
    const identity = await file.replace('one');
    assert.equal(await file.identity(), identity);
    writeFileSync(path, 'two');
    assert.notEqual(await file.identity(), identity);
  });

  for (const [step, code] of [
    ['rename', 'EBUSY'],
    ['rename', 'EXDEV'],
    ['create', 'EROFS'],
    ['create', 'EACCES'],
    ['setOwner', 'EPERM'],
  ] as const)
    it(`is written in place, with one warning, when ${step} fails with ${code}`, async (t) => {
      const { folder, path, file, fs, lines } = make(t);
      writeFileSync(path, 'a much longer text than before');
      chownSync(
        path,
        step === 'setOwner' && process.getuid?.() === 0 ? 12345 : statSync(path).uid,
        statSync(path).gid,
      );
      if (step === 'setOwner' && process.getuid?.() !== 0) {
        t.skip('only root can give files away');
        return;
      }
      const { ino } = statSync(path);
      fs.plan = (operation) => (operation === step ? { kind: 'fail', code } : undefined);
      await file.replace('one');
      await file.replace('two');
      assert.equal(readFileSync(path, 'utf8'), 'two');
      assert.equal(statSync(path).ino, ino);
      assert.deepEqual(readdirSync(folder), ['rules.toml']);
      assert.equal(lines.length, 1);
      assert.match(String(lines[0]?.['msg']), /written in place/);
    });

  it('is put back as it was when the disk is full while it is written in place', async (t) => {
    const { path, file, fs } = make(t);
    writeFileSync(path, 'the old text');
    fs.plan = (operation, index) =>
      operation === 'rename'
        ? { kind: 'fail', code: 'EBUSY' }
        : operation === 'truncate' && index < 10
          ? { kind: 'fail', code: 'ENOSPC' }
          : undefined;
    let truncated = 0;
    const plan = fs.plan;
    fs.plan = (operation, index) =>
      operation === 'truncate' && truncated++ > 0 ? undefined : plan(operation, index);
    await assert.rejects(file.replace('new'), /disk is full/);
    assert.equal(readFileSync(path, 'utf8'), 'the old text');
  });

  for (const [step, code, advice] of [
    ['write', 'ENOSPC', /rules\.toml cannot be written: ENOSPC.*\(the disk is full: free some space\)/],
    ['sync', 'EIO', /rules\.toml cannot be written: EIO/],
    ['create', 'EMFILE', /raise the limit/],
    ['create', 'EDQUOT', /quota/],
  ] as const)
    it(`stays as it is, with nothing beside it, when ${step} fails with ${code}`, async (t) => {
      const { folder, path, file, fs } = make(t);
      writeFileSync(path, 'old');
      fs.plan = (operation) => (operation === step ? { kind: 'fail', code } : undefined);
      await assert.rejects(
        file.replace('new'),
        (error) =>
          error instanceof ProxyError && error.code === 'JTP_ERR_STORE_WRITE' && advice.test(error.message),
      );
      assert.equal(readFileSync(path, 'utf8'), 'old');
      assert.deepEqual(readdirSync(folder), ['rules.toml']);
    });

  it('says what to do when neither file nor folder may be written', async (t) => {
    const { path, file, fs } = make(t);
    writeFileSync(path, 'old');
    fs.plan = () => ({ kind: 'fail', code: 'EACCES' });
    await assert.rejects(file.replace('new'), /EACCES.*write access to the file and its folder/);
  });

  it('says what to do when its folder does not exist', async (t) => {
    const { folder } = make(t);
    const { log } = rememberingLogger();
    const file = new DurableFile({ path: join(folder, 'no', 'rules.toml'), fs: new FaultyFileSystem(), log });
    await assert.rejects(file.replace('x'), /no\/rules\.toml cannot be written: ENOENT.*create it/);
  });

  it('removes what killed writers left, and nothing else', async (t) => {
    const { folder, file } = make(t);
    for (const name of ['.rules.toml.tmp-aa', '.other.toml.tmp-aa', 'rules.toml.orig'])
      writeFileSync(join(folder, name), '');
    await file.removeLeftovers();
    assert.deepEqual(readdirSync(folder).sort(), ['.other.toml.tmp-aa', 'rules.toml.orig']);
  });
});
