// Compiles src/, test/ and bench/ into dist/. The compiler builds only what has changed since the last time; what it once made from a file
// that is gone is removed first, so that no test of a former day runs. Then the program is written into few files.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import { bundle } from './bundle.mjs';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const dist = path.join(root, 'dist');

function removeOrphans(folder) {
  const source = path.join(root, path.relative(dist, folder));
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const full = path.join(folder, entry.name);
    if (entry.isDirectory()) {
      // Programs may be started from it at any moment; what is in it, bundle.mjs sees to.
      if (full === path.join(dist, 'program')) continue;
      if (existsSync(path.join(source, entry.name))) removeOrphans(full);
      else rmSync(full, { recursive: true });
      continue;
    }
    const [, stem] = /^(.*)\.js(?:\.map)?$/.exec(entry.name) ?? [];
    if (stem !== undefined && !existsSync(path.join(source, `${stem}.ts`))) rmSync(full);
  }
}

if (!existsSync(path.join(dist, 'src', 'cli', 'main.js'))) rmSync(dist, { recursive: true, force: true });
else removeOrphans(dist);

const tsc = path.join(root, 'node_modules', 'typescript', 'bin', 'tsc');
const result = spawnSync(process.execPath, [tsc, '-p', root], { stdio: 'inherit' });
process.exitCode = result.status ?? 1;
if (process.exitCode === 0) await bundle(root);
