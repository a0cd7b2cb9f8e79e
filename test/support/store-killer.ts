// Kills a process with a route store again and again, at any instant, and damages its file now and then; sometimes the next one waits for its
// place already. What was acknowledged has to be there afterwards, and of what was not, a beginning or nothing.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { appendFileSync, existsSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseDynamicConfiguration } from '../../src/config/load-dynamic.ts';
import type { RouteChange } from '../../src/hub/route.ts';
import { temporaryFolder, userRoute } from './hub-store.ts';
import { within } from './sockets.ts';

const PROGRAM = fileURLToPath(new URL('store-child.js', import.meta.url));
/** Changes that wait for their answers at once. */
const AT_ONCE = 8;

type Table = Map<string, string>;

interface Life {
  readonly child: ChildProcess;
  readonly found: Table;
  /** In the order in which they were sent; an acknowledged one is gone. */
  readonly pending: Map<number, RouteChange>;
  readonly ended: Promise<void>;
}

/** A generator of numbers that can be repeated. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function amend(table: Table, { add, remove }: RouteChange): Table {
  for (const routespec of remove) table.delete(routespec);
  for (const { routespec, target } of add) table.set(routespec, target);
  return table;
}

function textOf(table: Table): string {
  return JSON.stringify([...table].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Runs the loop; returns how many changes were acknowledged. */
export async function killStores(
  t: TestContext,
  options: {
    readonly kills: number;
    readonly seed: number;
    readonly usesJournal: boolean;
    readonly onKill?: (kill: number) => void;
  },
): Promise<number> {
  const { kills, seed, usesJournal } = options;
  const path = join(temporaryFolder(t), 'rules.toml');
  const random = randomFrom(seed);
  let table: Table = new Map();
  let pending = new Map<number, RouteChange>();
  let acknowledged = 0;
  let isDamaged = false;
  let successor: Promise<Life> | undefined;
  for (let kill = 0; kill <= kills; kill++) {
    options.onKill?.(kill);
    // What we have damaged ourselves may not have been healed before the kill.
    const isValid = isValidFile(path);
    assert.ok(isValid || isDamaged, 'the routes file is not valid');
    isDamaged &&= !isValid;
    // A successor's time begins when its predecessor has gone.
    const life = await within(successor ?? start(t, path, usesJournal), 'a store');
    successor = kill < kills && random() < 0.3 ? start(t, path, usesJournal) : undefined;
    table = survivor(table, pending, life.found);
    pending = life.pending;
    const wanted = Math.floor(random() ** 2 * 60);
    acknowledged += await work(life, table, { wanted, random });
    if (usesJournal && random() < 0.3) {
      isDamaged = true;
      damage(path, random());
    }
    life.child.kill('SIGKILL');
    await life.ended;
  }
  return acknowledged;
}

function isValidFile(path: string): boolean {
  try {
    if (existsSync(path)) parseDynamicConfiguration(readFileSync(path, 'utf8'), path);
    return true;
  } catch {
    return false;
  }
}

/** The table that a life began with: what was acknowledged, and a beginning of what was not. */
function survivor(table: Table, pending: ReadonlyMap<number, RouteChange>, found: Table): Table {
  const want = textOf(found);
  const state = new Map(table);
  const states = [textOf(state)];
  for (const change of pending.values()) states.push(textOf(amend(state, change)));
  assert.ok(states.includes(want), `found ${want}, which is none of ${states.join(' ')}`);
  return found;
}

async function start(t: TestContext, path: string, usesJournal: boolean): Promise<Life> {
  const child = spawn(process.execPath, [PROGRAM, path, String(usesJournal)], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  t.after(() => child.kill('SIGKILL'));
  child.stdin.on('error', () => undefined);
  const ended = new Promise<void>((resolve) => child.once('close', resolve));
  const pending = new Map<number, RouteChange>();
  const lines = createInterface({ input: child.stdout });
  const first = await new Promise<string>((resolve) => lines.once('line', resolve));
  const { routes } = JSON.parse(first) as { readonly routes: readonly (readonly [string, string])[] };
  return { child, found: new Map(routes), pending, ended };
}

/** Sends changes and takes answers until `wanted` of them have come; returns how many came. */
async function work(
  { child, pending }: Life,
  table: Table,
  { wanted, random }: { readonly wanted: number; readonly random: () => number },
): Promise<number> {
  let id = 0;
  let done = 0;
  const send = (): void => {
    const name = `u${String(Math.floor(random() * 40))}`;
    const change: RouteChange =
      random() < 0.7
        ? { add: [userRoute(name, 1 + Math.floor(random() * 60_000))], remove: [] }
        : { add: [], remove: [`/user/${name}/`] };
    pending.set(++id, change);
    child.stdin?.write(`${JSON.stringify({ id, ...change })}\n`);
  };
  const { stdout } = child;
  if (stdout === null) throw new Error('the store has no output');
  const lines = createInterface({ input: stdout });
  const enough = new Promise<void>((resolve) => {
    lines.on('line', (line) => {
      const answer = JSON.parse(line) as { readonly done?: number; readonly reason?: string };
      const change = pending.get(answer.done ?? 0);
      if (answer.done === undefined || change === undefined)
        throw new Error(`refused: ${String(answer.reason)}`);
      pending.delete(answer.done);
      amend(table, change);
      done++;
      if (done >= wanted) resolve();
      else send();
    });
  });
  for (let at = 0; at < AT_ONCE; at++) send();
  if (wanted > 0) await within(enough, 'the answers');
  return done;
}

function damage(path: string, dice: number): void {
  if (!existsSync(path)) return;
  if (dice < 0.5) truncateSync(path);
  else if (dice < 0.75) rmSync(path);
  else appendFileSync(path, '\n[http.');
}
