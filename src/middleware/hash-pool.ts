// Hashes of passwords take milliseconds (apr1) to hundreds of them (bcrypt) by design: they run on one thread of its own, so that whoever
// guesses passwords slows down nobody but other guessers. Checks that would wait for too many others are refused.

import { Worker } from 'node:worker_threads';

/** Checks that may wait. */
const WAITING = 200;

interface Check {
  readonly password: string;
  readonly hash: string;
  readonly resolve: (isRight: boolean) => void;
  readonly reject: (error: Error) => void;
}

let thread: Worker | undefined;
const checks: Check[] = [];

function startThread(): Worker {
  const worker = new Worker(new URL('../middleware/hash-thread.js', import.meta.url));
  worker.unref();
  worker.on('message', (isRight: boolean) => {
    checks.shift()?.resolve(isRight);
    if (checks.length > 0) send(worker);
    else worker.unref();
  });
  worker.on('error', (error: Error) => {
    thread = undefined;
    for (const { reject } of checks.splice(0)) reject(error);
  });
  return worker;
}

function send(worker: Worker): void {
  const [check] = checks;
  if (check === undefined) return;
  // As long as somebody waits, the process stays.
  worker.ref();
  worker.postMessage({ password: check.password, hash: check.hash });
}

/** Whether a password has this hash (bcrypt, apr1 or MD5-crypt); false without looking when too many others wait. */
export function verifyHash(password: string, hash: string): Promise<boolean> {
  if (checks.length >= WAITING) return Promise.resolve(false);
  return new Promise((resolve, reject) => {
    checks.push({ password, hash, resolve, reject });
    thread ??= startThread();
    if (checks.length === 1) send(thread);
  });
}
