// The configurable-http-proxy command beside the program of that name: the same calls to both. What differs on purpose is in
// expected-chp-differences.json, with the reason; everything else must be the same. JTP_CONFORMANCE_SHOW=1 prints every difference.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { ROOT } from '../support/traefik-binary.ts';
import { GROUPS } from './chp-cases.ts';
import { differingFields, observe, startEcho, startPeer } from './chp-peer.ts';
import type { Call } from './chp-peer.ts';

interface Class {
  readonly reason: string;
  /** `group/call` to the fields that differ. */
  readonly cases: Readonly<Record<string, readonly string[]>>;
}

const EXPECTED = new Map(
  (
    JSON.parse(
      readFileSync(join(ROOT, 'test', 'conformance', 'expected-chp-differences.json'), 'utf8'),
    ) as readonly Class[]
  ).flatMap(({ cases }) => Object.entries(cases)),
);
const shows = process.env['JTP_CONFORMANCE_SHOW'] === '1';

/** Tells the calls of a group apart. */
function nameOf({ to, method = 'GET', path, body, headers }: Call, index: number): string {
  const more = [
    ...(body === undefined ? [] : [body]),
    ...(headers === undefined ? [] : [JSON.stringify(headers)]),
  ];
  return [`${String(index + 1)}.`, to, method, path, ...more].join(' ');
}

describe('beside configurable-http-proxy', () => {
  const seen = new Set<string>();
  for (const { name, args, calls } of GROUPS)
    it(name, async (t) => {
      const target = await startEcho(t);
      const actual = args.map((text) => text.replaceAll('TARGET', target));
      const real = await startPeer(t, 'real', actual);
      const ours = await startPeer(t, 'ours', actual);
      const wrong: string[] = [];
      for (const [index, call] of calls.entries()) {
        const id = `${name}/${nameOf(call, index)}`;
        const theirs = await observe(real, call, target);
        const own = await observe(ours, call, target);
        const differing = differingFields(theirs, own);
        const expected = EXPECTED.get(id) ?? [];
        if (expected.length > 0) seen.add(id);
        if (shows && differing.length > 0) console.log(id, JSON.stringify(differing), theirs, own);
        if (JSON.stringify(differing) !== JSON.stringify(expected))
          wrong.push(
            `${id}\n  differs in ${JSON.stringify(differing)}, expected ${JSON.stringify(expected)}`,
          );
      }
      assert.deepEqual(wrong, []);
    });

  it('has a case for every difference that is listed', () => {
    assert.deepEqual(
      [...EXPECTED.keys()].filter((id) => !seen.has(id)),
      [],
    );
  });
});
