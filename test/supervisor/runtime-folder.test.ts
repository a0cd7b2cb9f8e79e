import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';

/** Of no process: numbers end below. */
const DEAD = '4194304999';

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'rt'));
  t.after(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

/** In a process of its own, which can be given up when it waits for ever. */
function create(base: string): string {
  const module = new URL('../../src/supervisor/runtime-folder.js', import.meta.url).href;
  const script = `import(${JSON.stringify(module)}).then((m) => console.log(m.createRuntimeFolder({ XDG_RUNTIME_DIR: ${JSON.stringify(base)} })))`;
  const { stdout, error } = spawnSync(process.execPath, ['-e', script], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  assert.equal(error, undefined);
  return stdout.trim();
}

/** What a supervisor with this number would have left behind. */
function leftover(base: string, name: string, mode = 0o700): string {
  const folder = join(base, name);
  mkdirSync(folder);
  writeFileSync(join(folder, 'pid'), DEAD);
  chmodSync(folder, mode);
  return folder;
}

describe('the private folder', () => {
  it('is for its owner alone, and takes the place of what a killed supervisor has left', (t) => {
    const base = temporaryFolder(t);
    const old = leftover(base, 'jtp-old');
    const folder = create(base);
    assert.ok(folder.startsWith(join(base, 'jtp-')), folder);
    assert.equal(statSync(folder).mode & 0o777, 0o700);
    assert.equal(existsSync(old), false);
  });

  it('is made whatever others have put beside it, which is left alone', (t) => {
    const base = temporaryFolder(t);
    const open = leftover(base, 'jtp-open', 0o755);
    const elsewhere = leftover(base, 'elsewhere');
    symlinkSync(elsewhere, join(base, 'jtp-link'));
    const piped = leftover(base, 'jtp-pipe');
    rmSync(join(piped, 'pid'));
    assert.equal(spawnSync('mkfifo', [join(piped, 'pid')]).status, 0);
    assert.ok(create(base).startsWith(join(base, 'jtp-')));
    for (const folder of [open, elsewhere, piped, join(base, 'jtp-link')])
      assert.ok(existsSync(folder), folder);
  });
});
