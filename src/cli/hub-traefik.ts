// The part of `hub` that runs a real Traefik instead of our own engine: the static file is written for it, the controller writes the
// routes file and asks Traefik's API whether it has taken what stands there.

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { errnoOf, errorText, ProxyError } from '../errors.ts';
import { ApiTrouble, EngineApi } from '../hub/engine-api.ts';
import { entryPointOf } from '../hub/settings.ts';
import type { HubSettings } from '../hub/settings.ts';
import { TraefikProcess } from '../hub/traefik-process.ts';
import type { Logger } from '../log.ts';

const LOOK_MS = 50;
/** A Traefik that cannot open its ports ends at once; it is not started for ever while the hub waits. */
const MAX_ENDS = 3;

/** Starts Traefik with a static file that has been written; rejects with ProxyError JTP_ERR_ENGINE_START. */
export async function startTraefik(
  settings: HubSettings,
  files: { readonly staticFile: string; readonly staticText: string; readonly routesFile: string },
  log: Logger,
): Promise<TraefikProcess> {
  const { staticFile, staticText, routesFile } = files;
  // Traefik watches only a file that is there when it starts.
  mkdirSync(dirname(routesFile), { recursive: true });
  try {
    writeFileSync(routesFile, '', { mode: 0o600, flag: 'wx' });
  } catch (cause) {
    if (errnoOf(cause) !== 'EEXIST')
      throw new ProxyError('JTP_ERR_STORE_WRITE', { message: `${routesFile}: ${errorText(cause)}`, cause });
  }
  const traefik = new TraefikProcess({ command: settings.engine, staticFile, staticText, log });
  await traefik.start();
  return traefik;
}

/** Resolves when Traefik's API shows the users' entry point; rejects with ProxyError JTP_ERR_ENGINE_START and the likely cause. */
export async function untilTraefikServes(settings: HubSettings, traefik: TraefikProcess): Promise<void> {
  const api = new EngineApi({
    url: settings.traefikApiUrl,
    username: settings.traefikApiUsername,
    password: settings.traefikApiPassword,
    validateCertificate: settings.traefikApiValidateCert,
  });
  const deadline = Date.now() + settings.checkRouteTimeout * 1000;
  let last = 'it was not asked';
  let ends = 0;
  try {
    while (Date.now() < deadline) {
      const answer = await api.get(`/api/entrypoints/${encodeURIComponent(entryPointOf(settings))}`);
      if (!(answer instanceof ApiTrouble) && answer.status === 200) return;
      last =
        answer instanceof ApiTrouble ? answer.reason : `it answered ${String(answer.status)} ${answer.text}`;
      ends = traefik.end === undefined ? 0 : ends + 1;
      if (ends >= MAX_ENDS) break;
      await delay(LOOK_MS);
    }
  } finally {
    await api.close();
  }
  const end = traefik.end;
  throw new ProxyError('JTP_ERR_ENGINE_START', {
    message:
      end === undefined
        ? `Traefik (${settings.engine}) runs, but its API at ${api.url} did not show the entry point ${entryPointOf(settings)} within ${String(settings.checkRouteTimeout)} s: ${last}`
        : `Traefik (${settings.engine}) does not stay up: ${end}; its log lines above say why (a port in use? a key that it does not know?)`,
  });
}
