// The units of the examples: systemd understands every line of them, and what is meant to be shut is shut.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

const ROOT = new URL('../../../', import.meta.url).pathname;
const hasSystemd = spawnSync('systemd-analyze', ['--version']).status === 0;
const skip = hasSystemd ? false : 'systemd-analyze is not here: apt install systemd';

function analyze(args: readonly string[]): { readonly status: number | null; readonly text: string } {
  const { status, stdout, stderr } = spawnSync('systemd-analyze', args, { cwd: ROOT, encoding: 'utf8' });
  return { status, text: `${stdout}${stderr}` };
}

describe('units of systemd', () => {
  for (const { unit, exposure } of [
    { unit: 'examples/systemd/jupyterhub-proxy.service', exposure: 25 },
    { unit: 'examples/tljh/traefik.service', exposure: 30 },
    // Servers of users are started from it.
    { unit: 'examples/systemd/jupyterhub.service', exposure: undefined },
  ]) {
    it(`understands all of ${unit}`, { skip }, () => {
      assert.deepEqual(analyze(['verify', '--man=no', unit]), { status: 0, text: '' });
    });
    if (exposure !== undefined)
      it(`leaves little to somebody who takes over ${unit}`, { skip }, () => {
        const { status, text } = analyze([
          'security',
          '--no-pager',
          '--offline=true',
          `--threshold=${String(exposure)}`,
          unit,
        ]);
        assert.equal(status, 0, text);
      });
  }

  it('lets the proxy write nothing of what it reads', () => {
    for (const unit of ['examples/systemd/jupyterhub-proxy.service', 'examples/tljh/traefik.service']) {
      const text = readFileSync(`${ROOT}${unit}`, 'utf8');
      assert.match(text, /^ProtectSystem=strict$/m);
      assert.doesNotMatch(text, /^ReadWritePaths=/m);
      assert.match(text, /^Type=notify\nNotifyAccess=all$/m);
    }
  });
});
