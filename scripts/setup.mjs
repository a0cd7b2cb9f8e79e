// What `npm start` and `npm test` need, made inside the checkout and only when it is missing or out of date. Uses nothing but Node itself,
// because it is what installs everything else. Each step is remembered by a digest of what it was made from.

import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
export const CACHE = path.join(ROOT, '.cache');
export const VENV = path.join(ROOT, '.venv');
export const PYTHON = path.join(VENV, 'bin', 'python');

const MINIMUM_NODE = [20, 19];
const MINIMUM_PYTHON = [3, 10];

/** Something the person in front of the screen can do something about: one line, no stack. */
export class SetupError extends Error {}

/** A line about what is being done. */
export function say(line) {
  process.stdout.write(`${line}\n`);
}

export function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < MINIMUM_NODE[0] || (major === MINIMUM_NODE[0] && minor < MINIMUM_NODE[1]))
    throw new SetupError(
      `Node.js ${MINIMUM_NODE.join('.')} or newer is needed; this is ${process.versions.node}`,
    );
}

/** Runs a command to its end; on failure the last lines of its output and one line of what it was for. */
export async function run(what, command, args, options = {}) {
  const started = Date.now();
  const child = spawn(command, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'], ...options });
  const output = [];
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => output.push(chunk));
  const progress = setInterval(
    () => say(`  … ${what} (${Math.round((Date.now() - started) / 1000)} s)`),
    5000,
  );
  const code = await new Promise((resolve) => {
    child.on('error', (error) => {
      output.push(Buffer.from(String(error.message)));
      resolve(-1);
    });
    child.on('exit', resolve);
  });
  clearInterval(progress);
  if (code === 0) return;
  const lines = Buffer.concat(output).toString('utf8').trimEnd().split('\n').slice(-15);
  process.stderr.write(`${lines.join('\n')}\n`);
  throw new SetupError(
    `${what} failed (${path.basename(command)} ${args[0] ?? ''}, exit code ${code}); see the lines above`,
  );
}

/** A digest of files and of whole folders. */
export function digest(...places) {
  const hash = createHash('sha256');
  const add = (place) => {
    const full = path.join(ROOT, place);
    if (!existsSync(full)) return;
    if (!statSync(full).isDirectory()) {
      hash.update(`${place}\0`).update(readFileSync(full));
      return;
    }
    for (const name of readdirSync(full).sort())
      if (
        !['__pycache__', 'build', 'node_modules', '.pytest_cache', '.ruff_cache'].includes(name) &&
        !name.endsWith('.egg-info')
      )
        add(path.join(place, name));
  };
  for (const place of places) add(place);
  return hash.digest('hex');
}

/** Does `work` unless it has been done for the same `key`, and `made` is still there. */
export async function once(name, key, made, work) {
  const stamp = path.join(CACHE, `${name}.stamp`);
  if (existsSync(made) && existsSync(stamp) && readFileSync(stamp, 'utf8') === key) return false;
  rmSync(stamp, { force: true });
  await work();
  mkdirSync(CACHE, { recursive: true });
  writeFileSync(stamp, key);
  return true;
}

export async function setUpPackages() {
  await once(
    'packages',
    digest('package.json', 'package-lock.json', '.npmrc'),
    path.join(ROOT, 'node_modules'),
    async () => {
      say('Installing the Node packages …');
      await run('installing the Node packages', 'npm', ['ci', '--no-audit', '--no-fund']);
    },
  );
}

export async function build() {
  const key = digest('src', 'test', 'bench', 'tsconfig.json', 'package-lock.json');
  await once('build', key, path.join(ROOT, 'dist', 'src', 'cli', 'main.js'), async () => {
    say('Building …');
    await run('building', process.execPath, [path.join(ROOT, 'scripts', 'build.mjs')]);
  });
}

/** The first Python that is new enough and can make virtual environments. */
export function findPython() {
  const tried = [];
  for (const name of [
    process.env.PYTHON,
    'python3',
    'python3.13',
    'python3.12',
    'python3.11',
    'python3.10',
    'python',
  ]) {
    if (!name) continue;
    const answer = spawnSync(name, ['-c', 'import sys; print("%d %d" % sys.version_info[:2])'], {
      encoding: 'utf8',
    });
    if (answer.status !== 0) continue;
    const [major, minor] = answer.stdout.trim().split(' ').map(Number);
    if (major !== MINIMUM_PYTHON[0] || minor < MINIMUM_PYTHON[1]) {
      tried.push(`${name} is ${major}.${minor}`);
      continue;
    }
    if (spawnSync(name, ['-c', 'import venv, ensurepip'], { stdio: 'ignore' }).status === 0) return name;
    tried.push(`${name} cannot make virtual environments (on Debian and Ubuntu: apt install python3-venv)`);
  }
  const reasons =
    tried.length > 0
      ? `: ${[...new Set(tried)].join(', ')}`
      : ' (on Debian and Ubuntu: apt install python3 python3-venv)';
  throw new SetupError(`Python ${MINIMUM_PYTHON.join('.')} or newer with venv is needed${reasons}`);
}

/** The virtual environment with JupyterHub, JupyterLab and the plug-in; with `tests`, what the Python tests need as well. */
export async function setUpPython() {
  const requirements = path.join('examples', 'requirements.txt');
  await once('venv', `${digest(requirements)} ${VENV}`, PYTHON, async () => {
    const python = findPython();
    say('Making the Python environment with JupyterHub and JupyterLab (about a minute) …');
    rmSync(VENV, { recursive: true, force: true });
    await run('making the Python environment', python, ['-m', 'venv', VENV]);
    await run('installing JupyterHub and JupyterLab', PYTHON, [
      '-m',
      'pip',
      'install',
      '--disable-pip-version-check',
      '-r',
      path.join(ROOT, requirements),
    ]);
  });
  await once('plug-in', `${digest('python')} ${VENV}`, PYTHON, async () => {
    say('Installing the plug-in …');
    await run('installing the plug-in', PYTHON, [
      '-m',
      'pip',
      'install',
      '--disable-pip-version-check',
      '--force-reinstall',
      '--no-deps',
      path.join(ROOT, 'python'),
    ]);
  });
}

/** Runs `main`; a SetupError becomes one line and exit code 1. */
export function runMain(main) {
  main().catch((error) => {
    process.stderr.write(`${error instanceof SetupError ? error.message : error.stack}\n`);
    process.exitCode = 1;
  });
}
