// Prefixes and what lies below them, against a list that is searched from end to end.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ancestorsOf, PrefixSet } from '../../src/hub/prefix-set.ts';

const segment = fc.constantFrom('a', 'b', 'ab', '%2F');
const host = fc.constantFrom('', 'x', 'y.z');
const prefix = fc
  .tuple(host, fc.array(segment, { minLength: 1, maxLength: 4 }))
  .map(([name, segments]) => `${name}/${segments.join('/')}/`);

describe('a set of prefixes', () => {
  it('keeps the order of addition, and finds what a search of everything finds', () => {
    const step = fc.tuple(fc.constantFrom('add', 'add', 'delete'), prefix);
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), prefix, (steps, asked) => {
        const set = new PrefixSet();
        const model = new Set<string>();
        for (const [what, one] of steps)
          if (what === 'add') {
            set.add(one);
            model.add(one);
          } else {
            set.delete(one);
            model.delete(one);
          }
        assert.deepEqual([...set], [...model]);
        assert.equal(set.size, model.size);
        for (const one of [asked, ...model])
          assert.deepEqual(
            [...set.below(one)].sort(),
            [...model].filter((other) => other.startsWith(one)).sort(),
          );
      }),
    );
  });

  it('knows what lies above a prefix, but for the root', () => {
    assert.deepEqual([...ancestorsOf('/user/zoe/lab/')], ['/user/zoe/', '/user/']);
    assert.deepEqual([...ancestorsOf('host/user/zoe/')], ['host/user/']);
    assert.deepEqual([...ancestorsOf('/user/')], []);
    assert.deepEqual([...ancestorsOf('/')], []);
    assert.deepEqual([...ancestorsOf('host/')], []);
  });
});
