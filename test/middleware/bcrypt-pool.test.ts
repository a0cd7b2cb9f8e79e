import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hashSync } from 'bcryptjs';
import { verifyBcrypt } from '../../src/middleware/bcrypt-pool.ts';

const HASH = hashSync('secret', 4);

describe('verifyBcrypt', () => {
  it('answers each check with its own result', async () => {
    const passwords = ['secret', 'wrong', 'secret', '', 'secret'];
    const results = await Promise.all(passwords.map((password) => verifyBcrypt(password, HASH)));
    assert.deepEqual(results, [true, false, true, false, true]);
  });

  it('refuses without looking when 200 others wait, and works again afterwards', async () => {
    const results = await Promise.all(Array.from({ length: 201 }, () => verifyBcrypt('secret', HASH)));
    assert.equal(results.filter(Boolean).length, 200);
    assert.equal(results[200], false);
    assert.equal(await verifyBcrypt('secret', HASH), true);
  });
});
