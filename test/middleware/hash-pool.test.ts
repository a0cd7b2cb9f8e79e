import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hashSync } from 'bcryptjs';
import { verifyHash } from '../../src/middleware/hash-pool.ts';

const HASH = hashSync('secret', 4);

describe('verifyHash', () => {
  it('answers each check with its own result', async () => {
    const passwords = ['secret', 'wrong', 'secret', '', 'secret'];
    const results = await Promise.all(passwords.map((password) => verifyHash(password, HASH)));
    assert.deepEqual(results, [true, false, true, false, true]);
  });

  it('knows the kinds of hashes apart', async () => {
    const hashes = [
      HASH,
      '$apr1$saltsalt$LrttParrLPdxvgutaSXWJ0',
      '$1$saltsalt$9xy1btjgzLYfb7hivXtC//',
      '$1$x$y',
    ];
    const results = await Promise.all(hashes.map((hash) => verifyHash('secret', hash)));
    assert.deepEqual(results, [true, true, true, false]);
  });

  it('refuses without looking when 200 others wait, and works again afterwards', async () => {
    const results = await Promise.all(Array.from({ length: 201 }, () => verifyHash('secret', HASH)));
    assert.equal(results.filter(Boolean).length, 200);
    assert.equal(results[200], false);
    assert.equal(await verifyHash('secret', HASH), true);
  });
});
