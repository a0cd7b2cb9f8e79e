// What a worker loads before it says a word: each package delays whoever takes the place of a worker that has died.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { it } from 'node:test';

const WORKER = new URL('../../src/worker/worker.js', import.meta.url);

/** Packages that a module and all it imports statically name, Node's own left out. */
function packagesOf(entry: URL): string[] {
  const seen = new Set<string>();
  const packages = new Set<string>();
  const waiting = [entry.href];
  for (const href of waiting) {
    if (seen.has(href)) continue;
    seen.add(href);
    const text = readFileSync(new URL(href), 'utf8');
    for (const [, name = ''] of text.matchAll(/^(?:import|export)\s(?:[^'"]*\sfrom\s)?['"]([^'"]+)['"]/gm)) {
      if (name.startsWith('.')) waiting.push(new URL(name, href).href);
      else if (!name.startsWith('node:')) packages.add(name);
    }
  }
  assert.ok(seen.size > 40, 'the imports of the worker were not found');
  return [...packages].sort();
}

it('loads its logger and nothing else from packages at a start', () => {
  assert.deepEqual(packagesOf(WORKER), ['pino', 'pino-pretty']);
});
