// Targets: which are taken, and what path they put before every request's.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { normalizeRoute, targetPath } from '../../src/hub/route.ts';

function isTaken(target: string): boolean {
  try {
    normalizeRoute({ routespec: '/', target, data: {} });
    return true;
  } catch {
    return false;
  }
}

describe('a target', () => {
  it('with a name outside ASCII is taken each time, however often it is asked for', () => {
    for (let round = 0; round < 20_000; round++)
      assert.equal(isTaken('http://b\u00fccher.example:80'), true, String(round));
  });

  it('has the path that its URL has, whatever is written', () => {
    const piece = fc.constantFrom('a', '/', '//', '?', '#', '\\', ':80', '@', '%2F', '.', '..', '[::1]', '1');
    const target = fc
      .tuple(fc.constantFrom('http://', 'https://', 'HTTP://'), fc.array(piece, { maxLength: 8 }))
      .map(([scheme, pieces]) => scheme + pieces.join(''));
    fc.assert(
      fc.property(target, (text) => {
        assert.equal(isTaken(text), URL.canParse(text) && new URL(text).hostname !== '');
        if (!isTaken(text)) return;
        assert.equal(targetPath(text), new URL(text).pathname.replace(/\/+$/, ''));
      }),
      { numRuns: 3000 },
    );
  });

  for (const [text, want] of [
    ['http://127.0.0.1:8000', ''],
    ['https://host:8000/', ''],
    ['http://host/prefix/', '/prefix'],
    ['http+unix://%2Frun%2Fzoe.sock', ''],
    ['unix+http://%2Frun%2Fzoe.sock/prefix/', '/prefix'],
  ] as const)
    it(text, () => {
      assert.ok(isTaken(text));
      assert.equal(targetPath(text), want);
    });

  for (const text of ['', 'http://', 'http:///', 'ftp://host', 'host:80', 'http://host:99999', 'http://a b'])
    it(`is refused: ${JSON.stringify(text)}`, () => {
      assert.ok(!isTaken(text));
    });
});
