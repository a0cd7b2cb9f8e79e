import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { createLogger } from '../../src/log.ts';

const EVIL = 'a\n2026-01-01T00:00:00.000Z [ConfigProxy] info: forged\u001b[2J\u009b31m\u202ez\u2028';

describe('what others have chosen, in a line of the log', () => {
  for (const format of ['common', 'chp', 'json'] as const)
    it(`is part of that line and moves no cursor (${format})`, (t) => {
      const folder = mkdtempSync(join(tmpdir(), 'log'));
      t.after(() => {
        rmSync(folder, { recursive: true });
      });
      const filePath = join(folder, 'log');
      const log = createLogger('worker 1', { level: 'INFO', format, noColor: true, filePath });
      log.info({ server: EVIL }, `Route added ${EVIL}`);
      log.info('the next line');
      const text = readFileSync(filePath, 'utf8');
      assert.equal(text.trimEnd().split('\n').length, 2);
      assert.doesNotMatch(
        text.replaceAll('\n', ''),
        format === 'json' ? /[\u0000-\u001f]/ : /[\u0000-\u001f\u007f-\u009f\u2028\u202e]/,
      );
      assert.match(text, /Route added a\\(?:n|u000a)2026/);
    });
});
