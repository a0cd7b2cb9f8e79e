// The engine's user list. bcrypt costs what it costs at every first check, so a password that nobody could guess anyway gets a cheap hash.

import { randomBytes } from 'node:crypto';
import { compare, hash } from 'bcryptjs';
import { ProxyError } from '../errors.ts';

const COST = 10;
/** The lowest there is: 2^4 rounds. 128 bits of chance need no more. */
const RANDOM_COST = 4;
/** bcrypt looks no further. */
const MAX_BYTES = 72;

/** A password that nobody can guess. */
export function randomPassword(): string {
  return randomBytes(32).toString('hex');
}

/** `name:hash` for `basicAuth.users`; `before` is kept when it is right, so that a restart changes nothing. */
export async function userEntry(options: {
  readonly username: string;
  readonly password: string;
  readonly hashed: string;
  readonly before?: string | undefined;
}): Promise<string> {
  const { username, password, hashed, before } = options;
  if (username.includes(':'))
    throw new ProxyError('JTP_ERR_SETTINGS_INVALID', {
      message:
        'settings: traefikApiUsername: a user name for basic authentication has no colon (RFC 7617 §2)',
    });
  if (hashed !== '') return `${username}:${hashed}`;
  if (Buffer.byteLength(password, 'utf8') > MAX_BYTES)
    throw new ProxyError('JTP_ERR_SETTINGS_INVALID', {
      message: `settings: traefikApiPassword: bcrypt takes at most ${String(MAX_BYTES)} bytes; choose a shorter one, or give traefikApiHashedPassword`,
    });
  if (before !== undefined && (await isHashOf(before, username, password))) return before;
  return `${username}:${await hash(password, isRandom(password) ? RANDOM_COST : COST)}`;
}

async function isHashOf(entry: string, username: string, password: string): Promise<boolean> {
  if (!entry.startsWith(`${username}:$2`)) return false;
  const old = entry.slice(username.length + 1);
  const cost = Number(/^\$2[aby]\$([0-9]{2})\$/.exec(old)?.[1] ?? '99');
  if (cost > COST || (cost < COST && !isRandom(password))) return false;
  return compare(password, old).catch(() => false);
}

function isRandom(password: string): boolean {
  return /^[0-9a-f]{32,}$/i.test(password);
}
