// A route store on a folder of its own, with an engine that remembers what it was told.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { pino } from 'pino';
import type { DynamicConfiguration } from '../../src/config/dynamic.ts';
import { parseDynamicConfiguration } from '../../src/config/load-dynamic.ts';
import { errnoOf } from '../../src/errors.ts';
import type { RouteEngine } from '../../src/hub/engine.ts';
import { NODE_FILE_SYSTEM } from '../../src/hub/file-system.ts';
import type { FileSystem } from '../../src/hub/file-system.ts';
import type { HubRoute } from '../../src/hub/route.ts';
import { RouteStore } from '../../src/hub/route-store.ts';
import { RoutesFile } from '../../src/hub/routes-file.ts';
import { RoutesOnDisk } from '../../src/hub/routes-on-disk.ts';
import { newTree } from '../../src/hub/values.ts';
import type { Tree } from '../../src/hub/values.ts';
import type { Logger } from '../../src/log.ts';
import type { DynamicPatch } from '../../src/runtime/dynamic-patch.ts';

/** A folder that goes with the test. */
export function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'jtp-hub-'));
  t.after(async () => {
    // A program that ends after this may write there meanwhile.
    for (let attempts = 100; ; attempts--)
      try {
        rmSync(folder, { recursive: true, force: true });
        return;
      } catch (error) {
        if (errnoOf(error) !== 'ENOTEMPTY' || attempts === 0) throw error;
        await setTimeout(20);
      }
  });
  return folder;
}

/** A logger whose lines can be read. */
export function rememberingLogger(): { readonly log: Logger; readonly lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  const log = pino(
    { level: 'info' },
    { write: (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>) },
  );
  return { log, lines };
}

/** Router name → URL, as the engine has been told. */
export class RememberingEngine implements RouteEngine {
  readonly targets = new Map<string, string>();
  replacements = 0;
  patches = 0;

  replace(configuration: DynamicConfiguration): Promise<void> {
    this.replacements++;
    this.targets.clear();
    for (const [name, { service = '' }] of configuration.routers)
      this.targets.set(name, configuration.services.get(service)?.loadBalancer?.servers[0]?.url ?? '');
    return Promise.resolve();
  }

  apply(patch: DynamicPatch): Promise<void> {
    this.patches++;
    for (const name of patch.deleteRouters) this.targets.delete(name);
    for (const [name, { service = '' }] of patch.setRouters)
      this.targets.set(name, patch.setServices.get(service)?.loadBalancer?.servers[0]?.url ?? '');
    return Promise.resolve();
  }

  confirm(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** What a test may choose. */
export interface StoreOptions {
  readonly fs?: FileSystem;
  readonly setup?: Tree;
  readonly engine?: RememberingEngine;
  readonly entryPoint?: string;
  /** Default: true, as with our own engine. */
  readonly usesJournal?: boolean;
  readonly shortJournalBytes?: number;
  readonly patienceMs?: number;
}

/** A store that has not been started. */
export function makeStore(
  t: TestContext,
  path: string,
  options: StoreOptions = {},
): {
  readonly store: RouteStore;
  readonly engine: RememberingEngine;
  readonly lines: Record<string, unknown>[];
} {
  const { log, lines } = rememberingLogger();
  const engine = options.engine ?? new RememberingEngine();
  const fs = options.fs ?? NODE_FILE_SYSTEM;
  const file = new RoutesFile({
    path,
    elements: { entryPoint: options.entryPoint ?? 'http', preservePath: true },
    setup: () => Promise.resolve(options.setup ?? newTree()),
    readForeign: parseDynamicConfiguration,
    fs,
    log,
  });
  const { usesJournal = true, shortJournalBytes, patienceMs } = options;
  const persistence = new RoutesOnDisk({
    file,
    fs,
    log,
    usesJournal,
    ...(shortJournalBytes === undefined ? {} : { shortJournalBytes }),
    ...(patienceMs === undefined ? {} : { patienceMs }),
  });
  const store = new RouteStore({ persistence, engine, log });
  t.after(() => store.stop());
  return { store, engine, lines };
}

/** A route with the usual data. */
export function userRoute(name: string, port = 50_001): HubRoute {
  return {
    routespec: `/user/${name}/`,
    target: `http://127.0.0.1:${String(port)}`,
    data: { user: name, server_name: '' },
  };
}
