// The state machine of docs/route-store.md, before any file: random steps and crashes. What was acknowledged is there afterwards, and what
// others wrote beside the routes is what they wrote last, or was spoilt by somebody.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { amended, newWorld, steps } from '../support/store-model.ts';
import type { Delta, Table, World } from '../support/store-model.ts';

const delta: fc.Arbitrary<Delta> = fc
  .uniqueArray(fc.tuple(fc.constantFrom('/a/', '/b/', '/c/'), fc.option(fc.constantFrom('1', '2'))), {
    maxLength: 3,
    selector: ([routespec]) => routespec,
  })
  .map((pairs) => new Map(pairs.map(([routespec, target]) => [routespec, target ?? undefined])));

type Step = (world: World) => void;

const plain = (
  name: 'endCommit' | 'failCommit' | 'compact' | 'writeView' | 'spoilView' | 'spoilJournal',
): Step => {
  return (world) => {
    steps[name](world);
  };
};

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: delta.map((change) => (world: World) => {
      if (world.inFlight === undefined) steps.beginCommit(world, change);
    }),
  },
  { weight: 5, arbitrary: fc.constant(plain('endCommit')) },
  { weight: 2, arbitrary: fc.constant(plain('writeView')) },
  {
    weight: 4,
    arbitrary: fc
      .constantFrom('failCommit' as const, 'compact' as const, 'spoilView' as const, 'spoilJournal' as const)
      .map(plain),
  },
  fc.constantFrom('x', 'y').map((foreign) => (world: World) => {
    steps.editView(world, foreign);
  }),
);

function textOf(table: Table): string {
  return JSON.stringify([...table].sort(([a], [b]) => (a < b ? -1 : 1)));
}

describe('the model of the route store', () => {
  it('loses nothing that was acknowledged, wherever the machine dies', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            steps: fc.array(step, { maxLength: 12 }),
            keeps: fc.constantFrom('all', 'half', 'nothing'),
          }),
          { minLength: 1, maxLength: 4 },
        ),
        (lives) => {
          const world = newWorld();
          for (const { steps: life, keeps } of lives) {
            steps.start(world);
            for (const act of life) act(world);
            const { acknowledged, inFlight } = world;
            const possible = [
              acknowledged,
              ...(inFlight === undefined ? [] : [amended(acknowledged, inFlight)]),
            ];
            steps.crash(world, keeps);
            steps.start(world);
            const found = textOf(world.memory?.table ?? new Map());
            assert.ok(
              possible.map(textOf).includes(found),
              `${found} is none of ${possible.map(textOf).join(' ')}`,
            );
            world.acknowledged = world.memory?.table ?? new Map();
          }
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('keeps what others wrote beside the routes, whatever the journal holds', () => {
    const world = newWorld();
    steps.start(world);
    steps.beginCommit(world, new Map([['/a/', '1']]));
    steps.endCommit(world);
    steps.writeView(world);
    steps.editView(world, 'admin');
    steps.crash(world, 'nothing');
    steps.start(world);
    assert.equal(world.memory?.foreign, 'admin');
    assert.deepEqual(world.memory.table, new Map([['/a/', '1']]));
    steps.writeView(world);
    steps.spoilView(world);
    steps.crash(world, 'nothing');
    steps.start(world);
    assert.equal(world.memory.foreign, 'admin');
    assert.deepEqual(world.memory.table, new Map([['/a/', '1']]));
  });
});
