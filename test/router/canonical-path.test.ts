import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { canonicalPath, canonicalRulePath, decodedPath } from '../../src/router/canonical-path.ts';

const UNRESERVED = /^[A-Za-z0-9\-._~]$/;
/** May stand in a path as they are. Source: RFC 3986 §3.3 (pchar), and brackets, which browsers do not escape. */
const PLAIN = /^[A-Za-z0-9\-._~!$&'()*+,;=:@[\]/]$/;

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}

describe('every byte of a path', () => {
  for (let byte = 0; byte < 256; byte++) {
    const character = String.fromCharCode(byte);
    const upper = `%${hex(byte).toUpperCase()}`;

    it(`0x${hex(byte)} raw`, () => {
      const found = canonicalPath(`/x${character}y`);
      if (byte <= 0x20 || byte === 0x7f || character === '#') assert.equal(found, undefined);
      // A percent sign is the beginning of an escape or nothing.
      else if (character === '%') assert.equal(found, undefined);
      else assert.equal(found, PLAIN.test(character) ? `/x${character}y` : `/x${upper}y`);
    });

    it(`0x${hex(byte)} escaped, in lower and in upper case`, () => {
      const want = UNRESERVED.test(character) || character === '@' ? `/x${character}y` : `/x${upper}y`;
      assert.equal(canonicalPath(`/x%${hex(byte)}y`), want);
      assert.equal(canonicalPath(`/x${upper}y`), want);
    });

    it(`0x${hex(byte)} escaped twice stays escaped once more`, () => {
      // The escaped percent sign is data: what follows it is text, never an escape.
      assert.equal(canonicalPath(`/x%25${hex(byte)}y`), `/x%25${hex(byte)}y`);
    });

    it(`0x${hex(byte)} in a rule, raw and escaped, finds the request that writes it escaped`, () => {
      if (byte < 0x80 && character !== '%')
        assert.equal(
          canonicalRulePath(`/x${character}y`),
          PLAIN.test(character) ? `/x${character}y` : `/x${upper}y`,
        );
      assert.equal(canonicalRulePath(`/x%${hex(byte)}y`), canonicalPath(`/x%${hex(byte)}y`));
    });
  }
});

