import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { LIMIT_VARIABLES } from '../../src/config/limits.ts';
import { ROOT } from '../support/hub.ts';

it('docs/configuration.md has a row for each limit of the environment, and no other', () => {
  const page = readFileSync(join(ROOT, 'docs', 'configuration.md'), 'utf8');
  const rows = [...page.matchAll(/^\| `(JTP_MAX_[A-Z_]+)` \|/gm)].map(([, name]) => name);
  assert.deepEqual(rows.sort(), [...LIMIT_VARIABLES].sort());
});
