import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Users } from '../../src/runtime/users.ts';

describe('the users of an element', () => {
  it('are what a set would have, in its order, whether there are none, one or many', () => {
    const step = fc.tuple(fc.boolean(), fc.constantFrom('a', 'b', 'c'));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const users = new Users();
        const model = new Set<string>();
        for (const [isAdded, name] of steps) {
          if (isAdded) {
            users.add(name);
            model.add(name);
          } else {
            users.delete(name);
            model.delete(name);
          }
          assert.deepEqual([...users], [...model]);
          assert.equal(users.size, model.size);
        }
      }),
    );
  });
});
