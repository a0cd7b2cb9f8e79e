// How many connections each client address has, so that one client cannot take all there are. What is counted is sockets, whatever has
// become of them: TLS handshakes, requests, tunnels.

import type { Socket } from 'node:net';
import type { Logger } from '../log.ts';
import { ipv6Groups, plainAddress } from '../http1/address.ts';
import type { Evictable } from './quiet-connections.ts';
import { QuietConnections } from './quiet-connections.ts';
import { Refusals } from './refusals.ts';

/** What one address, or one network that a single host is given, has. */
interface Share {
  sockets: number;
  readonly connections: Set<Evictable>;
  readonly quiet: QuietConnections;
}

/** Of one entry point. */
export interface ClientAddressesOptions {
  readonly entryPoint: string;
  /** 0 = none. */
  readonly limit: number;
  /** Whether many clients are behind an address. */
  readonly isProxy: (address: string) => boolean;
  readonly log: Logger;
}

/** The shares of all addresses of one entry point. */
export class ClientAddresses {
  readonly #limit: number;
  readonly #refusals: Refusals;
  readonly #isProxy: (address: string) => boolean;
  readonly #shares = new Map<string, Share>();
  readonly #shareOf = new WeakMap<Evictable, Share>();

  constructor({ entryPoint, limit, isProxy, log }: ClientAddressesOptions) {
    this.#limit = limit;
    this.#isProxy = isProxy;
    this.#refusals = new Refusals(
      log,
      { entryPoint, limit },
      'too many connections of one address: some were refused (JTP_MAX_CONNECTIONS_PER_ADDRESS)',
    );
  }

  /** How many were refused so far. */
  get refused(): number {
    return this.#refusals.count;
  }

  /**
   * Counts a socket that has just been accepted until it is closed; false when its address has as many as it may have, and none of them
   * is quiet: else the quietest goes. `now` on the scale of `Deadlines`.
   */
  admits(socket: Socket, now: number): boolean {
    const network = this.#networkOf(socket);
    if (network === undefined) return true;
    const share = this.#shares.get(network) ?? newShare();
    if (share.sockets >= this.#limit) {
      const quiet = share.quiet.find(now);
      if (quiet === undefined) {
        this.#refusals.note();
        return false;
      }
      quiet.destroy();
    }
    share.sockets++;
    this.#shares.set(network, share);
    socket.once('close', () => {
      share.sockets--;
      if (share.sockets === 0) this.#shares.delete(network);
    });
    return true;
  }

  /** What may be asked to leave, from now on until `forget`. */
  note(connection: Evictable, socket: Socket): void {
    const share = this.#shares.get(this.#networkOf(socket) ?? '');
    if (share === undefined) return;
    share.connections.add(connection);
    this.#shareOf.set(connection, share);
  }

  forget(connection: Evictable): void {
    this.#shareOf.get(connection)?.connections.delete(connection);
  }

  /** Undefined: whoever it is, is not counted. */
  #networkOf({ remoteAddress = '' }: Socket): string | undefined {
    if (this.#limit === 0 || remoteAddress === '') return undefined;
    const address = plainAddress(remoteAddress);
    // Where a proxy on this machine comes from.
    if (address === '127.0.0.1' || address === '::1' || this.#isProxy(address)) return undefined;
    return address.includes(':') ? network64(address) : address;
  }
}

function newShare(): Share {
  const connections = new Set<Evictable>();
  return { sockets: 0, connections, quiet: new QuietConnections(connections) };
}

/** The first four groups of an IPv6 address: any host has all that begin with them. Source: RFC 4291 §2.5.1. */
export function network64(address: string): string {
  return ipv6Groups(address).slice(0, 4).join(':');
}
