// Programs that some tests need and a machine may not have. A missing one is a failure with JTP_CI=1, else the tests are skipped.

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from './hub.ts';

/** The newest and the oldest Traefik 3 that `npm test` installs. */
export const TRAEFIK_VERSIONS = ['3.7.15', '3.0.4'] as const;

function absent(what: string, install: string): string {
  if (process.env['JTP_CI'] === '1') throw new Error(`${what} is missing: ${install}`);
  return `${what} is missing: ${install}`;
}

/** The real Traefik, or why the test is skipped. */
export function traefikBinary(
  version: (typeof TRAEFIK_VERSIONS)[number],
): { readonly path: string; readonly skip: false } | { readonly path: ''; readonly skip: string } {
  const binary = path.join(ROOT, '.cache', `traefik-${version}`, 'bin', 'traefik');
  if (existsSync(binary)) return { path: binary, skip: false };
  return { path: '', skip: absent(`Traefik ${version}`, 'npm test installs it') };
}

/** A Chromium, or why the test is skipped. */
export function chromiumBinary():
  { readonly path: string; readonly skip: false } | { readonly path: ''; readonly skip: string } {
  for (const name of [process.env['CHROMIUM'], 'chromium', 'chromium-browser', 'google-chrome']) {
    if (name === undefined || name === '') continue;
    const found = spawnSync('sh', ['-c', 'command -v "$0"', name], { encoding: 'utf8' });
    if (found.status === 0) return { path: found.stdout.trim(), skip: false };
  }
  return { path: '', skip: absent('Chromium', 'apt install chromium, or set CHROMIUM') };
}
