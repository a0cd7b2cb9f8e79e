import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { QuietConnections } from '../../src/entrypoint/quiet-connections.ts';
import type { Evictable } from '../../src/entrypoint/quiet-connections.ts';

function connection(quietSince: number | undefined): Evictable {
  return { quietSince, destroy: () => undefined };
}

describe('the connection that has to go', () => {
  it('is the one that has been quiet for longest, and never one in use or used a moment ago', () => {
    const longest = connection(2000);
    const all = new Set([
      connection(undefined),
      connection(3000),
      longest,
      connection(9500),
      connection(8999),
    ]);
    const quiet = new QuietConnections(all);
    assert.equal(quiet.find(10_000), longest);
    assert.equal(quiet.find(10_000), longest);
    assert.equal(
      new QuietConnections(new Set([connection(undefined), connection(9001)])).find(10_000),
      undefined,
    );
    assert.equal(new QuietConnections(new Set()).find(10_000), undefined);
  });

  it('is looked for among the next 64, so that all have their turn', () => {
    const first = connection(0);
    const all = new Set([first, ...Array.from({ length: 63 }, () => connection(undefined))]);
    const last = connection(5000);
    all.add(last);
    const quiet = new QuietConnections(all);
    assert.equal(quiet.find(10_000), first);
    assert.equal(quiet.find(10_000), first);
    all.delete(first);
    assert.equal(quiet.find(10_000), last);
  });
});
