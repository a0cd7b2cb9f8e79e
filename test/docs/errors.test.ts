import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { ERROR_CODES } from '../../src/errors.ts';
import { ROOT } from '../support/traefik-binary.ts';

describe('docs/errors.md', () => {
  it('explains every code, and no other', () => {
    const page = readFileSync(path.join(ROOT, 'docs', 'errors.md'), 'utf8');
    const explained = [...page.matchAll(/^\| `(JTP_ERR_[A-Z0-9_]+)` \|/gm)].map((match) => match[1]);
    assert.deepEqual([...explained].sort(), [...ERROR_CODES].sort());
  });
});
