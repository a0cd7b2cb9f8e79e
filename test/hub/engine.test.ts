// Changes on their way into the controller's table: in order, and never so many at once that nobody else gets a turn.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { EMPTY_DYNAMIC_CONFIGURATION } from '../../src/config/dynamic.ts';
import type { RouterConfiguration } from '../../src/config/dynamic.ts';
import { EmbeddedEngine } from '../../src/hub/engine.ts';
import type { DynamicPatch } from '../../src/runtime/dynamic-patch.ts';

const ROUTER: RouterConfiguration = { rule: 'PathPrefix(`/`)', service: 'x' };

function patchOf(set: readonly string[], deleted: readonly string[] = []): DynamicPatch {
  return {
    setRouters: new Map(set.map((name) => [name, ROUTER])),
    deleteRouters: deleted,
    setServices: new Map(),
    deleteServices: [],
  };
}

/** A table that remembers what it was given, and the turns of the event loop at which it was. */
function createTable() {
  const names = new Set<string>();
  const turns = new Set<number>();
  let turn = 0;
  const count = (): void => {
    turn++;
    if (isCounting) setImmediate(count);
  };
  let isCounting = true;
  setImmediate(count);
  return {
    names,
    turns,
    stop: () => {
      isCounting = false;
    },
    replace: (_provider: string, { routers }: { readonly routers: ReadonlyMap<string, unknown> }) => {
      names.clear();
      for (const name of routers.keys()) names.add(name);
      return Promise.resolve();
    },
    patch: (_provider: string, { setRouters, deleteRouters }: DynamicPatch) => {
      turns.add(turn);
      for (const name of deleteRouters) names.delete(name);
      for (const name of setRouters.keys()) names.add(name);
      return Promise.resolve();
    },
  };
}

describe('our own engine', () => {
  it('takes a large change in parts, others get their turn between them, and what comes later stays later', async (t) => {
    const table = createTable();
    t.after(table.stop);
    const engine = new EmbeddedEngine(table);
    const many = Array.from({ length: 2200 }, (_, index) => `r${String(index)}`);
    const first = engine.apply(patchOf(many));
    const second = engine.apply(patchOf(['late'], ['r2199', 'r0']));
    await second;
    assert.equal(table.names.has('r2199'), false);
    assert.equal(table.names.has('late'), true);
    await first;
    assert.equal(table.names.size, 2199);
    assert.ok(table.turns.size >= 5, `turns: ${String(table.turns.size)}`);
    const third = engine.apply(patchOf([], many));
    const whole = { ...EMPTY_DYNAMIC_CONFIGURATION, routers: new Map([['r5', ROUTER]]) };
    await Promise.all([third, engine.replace(whole), engine.apply(patchOf(['r6']))]);
    assert.deepEqual([...table.names].sort(), ['r5', 'r6']);
  });

  it('goes on after a change that cannot be worked in', async (t) => {
    const table = createTable();
    t.after(table.stop);
    let isBroken = true;
    const engine = new EmbeddedEngine({
      ...table,
      patch: (provider, patch) => {
        if (isBroken) throw new Error('broken');
        return table.patch(provider, patch);
      },
    });
    await assert.rejects(engine.apply(patchOf(['a'])), /broken/);
    isBroken = false;
    await engine.apply(patchOf(['b']));
    assert.deepEqual([...table.names], ['b']);
  });
});
