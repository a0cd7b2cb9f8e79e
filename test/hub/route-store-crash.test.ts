// The store against a model: random changes, edits by others, failures, and a machine that dies at any step. What was acknowledged is
// there afterwards; what was not is there as a whole or not at all; and the file is valid at every moment.

import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
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
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('lose-journal' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
);

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

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

interface Misfortune {
  readonly at: number;
  readonly kind: 'crash-before' | 'crash-within' | 'fail';
}

async function run(
  t: TestContext,
  steps: readonly Step[],
  { misfortune, usesJournal }: { readonly misfortune: Misfortune; readonly usesJournal: boolean },
): Promise<void> {
  const path = join(temporaryFolder(t), 'rules.toml');
  const fs = new FaultyFileSystem();
  let isBroken = false;
  let isJournalLost = false;
  fs.plan = (_operation, index) => {
    if (!isBroken) assertValid(path);
    if (index !== misfortune.at) return undefined;
    return misfortune.kind === 'fail' ? { kind: 'fail', code: 'ENOSPC' } : { kind: misfortune.kind };
  };
  const options = { fs, usesJournal, shortJournalBytes: 600 };
  let { store, engine } = makeStore(t, path, options);
  let model: Model = new Map();
  let states = new Set([textOf(model)]);
  const start = async (): Promise<void> => {
    ({ store, engine } = makeStore(t, path, options));
    await store.start();
  };
  try {
    await start();
    for (const { kind, ...rest } of steps) {
      // Who loses the journal and the file together has lost.
      if (isJournalLost && (kind === 'truncate' || kind === 'break')) continue;
      // Without a journal, memory is all there is until the next change.
      if (!usesJournal && (kind === 'truncate' || kind === 'break')) states.add(textOf(new Map()));
      if (kind === 'truncate') {
        truncateSync(path);
      } else if (kind === 'lose-journal') {
        await store.reload();
        rmSync(`${path}.journal`, { force: true });
        isJournalLost = true;
      } else if (kind === 'break') {
        isBroken = true;
        writeFileSync(path, `${readFileSync(path, 'utf8')}[http.`);
      } else if (kind === 'restart') {
        // A healing write comes before a clean stop, or the routes would be lost with the file.
        await store.reload();
        isBroken = false;
        isJournalLost = false;
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
        if (isJournalLost || isBroken) {
          await store.reload();
          isJournalLost = false;
          isBroken = false;
        }
      }
    }
  } catch (error) {
    if (!fs.isDead && misfortune.kind !== 'fail') throw error;
  }
  await store.stop();
  // The machine comes back.
  const after = makeStore(t, path, { usesJournal });
  await after.store.start();
  await after.store.reload();
  assertValid(path);
  const text = textOf(after.store.routes);
  assert.ok(states.has(text), `${text} is none of ${[...states].join(' ')}`);
  await after.store.stop();
}

/** A route that is added once more is acknowledged once more, although the file was broken in between. */
const FOUND: [Step[], Misfortune][] = [
  [
    [
      { kind: 'changes', changes: [{ add: [['a', 1]], remove: [] }] },
      { kind: 'break' },
      { kind: 'changes', changes: [{ add: [], remove: [] }] },
      { kind: 'truncate' },
    ],
    { at: 11, kind: 'crash-before' },
  ],
];

describe('the route store and crashes', () => {
  for (const usesJournal of [true, false])
    it(`loses nothing that was acknowledged, at whatever step the machine dies, ${usesJournal ? 'with' : 'without'} a journal`, async (t) => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(step, { minLength: 1, maxLength: 6 }),
          fc.record({
            at: fc.nat({ max: 60 }),
            kind: fc.constantFrom('crash-before' as const, 'crash-within' as const, 'fail' as const),
          }),
          (steps, misfortune) => run(t, steps, { misfortune, usesJournal }),
        ),
        { numRuns: 60, includeErrorInReport: true, examples: FOUND },
      );
    });
});
