// A process with nothing but a route store, to be killed: `node store-child.js /path/to/rules.toml`. Says what it has, then takes one change
// per line and says when it is acknowledged.

import { createInterface } from 'node:readline';
import { pino } from 'pino';
import { parseDynamicConfiguration } from '../../src/config/load-dynamic.ts';
import { NODE_FILE_SYSTEM } from '../../src/hub/file-system.ts';
import type { RouteChange } from '../../src/hub/route.ts';
import { RouteStore } from '../../src/hub/route-store.ts';
import { RoutesFile } from '../../src/hub/routes-file.ts';
import { RoutesOnDisk } from '../../src/hub/routes-on-disk.ts';
import { newTree } from '../../src/hub/values.ts';
import { RememberingEngine } from './hub-store.ts';

const [path = '', usesJournal = 'true'] = process.argv.slice(2);
const log = pino({ level: 'warn' }, pino.destination({ dest: 2, sync: true }));
const fs = NODE_FILE_SYSTEM;
const file = new RoutesFile({
  path,
  elements: { entryPoint: 'http', preservePath: true },
  setup: () => Promise.resolve(newTree()),
  readForeign: parseDynamicConfiguration,
  fs,
  log,
});
const persistence = new RoutesOnDisk({
  file,
  fs,
  log,
  usesJournal: usesJournal === 'true',
  // Often enough to be met by a kill.
  shortJournalBytes: 4000,
  // A successor waits for as long as its predecessor has work.
  patienceMs: 60_000,
});
const store = new RouteStore({ persistence, engine: new RememberingEngine(), log });
await store.start();
say({ routes: [...store.routes.values()].map(({ routespec, target }) => [routespec, target]) });
createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, ...change } = JSON.parse(line) as RouteChange & { readonly id: number };
  store.change(change).then(
    () => {
      say({ done: id });
    },
    (error: unknown) => {
      say({ failed: id, reason: String(error) });
    },
  );
});

function say(document: object): void {
  process.stdout.write(`${JSON.stringify(document)}\n`);
}
