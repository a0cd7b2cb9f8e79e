// The store against a model: random changes, edits by others, failures, and a machine that dies at any step. What was acknowledged is
// there afterwards; what was not is there as a whole or not at all; and the file is valid at every moment.

import assert from 'node:assert/strict';
import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import fc from 'fast-check';
import { parseDynamicConfiguration } from '../../src/config/load-dynamic.ts';
import type { HubRoute } from '../../src/hub/route.ts';
import { routeName } from '../../src/hub/routespec.ts';
import { FaultyFileSystem } from '../support/faulty-file-system.ts';
import { makeStore, temporaryFolder, userRoute } from '../support/hub-store.ts';

type Model = ReadonlyMap<string, HubRoute>;

function amended(model: Model, add: readonly HubRoute[], remove: readonly string[]): Model {
  const next = new Map(model);
  for (const routespec of remove) next.delete(routespec);
  for (const route of add) next.set(route.routespec, route);
  return next;
}

function textOf(model: Model): string {
  return JSON.stringify([...model].sort(([a], [b]) => (a < b ? -1 : 1)));
}

const names = ['a', 'b', 'has@', '%E7%A7%80', 'a%20b', 'a%2Fb'];
const change = fc.record({
  add: fc.uniqueArray(fc.tuple(fc.constantFrom(...names), fc.integer({ min: 1, max: 3 })), {
    maxLength: 3,
    selector: ([name]) => name,
  }),
  remove: fc.uniqueArray(fc.constantFrom(...names), { maxLength: 2 }),
});
type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('changes' as const),
      changes: fc.array(change, { minLength: 1, maxLength: 4 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('truncate' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('break' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
);

/** The states that the file may be in: between any two writes of the queue. */
function possibleStates(model: Model, changes: readonly Change[]): Set<string> {
  const states = new Set([textOf(model)]);
  let state = model;
  for (const { add, remove } of changes) {
    state = amended(
      state,
      add.map(([name, port]) => userRoute(name, port)),
      remove.map((name) => `/user/${name}/`),
    );
    states.add(textOf(state));
  }
  return states;
}

function assertValid(path: string): void {
  if (!existsSync(path)) return;
  const text = readFileSync(path, 'utf8');
  if (text.trim() !== '') parseDynamicConfiguration(text, path);
}

async function run(
  t: TestContext,
  steps: readonly (typeof step extends fc.Arbitrary<infer T> ? T : never)[],
  misfortune: { readonly at: number; readonly kind: 'crash-before' | 'crash-within' | 'fail' },
): Promise<void> {
  const path = join(temporaryFolder(t), 'rules.toml');
  const fs = new FaultyFileSystem();
  let isBroken = false;
  fs.plan = (_operation, index) => {
    if (!isBroken) assertValid(path);
    if (index !== misfortune.at) return undefined;
    return misfortune.kind === 'fail' ? { kind: 'fail', code: 'ENOSPC' } : { kind: misfortune.kind };
  };
  let { store, engine } = makeStore(t, path, { fs });
  let model: Model = new Map();
  let states = new Set([textOf(model)]);
  const start = async (): Promise<void> => {
    ({ store, engine } = makeStore(t, path, { fs }));
    await store.start();
  };
  try {
    await start();
    for (const { kind, ...rest } of steps) {
      if (kind === 'truncate') {
        truncateSync(path);
        // Until the next change, memory is all there is.
        states.add(textOf(new Map()));
      } else if (kind === 'break') {
        isBroken = true;
        states.add(textOf(new Map()));
        writeFileSync(path, `${readFileSync(path, 'utf8')}[http.`);
      } else if (kind === 'restart') {
        // A healing write comes before a clean stop, or the routes would be lost with the file.
        await store.reload();
        isBroken = false;
        await store.stop();
        await start();
      } else if ('changes' in rest) {
        states = new Set([...states, ...possibleStates(model, rest.changes)]);
        const results = await Promise.allSettled(
          rest.changes.map(({ add, remove }) =>
            store.change({
              add: add.map(([name, port]) => userRoute(name, port)),
              remove: remove.map((name) => `/user/${name}/`),
            }),
          ),
        );
        if (fs.isDead) break;
        if (results.every(({ status }) => status === 'fulfilled')) isBroken = false;
        results.forEach(({ status }, index) => {
          const { add, remove } = rest.changes[index] ?? { add: [], remove: [] };
          if (status === 'fulfilled')
            model = amended(
              model,
              add.map(([name, port]) => userRoute(name, port)),
              remove.map((name) => `/user/${name}/`),
            );
        });
        states = new Set([textOf(model)]);
        assert.equal(textOf(store.routes), textOf(model));
        const routers = [...model.keys()].map((routespec) => routeName('router', routespec)).sort();
        assert.deepEqual([...engine.targets.keys()].sort(), routers);
      }
    }
  } catch (error) {
    if (!fs.isDead && misfortune.kind !== 'fail') throw error;
  }
  await store.stop();
  // The machine comes back.
  const after = makeStore(t, path);
  await after.store.start();
  assertValid(path);
  const text = textOf(after.store.routes);
  assert.ok(states.has(text), `${text} is none of ${[...states].join(' ')}`);
  await after.store.stop();
}

describe('the route store and crashes', () => {
  it('loses nothing that was acknowledged, at whatever step the machine dies', async (t) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 6 }),
        fc.record({
          at: fc.nat({ max: 40 }),
          kind: fc.constantFrom('crash-before' as const, 'crash-within' as const, 'fail' as const),
        }),
        (steps, misfortune) => run(t, steps, misfortune),
      ),
      { numRuns: 150, includeErrorInReport: true },
    );
  });
});
