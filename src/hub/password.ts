// The engine's user list. bcrypt costs what it costs at every first check, and there is nothing to slow down about guessing 128 bits of chance:
// a random password gets a hash that costs nothing.

import { createHash, randomBytes } from 'node:crypto';
import { ProxyError } from '../errors.ts';

const COST = 10;
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
  if (isRandom(password)) return `${username}:{SHA}${createHash('sha1').update(password).digest('base64')}`;
  if (before !== undefined && (await isHashOf(before, username, password))) return before;
  const { hash } = await import('bcryptjs');
  return `${username}:${await hash(password, COST)}`;
}

async function isHashOf(entry: string, username: string, password: string): Promise<boolean> {
  if (!entry.startsWith(`${username}:$2`)) return false;
  const old = entry.slice(username.length + 1);
  if (Number(/^\$2[aby]\$([0-9]{2})\$/.exec(old)?.[1]) !== COST) return false;
  const { compare } = await import('bcryptjs');
  return compare(password, old).catch(() => false);
}

/** 128 bits or more, as nobody chooses them. */
function isRandom(password: string): boolean {
  return /^[0-9a-f]{32,}$/i.test(password);
}