describe('canonicalPath', () => {
  const cases: readonly { readonly path: string; readonly want: string | undefined }[] = [
    { path: '/', want: '/' },
    { path: '/user/zoe/tree', want: '/user/zoe/tree' },
    { path: '', want: undefined },
    { path: 'user', want: undefined },
    { path: '*', want: undefined },
    { path: '/%', want: undefined },
    { path: '/%4', want: undefined },
    { path: '/%4g', want: undefined },
    { path: '/%%41', want: undefined },
    { path: '/%u0041', want: undefined },
    { path: '/has%40x', want: '/has@x' },
    { path: '/%7etilde/~', want: '/~tilde/~' },
    { path: '/%e7%a7%80', want: '/%E7%A7%80' },
    { path: '/a%2fb', want: '/a%2Fb' },
    { path: '//', want: '/' },
    { path: '//user//zoe//', want: '/user/zoe/' },
    { path: '/./a/./b/.', want: '/a/b' },
    { path: '/a/..', want: '/' },
    { path: '/a/../', want: '/' },
    { path: '/..', want: '/' },
    { path: '/../../..', want: '/' },
    { path: '/../user', want: '/user' },
    { path: '/user/zoe/../bob/', want: '/user/bob/' },
    { path: '/user/zoe/..//bob', want: '/user/bob' },
    { path: '/user/zoe//../bob', want: '/user/bob' },
    { path: '/user/zoe/%2e%2e/bob', want: '/user/bob' },
    { path: '/user/zoe/.%2E/bob', want: '/user/bob' },
    { path: '/user/zoe/%2E./bob', want: '/user/bob' },
    { path: '/user/zoe/%2e/bob', want: '/user/zoe/bob' },
    // Not dot segments, whatever some servers make of them.
    { path: '/user/zoe/...', want: '/user/zoe/...' },
    { path: '/user/zoe/.hidden/..x', want: '/user/zoe/.hidden/..x' },
    { path: '/user/zoe/..;/bob', want: '/user/zoe/..;/bob' },
    { path: '/user/zoe/..%2fbob', want: '/user/zoe/..%2Fbob' },
    { path: '/user/zoe%2f..%2fbob', want: '/user/zoe%2F..%2Fbob' },
    { path: '/user/zoe/..%5cbob', want: '/user/zoe/..%5Cbob' },
    { path: '/user/zoe/..\\bob', want: '/user/zoe/..%5Cbob' },
    { path: '/user/zoe/%252e%252e/bob', want: '/user/zoe/%252e%252e/bob' },
    { path: '/user/zoe/..%00/bob', want: '/user/zoe/..%00/bob' },
  ];
  for (const { path, want } of cases)
    it(`${JSON.stringify(path)} is ${JSON.stringify(want)}`, () => {
      assert.equal(canonicalPath(path), want);
    });

  it('leaves slashes and dots alone without sanitizePath, but not escapes', () => {
    assert.equal(canonicalPath('//a/../%7e/%2f/%2e%2e/', false), '//a/../~/%2F/../');
    assert.equal(canonicalPath('/%zz', false), undefined);
  });

  /** Paths made of what matters. */
  const piece = fc.constantFrom(
    '/',
    '//',
    '.',
    '..',
    '%2e',
    '%2E',
    '%2f',
    '%25',
    '%252e',
    '\\',
    ';',
    'a',
    'user',
    'zoe',
    'bob',
    '%7e',
    '~',
    '@',
    '%40',
    '\xe7',
    '%E7',
    ' ',
    '%',
    '?',
  );
  const path = fc.array(piece, { maxLength: 12 }).map((pieces) => `/${pieces.join('')}`);

  it('is the same when it is applied again, and holds no dot segment and no empty one', () => {
    fc.assert(
      fc.property(path, (text) => {
        const once = canonicalPath(text);
        if (once === undefined) return;
        assert.equal(canonicalPath(once), once);
        const segments = once.slice(1).split('/');
        for (const [index, segment] of segments.entries()) {
          assert.ok(segment !== '.' && segment !== '..', once);
          assert.ok(segment !== '' || index === segments.length - 1, once);
        }
        assert.match(once, /^[\x21-\x7e]*$/);
      }),
      { numRuns: 2000 },
    );
  });

  it('does not depend on which unreserved characters are escaped', () => {
    fc.assert(
      fc.property(path, fc.array(fc.boolean()), (text, choices) => {
        let index = 0;
        const escaped = text.replace(/%[0-9A-Fa-f]{2}|[A-Za-z.~@]/g, (match) => {
          const chosen = choices[index++] === true;
          return match.length > 1 || !chosen ? match : `%${hex(match.charCodeAt(0))}`;
        });
        assert.equal(canonicalPath(escaped), canonicalPath(text));
      }),
      { numRuns: 2000 },
    );
  });
});

describe('canonicalRulePath', () => {
  const cases: readonly { readonly path: string; readonly want: string }[] = [
    { path: '/user/秀樹/', want: '/user/%E7%A7%80%E6%A8%B9/' },
    { path: '/user/a b/', want: '/user/a%20b/' },
    { path: '/user/has%40x/', want: '/user/has@x/' },
    { path: '/user/bob+test@x.org/', want: '/user/bob+test@x.org/' },
    { path: '/a%2fb', want: '/a%2Fb' },
    { path: '/100%', want: '/100%25' },
    { path: '/a/../b//c', want: '/a/../b//c' },
  ];
  for (const { path, want } of cases)
    it(`${JSON.stringify(path)} is ${JSON.stringify(want)}`, () => {
      assert.equal(canonicalRulePath(path), want);
    });
});

describe('decodedPath', () => {
  const cases: readonly { readonly path: string; readonly want: string }[] = [
    { path: '/%E7%A7%80', want: '/秀' },
    { path: '/a%20b', want: '/a b' },
    { path: '/a%2Fb%3F%25', want: '/a%2Fb%3F%25' },
  ];
  for (const { path, want } of cases)
    it(`${JSON.stringify(path)} is ${JSON.stringify(want)}`, () => {
      assert.equal(decodedPath(path), want);
    });
});
