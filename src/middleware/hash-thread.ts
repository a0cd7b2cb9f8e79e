// The thread of hash-pool.ts: one check per message.

import { createRequire } from 'node:module';
import { parentPort } from 'node:worker_threads';
import { compareSync } from 'bcryptjs';
import { isSame } from './is-same.ts';

/** A CommonJS module whose types promise a default export that it does not have. */
const md5 = createRequire(import.meta.url)('apache-md5') as (password: string, salt: string) => string;

parentPort?.on('message', ({ password, hash }: { password: string; hash: string }) => {
  parentPort?.postMessage(
    hash.startsWith('$2') ? compareSync(password, hash) : isSame(md5(password, hash), hash),
  );
});
