// Clients that leave while nobody reads from them. Their FIN lies in the kernel behind bytes that nobody wants yet, and Node has no event for
// that (libuv does not ask for EPOLLRDHUP); but the kernel lists every connection with its state, and `CLOSE_WAIT` says just this. The list
// is read about once a second, and only while a client is held back that was so a second ago. Linux only: elsewhere the limits on stalls
// are what ends such a request.

import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import type { Socket } from 'node:net';
import { endianness } from 'node:os';
import { ipv6Groups } from './address.ts';

/** How often is looked; a list that takes long to read is read less often. */
const LOOK_MS = 1000;
/** The part of the time that reading may take: a busy machine lists ten thousands of connections, most of them long closed. */
const MAX_SHARE = 1 / 20;

const LISTS = ['/proc/self/net/tcp', '/proc/self/net/tcp6'];
/** The peer has sent its FIN, we have not sent ours. Source: include/net/tcp_states.h. */
const CLOSE_WAIT = ' 08 ';

/** A client that is held back. */
export interface HeldBack {
  readonly socket: Socket;
  /** It has left. */
  onDeparted(): void;
}

/** All clients of a worker that are held back. */
export class Departures {
  /** With the number of the look before which each was held back. */
  readonly #held = new Map<HeldBack, number>();
  #looks = 0;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;
  readonly #lists: readonly string[];
  #isPossible = process.platform === 'linux';

  /** `lists`: where the kernel tells of its connections; one that is not there counts for none. */
  constructor(lists: readonly string[] = LISTS) {
    this.#lists = lists;
  }

  /** From now on nothing is read from it. */
  watch(client: HeldBack): void {
    if (!this.#isPossible || this.#isClosed || this.#held.has(client)) return;
    this.#held.set(client, this.#looks);
    this.#schedule(LOOK_MS);
  }

  /** It is read again, or gone. */
  forget(client: HeldBack): void {
    this.#held.delete(client);
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#held.clear();
  }

  #schedule(milliseconds: number): void {
    if (this.#isClosed) return;
    this.#timer ??= setTimeout(() => {
      void this.#look();
    }, milliseconds).unref();
  }

  async #look(): Promise<void> {
    const number = this.#looks++;
    const startedAt = performance.now();
    const long = [...this.#held].filter(([, since]) => since < number).map(([client]) => client);
    if (long.length > 0) {
      const left = await readDeparted(this.#lists);
      if (left === undefined) this.#isPossible = false;
      else
        for (const client of long)
          if (this.#held.has(client) && left.has(connectionKey(client.socket))) {
            this.#held.delete(client);
            client.onDeparted();
          }
    }
    this.#timer = undefined;
    if (this.#held.size > 0 && this.#isPossible)
      this.#schedule(Math.max(LOOK_MS, (performance.now() - startedAt) / MAX_SHARE));
  }
}

/** The connections that their peers have ended; undefined where nobody tells: without /proc, that is. Without IPv6 its list is missing. */
async function readDeparted(lists: readonly string[]): Promise<ReadonlySet<string> | undefined> {
  const texts = await Promise.all(lists.map((list) => readFile(list, 'latin1').catch(() => undefined)));
  if (texts.every((text) => text === undefined)) return undefined;
  const keys = new Set<string>();
  for (const text of texts) if (text !== undefined) addDeparted(text, keys);
  return keys;
}

/** Takes only those lines apart: there may be very many of others. No other column is written with a zero before its one digit. */
function addDeparted(list: string, keys: Set<string>): void {
  for (let at = list.indexOf(CLOSE_WAIT); at >= 0; at = list.indexOf(CLOSE_WAIT, at + 1)) {
    const start = list.lastIndexOf('\n', at) + 1;
    const [, local = '', remote = ''] = list.slice(start, at).trim().split(/\s+/);
    keys.add(`${local} ${remote}`);
  }
}

/** As the kernel writes the two ends of a connection: addresses in words of the machine's byte order, ports in network order. */
function connectionKey({
  localAddress = '',
  localPort = 0,
  remoteAddress = '',
  remotePort = 0,
}: Socket): string {
  return `${kernelAddress(localAddress, localPort)} ${kernelAddress(remoteAddress, remotePort)}`;
}

function kernelAddress(address: string, port: number): string {
  const bytes = addressBytes(address);
  const words: string[] = [];
  for (let at = 0; at < bytes.length; at += 4) {
    const word = bytes.slice(at, at + 4);
    if (endianness() === 'LE') word.reverse();
    words.push(...word.map(hex));
  }
  return `${words.join('')}:${hex(port >> 8)}${hex(port & 0xff)}`;
}

function hex(byte: number): string {
  return byte.toString(16).toUpperCase().padStart(2, '0');
}

/** Four or sixteen; none for what is no address. */
function addressBytes(address: string): number[] {
  const [plain = ''] = address.split('%');
  if (isIP(plain) === 4) return plain.split('.').map(Number);
  if (isIP(plain) !== 6) return [];
  // ::ffff:1.2.3.4
  const tail = /[^:]*\.[^:]*$/.exec(plain)?.[0];
  const text =
    tail === undefined
      ? plain
      : plain.slice(0, -tail.length) + groupsOf(tail.split('.').map(Number)).join(':');
  return ipv6Groups(text).flatMap((group) => {
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}

function groupsOf([a = 0, b = 0, c = 0, d = 0]: readonly number[]): string[] {
  return [((a << 8) | b).toString(16), ((c << 8) | d).toString(16)];
}
