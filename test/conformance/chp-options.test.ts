// The options of the configurable-http-proxy command beside those of the program of that name.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { chpCommand } from '../../src/cli/chp-options.ts';
import { REAL_CHP } from './chp-peer.ts';

/** Flags that a text for `--help` lists, with whether they take a value. */
function flags(help: string): Map<string, boolean> {
  return new Map(
    [...help.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)( <)?/gm)].map(([, flag = '', value]) => [
      flag,
      value !== undefined,
    ]),
  );
}

describe('--help beside configurable-http-proxy', () => {
  it('lists each of their options, with a value where theirs has one', () => {
    const { stdout } = spawnSync(process.execPath, [REAL_CHP, '--help'], { encoding: 'utf8' });
    const theirs = flags(stdout);
    const ours = flags(chpCommand().helpInformation());
    assert.ok(theirs.size > 40, stdout);
    for (const [flag, hasValue] of theirs) assert.equal(ours.get(flag), hasValue, flag);
    assert.deepEqual(
      [...ours.keys()].filter((flag) => !theirs.has(flag)),
      ['--workers'],
    );
  });
});
