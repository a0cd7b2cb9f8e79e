// What can be seen of our processes from outside: their titles, and who has a listening socket.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { processTree } from './processes.ts';

const RECOVERY_LIMIT_MS = 60_000;

function titleOf(pid: number): string {
  try {
    return readFileSync(`/proc/${String(pid)}/cmdline`, 'latin1')
      .replaceAll('\0', ' ')
      .trim();
  } catch {
    return '';
  }
}

/** Processes below `root` by the beginning of their title. */
export function processesTitled(root: number, title: string): number[] {
  return processTree(root).filter((pid) => titleOf(pid).startsWith(title));
}

/** Whether a process accepts on a port: it waits for events (epoll) of the listening socket, which the kernel names by its inode. */
export function isAccepting(pid: number, port: number): boolean {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const inodes = readFileSync('/proc/net/tcp', 'latin1')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[1]?.endsWith(`:${hex}`) === true && fields[3] === '0A')
    .map((fields) => `socket:[${fields[9] ?? ''}]`);
  const folder = `/proc/${String(pid)}`;
  try {
    const links = readdirSync(`${folder}/fd`).map((name) => ({ name, link: linkOf(`${folder}/fd/${name}`) }));
    const listening = links.filter(({ link }) => inodes.includes(link)).map(({ name }) => name);
    return links
      .filter(({ link }) => link === 'anon_inode:[eventpoll]')
      .some(({ name }) => {
        const text = readFileSync(`${folder}/fdinfo/${name}`, 'latin1');
        return listening.some((descriptor) => new RegExp(`^tfd:\\s+${descriptor} `, 'm').test(text));
      });
  } catch {
    // It has ended.
    return false;
  }
}

function linkOf(place: string): string {
  try {
    return readlinkSync(place);
  } catch {
    // Closed meanwhile.
    return '';
  }
}

/** How long it took, in milliseconds; rejects when it takes longer than RECOVERY_LIMIT_MS. */
export async function untilTrue(isTrue: () => boolean | Promise<boolean>, what: string): Promise<number> {
  const startedAt = performance.now();
  while (!(await isTrue())) {
    if (performance.now() - startedAt > RECOVERY_LIMIT_MS) throw new Error(`${what} takes too long`);
    await sleep(5);
  }
  return performance.now() - startedAt;
}

/** Waits until all of our workers accept on a port: a start is over when the first one does, and the others are still loading then. */
export async function allWorkersServe(root: number, workers: number, port: number): Promise<void> {
  await untilTrue(() => {
    const pids = processesTitled(root, 'jtp worker');
    return pids.length === workers && pids.every((pid) => isAccepting(pid, port));
  }, 'the start of all workers');
}
