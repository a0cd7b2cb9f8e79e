import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { chooseResting } from '../../src/supervisor/balance.ts';

describe('who leaves accepting to the others', () => {
  for (const { name, loads, want } of [
    { name: 'nobody when all are even', loads: [100, 100, 100], want: [] },
    { name: 'nobody because of a few connections', loads: [30, 2], want: [] },
    { name: 'whoever is well above its share', loads: [60, 240], want: [2] },
    { name: 'several', loads: [500, 500, 10, 10], want: [1, 2] },
    { name: 'nobody when there is one only', loads: [5000], want: [] },
    { name: 'nobody when there is none', loads: [], want: [] },
  ])
    it(name, () => {
      const resting = chooseResting(
        loads.map((connections, index) => ({ id: index + 1, connections, isResting: false })),
      );
      assert.deepEqual([...resting], want);
    });

  it('lets a worker rest until it is nearer to the others than it was when it began', () => {
    const loads = (isResting: boolean) => [
      { id: 1, connections: 150, isResting },
      { id: 2, connections: 100, isResting: false },
    ];
    assert.deepEqual([...chooseResting(loads(false))], []);
    assert.deepEqual([...chooseResting(loads(true))], [1]);
  });

  it('always leaves somebody who accepts', () => {
    const load = fc.record({ connections: fc.nat(100_000), isResting: fc.boolean() });
    fc.assert(
      fc.property(fc.array(load, { minLength: 1 }), (loads) => {
        const resting = chooseResting(loads.map((each, id) => ({ ...each, id })));
        return resting.size < loads.length;
      }),
    );
  });
});
