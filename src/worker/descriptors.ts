// How many connections a worker may take with the descriptors it has. A client costs two, its own and one to a server; idle connections to
// servers get a share of their own, and a reserve stays for everything else, so that whoever was let in is never short of one.

import { readFileSync } from 'node:fs';

/** What a process has open beside connections, and a sixteenth of the limit on top. */
const RESERVE = 64;
const RESERVE_SHARE = 1 / 16;
/** The part of the rest that idle connections to servers may take. */
const IDLE_SHARE = 1 / 8;
/** Too low a limit should be seen as such and not as a program that does nothing. */
const LEAST = 8;

/** Open files that this process may have; undefined where that cannot be told, or is unlimited. */
export function descriptorLimit(): number | undefined {
  try {
    const line = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'));
    return line === null ? undefined : Number(line[1]);
  } catch {
    // Not Linux: there is nothing to read.
    return undefined;
  }
}

/** What one worker may have open. */
export interface DescriptorBudget {
  /** Clients at once, over all entry points, tunnels included. */
  readonly maxClients: number;
  /** Idle connections to servers at once, over all of them. */
  readonly maxIdle: number;
}

/** The budget under this limit. */
export function descriptorBudget(limit: number | undefined): DescriptorBudget {
  if (limit === undefined) return { maxClients: Infinity, maxIdle: Infinity };
  const usable = Math.max(0, limit - RESERVE - Math.ceil(limit * RESERVE_SHARE));
  const maxIdle = Math.floor(usable * IDLE_SHARE);
  return { maxClients: Math.max(LEAST, Math.floor((usable - maxIdle) / 2)), maxIdle };
}
