// One program keeps a routes file: docs/route-store.md. Whoever loads it takes `rules.toml.lock` first, and has it until it ends; in a folder
// where no such file can be made, the routes file itself, which is never replaced there. A second program waits a little, because the
// first may be ending, and is refused by name.

import { hostname } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import * as z from 'zod';
import { errnoOf, errorText, ProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { DurableFile, storeFailure } from './durable-file.ts';
import type { LockableFile } from './file-lock.ts';
import type { FileSystem } from './file-system.ts';

/** A program that was told to end, or lost its supervisor, is gone by then. */
const PATIENCE_MS = 10_000;
const FIRST_PAUSE_MS = 20;
const MAX_PAUSE_MS = 500;
/** Reasons for which no file can be made beside the routes file. */
const NO_FILE_REASONS = new Set(['EACCES', 'EPERM', 'EROFS']);
const ABSENT_REASONS = new Set(['ENOENT', 'ENOTDIR']);

/** Who has it; written into the lock file. */
const holderSchema = z.object({ pid: z.number(), writer: z.number(), host: z.string(), since: z.string() });

/** What a lock is taken with. */
export interface RoutesLockOptions {
  /** The routes file, links followed. */
  readonly path: string;
  readonly fs: FileSystem;
  readonly log: Logger;
  /** The process to name to others: the one that an administrator would end. */
  readonly pid: number;
  /** How long somebody else may still be ending; default 10 s. */
  readonly patienceMs?: number;
}

/** A lock that is held. */
export interface RoutesLock {
  readonly release: () => Promise<void>;
}

/**
 * Takes the lock. Undefined where there is nothing to lock yet, or, with one warning, where files cannot be locked. Rejects with ProxyError
 * JTP_ERR_STORE_LOCKED when another program has it, with JTP_ERR_STORE_WRITE when its file cannot be opened.
 */
export async function takeRoutesLock(options: RoutesLockOptions): Promise<RoutesLock | undefined> {
  const { path, log } = options;
  for (;;) {
    const opened = await openLock(options);
    if (opened === undefined) return undefined;
    const { file, name } = opened;
    let isLocked: boolean;
    try {
      isLocked = await untilLocked(file, options.patienceMs ?? PATIENCE_MS);
    } catch (error) {
      await file.close();
      log.warn(
        { file: name, reason: errorText(error) },
        'files cannot be locked here, so nothing keeps a second program from writing the same routes file',
      );
      return undefined;
    }
    if (isLocked && (await file.isAt(name))) {
      if (name !== path)
        await file.write(`${JSON.stringify(holderNow(options.pid))}\n`).catch(() => undefined);
      return { release: () => file.close() };
    }
    await file.close();
    // One that was removed before we had it keeps nobody out: others would lock a new one of that name.
    if (!isLocked) throw await refusal(options, name);
  }
}

/**
 * Rejects like `takeRoutesLock`: asked before anything that a program which keeps this file could mind is touched. The writer takes the lock
 * for itself later.
 */
export async function assertRoutesAreFree(options: RoutesLockOptions): Promise<void> {
  const path = await new DurableFile(options).target().catch(() => options.path);
  await (await takeRoutesLock({ ...options, path }))?.release();
}

/** Undefined when there is neither the file nor its folder: that is complained about by whoever needs them. */
async function openLock({
  path,
  fs,
}: RoutesLockOptions): Promise<{ readonly file: LockableFile; readonly name: string } | undefined> {
  const name = `${path}.lock`;
  try {
    return { file: await fs.openLock(name, 'make'), name };
  } catch (error) {
    if (!NO_FILE_REASONS.has(errnoOf(error))) return absent(name, error);
  }
  for (const existing of [name, path])
    try {
      return { file: await fs.openLock(existing, 'read'), name: existing };
    } catch (error) {
      absent(existing, error);
    }
  return undefined;
}

function absent(name: string, error: unknown): undefined {
  if (ABSENT_REASONS.has(errnoOf(error))) return undefined;
  throw storeFailure('JTP_ERR_STORE_WRITE', `${name} cannot be opened`, error);
}

async function untilLocked(file: LockableFile, patienceMs: number): Promise<boolean> {
  const deadline = performance.now() + patienceMs;
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, MAX_PAUSE_MS)) {
    if (await file.lock()) return true;
    if (performance.now() >= deadline) return false;
    await setTimeout(pause);
  }
}

function holderNow(pid: number): z.infer<typeof holderSchema> {
  return { pid, writer: process.pid, host: hostname(), since: new Date().toISOString() };
}

async function refusal({ path, fs }: RoutesLockOptions, name: string): Promise<ProxyError> {
  let who = 'another process';
  try {
    const { pid, writer, host, since } = holderSchema.parse(JSON.parse(await fs.read(name)));
    const child = writer === pid ? '' : ` (with its child ${String(writer)})`;
    const place = host === hostname() ? '' : ` of the machine or container "${host}"`;
    who = `process ${String(pid)}${child}${place} since ${since}`;
  } catch {
    // It has not written its name yet, or the routes file itself is locked.
  }
  return new ProxyError('JTP_ERR_STORE_LOCKED', {
    message: `${path} is kept by ${who}, and only one program may: end that one, or name another routes file`,
  });
}
