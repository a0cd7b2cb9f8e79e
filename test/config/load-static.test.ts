import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { findStaticFile, loadStaticConfiguration } from '../../src/config/load-static.ts';

describe('findStaticFile', () => {
  const folders = ['etc/traefik', 'home/.traefik', 'xdg', 'home/.config', 'cwd'];

  it('takes the first of the folders, and TOML before YAML', (t) => {
    const base = mkdtempSync(join(tmpdir(), 'find-'));
    t.after(() => {
      rmSync(base, { recursive: true });
    });
    for (const folder of folders) mkdirSync(join(base, folder), { recursive: true });
    const options = {
      etc: join(base, 'etc'),
      cwd: join(base, 'cwd'),
      env: { HOME: join(base, 'home'), XDG_CONFIG_HOME: join(base, 'xdg') },
    };
    assert.equal(findStaticFile(options), undefined);
    for (const folder of [...folders].reverse())
      for (const extension of ['yml', 'yaml', 'toml']) {
        const file = join(base, folder, `traefik.${extension}`);
        writeFileSync(file, '');
        assert.equal(findStaticFile(options), file);
      }
    assert.equal(findStaticFile({ ...options, explicit: 'other.toml' }), join(base, 'cwd', 'other.toml'));
  });
});

describe('loadStaticConfiguration', () => {
  it('says that a file is not there', () => {
    assert.throws(() => loadStaticConfiguration('/nonexistent/traefik.toml'), {
      code: 'JTP_ERR_CONFIG_UNREADABLE',
      message: '/nonexistent/traefik.toml: there is no such file',
    });
  });

  it('refuses another extension', (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'load-'));
    t.after(() => {
      rmSync(folder, { recursive: true });
    });
    const file = join(folder, 'traefik.ini');
    writeFileSync(file, 'x=1');
    assert.throws(() => loadStaticConfiguration(file), {
      code: 'JTP_ERR_CONFIG_INVALID',
      message: /unsupported file extension ".ini"/,
    });
  });
});
