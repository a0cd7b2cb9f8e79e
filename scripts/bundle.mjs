// Writes what every start loads, packages included, from dist/src into few files in dist/program: reading and compiling hundreds of modules
// takes longer than a routes file of 10,000 routes (docs/dependencies.md has the figures). What only some starts need stays where it is.
//
// dist/program has the folders of dist/src, and one more. So everything is one folder deep in both, and what a module finds relative to
// itself (`import.meta.url`), it finds if it begins with `../`, and the name of a folder.

import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';

const FILES = ['cli/main', 'controller/main', 'worker/worker', 'middleware/hash-thread'];

/** Loaded late or never, so they remain packages. */
const EXTERNAL = ['@peculiar/x509', 'chokidar', 'prom-client', 'reflect-metadata', 'undici'];

/** Packages in CommonJS ask for Node's own modules in their way. */
const BANNER =
  "import { createRequire as bundledRequire } from 'node:module';\nconst require = bundledRequire(import.meta.url);";

/** Files of a build before stay for so long: a program that was started from them may still load them. */
const KEPT_MS = 24 * 60 * 60 * 1000;

/**
 * Makes dist/program anew; without esbuild there is none, and bin/ takes dist/src. At any moment it can be started from: files are replaced at once,
 * the ones that others name before those that name them.
 */
export async function bundle(root) {
  const dist = path.join(root, 'dist');
  const program = path.join(dist, 'program');
  const esbuild = await import('esbuild').catch(() => undefined);
  if (esbuild === undefined) {
    rmSync(program, { recursive: true, force: true });
    process.stderr.write('esbuild is not installed (npm ci): the program will start more slowly\n');
    return;
  }
  const { metafile, outputFiles } = await esbuild.build({
    write: false,
    absWorkingDir: root,
    entryPoints: FILES.map((name) => `dist/src/${name}.js`),
    outbase: 'dist/src',
    outdir: 'dist/program',
    chunkNames: 'chunks/[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    external: EXTERNAL,
    banner: { js: BANNER },
    // Stack traces name functions as they are, and with `--enable-source-maps` the lines of src/.
    sourcemap: 'linked',
    sourcesContent: false,
    metafile: true,
    logLevel: 'warning',
  });
  const isEntry = ({ path: file }) => !file.includes(`${path.sep}chunks${path.sep}`);
  for (const { path: file, contents } of outputFiles.sort((a, b) => isEntry(a) - isEntry(b)))
    replaceFile(file, contents);
  replaceFile(path.join(program, 'LICENSES.txt'), licenses(root, Object.keys(metafile.inputs)));
  removeOld(path.join(program, 'chunks'), new Set(outputFiles.map(({ path: file }) => file)));
}

function replaceFile(file, contents) {
  mkdirSync(path.dirname(file), { recursive: true });
  const temporary = `${file}.${process.pid}`;
  writeFileSync(temporary, contents);
  renameSync(temporary, file);
}

function removeOld(folder, wanted) {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    const file = path.join(folder, name);
    if (!wanted.has(file) && Date.now() - statSync(file).mtimeMs > KEPT_MS) rmSync(file);
  }
}

/** The licences of the packages that have gone into the bundle. */
function licenses(root, inputs) {
  const folders = new Set(inputs.flatMap((file) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file) ?? []));
  const texts = [...folders].sort().map((folder) => {
    const { name, version, license } = JSON.parse(
      readFileSync(path.join(root, folder, 'package.json'), 'utf8'),
    );
    const files = readdirSync(path.join(root, folder)).filter((file) =>
      /^(?:licen[cs]e|copying|notice)/i.test(file),
    );
    const own = files.map((file) => readFileSync(path.join(root, folder, file), 'utf8').trim());
    return [`${name} ${version} (${license})`, ...own].join('\n\n');
  });
  return `${texts.join(`\n\n${'-'.repeat(80)}\n\n`)}\n`;
}
