// dist/program, the program in few files (scripts/bundle.mjs): what could be lost on the way there.

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const PROGRAM = path.join(ROOT, 'dist', 'program');
const skip = existsSync(PROGRAM) ? false : 'esbuild is not installed';

function filesBelow(folder: string, ending: string): readonly string[] {
  return readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => path.join(ROOT, folder, name));
}

test('what modules find relative to themselves is found from there as well', { skip }, () => {
  const found: string[] = [];
  for (const file of filesBelow('src', '.ts'))
    for (const [, target = ''] of readFileSync(file, 'utf8').matchAll(
      /new URL\('([^']*)',\s*import\.meta\.url\)/g,
    )) {
      found.push(target);
      assert.ok(existsSync(path.join(PROGRAM, 'chunks', target)), `${file}: ${target}`);
    }
  assert.ok(found.includes('../worker/worker.js') && found.includes('../../../docs/rest-api.yml'));
});

test('the licence of every package in it is there', { skip }, () => {
  const licenses = readFileSync(path.join(PROGRAM, 'LICENSES.txt'), 'utf8');
  const packages = new Set<string>();
  for (const file of filesBelow('dist/program', '.js'))
    for (const [, name = ''] of readFileSync(file, 'utf8').matchAll(
      /^\/\/ node_modules\/(?:.*\/node_modules\/)?((?:@[^/]+\/)?[^/]+)\//gm,
    ))
      packages.add(name);
  assert.ok(packages.has('fastify') && packages.has('@fastify/error'));
  for (const name of packages) {
    const at = licenses.search(new RegExp(`^${name.replace('.', '\\.')} [0-9.]+ \\(`, 'm'));
    assert.ok(at >= 0, name);
    assert.match(licenses.slice(at, at + 3000), /copyright/i, name);
  }
});
