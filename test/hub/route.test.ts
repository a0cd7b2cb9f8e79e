// Targets: which are taken, and what path they put before every request's.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { normalizeRoute, targetPath } from '../../src/hub/route.ts';
import { parseUrl } from '../../src/url.ts';

function isTaken(target: string): boolean {
  try {
    normalizeRoute({ routespec: '/', target, data: {} });
    return true;
  } catch {
    return false;
  }
}

describe('a target', () => {
  it('with an address and a port is taken when it is a URL, and only then', () => {
    const octet = fc.oneof(
      fc.integer({ min: 0, max: 300 }).map(String),
      fc.constantFrom('00', '01', '0x1', ''),
    );
    const octets = fc.array(octet, { minLength: 3, maxLength: 5 }).map((all) => all.join('.'));
    const port = fc.oneof(
      fc.integer({ min: 0, max: 99_999 }).map(String),
      fc.constantFrom('', '080', '80/', 'x'),
    );
    fc.assert(
      fc.property(fc.oneof(octets, fc.constant('localhost')), port, (host, number) => {
        const target = `http://${host}:${number}`;
        assert.equal(isTaken(target), parseUrl(target) !== undefined, target);
      }),
      { numRuns: 2000 },
    );
  });

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
