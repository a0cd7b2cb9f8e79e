// One server that requests are sent to, with its pool of idle connections. A target lives as long as some service names it; its
// connections in use outlive it.

import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Deadlines } from '../http1/deadlines.ts';
import type { ParserLimits } from '../http1/parser.ts';
import type { TargetAddress } from './target-address.ts';
import type { Transport } from './transport.ts';
import { UpstreamConnection } from './upstream-connection.ts';

/** What all targets of a worker share. */
export interface UpstreamContext {
  readonly deadlines: Deadlines;
  readonly limits: ParserLimits;
}

/** A pooled server. */
export class Target {
  readonly address: TargetAddress;
  readonly transport: Transport;
  readonly context: UpstreamContext;
  /** Tells it from all other targets of the worker. */
  readonly key: string;
  /** Services that name it. */
  references = 0;
  /** The most recently used is last: it is the least likely to be closed by the server. */
  readonly #idle: UpstreamConnection[] = [];

  /** Of the latest TLS connection. */
  #session: Buffer | undefined;

  constructor(address: TargetAddress, transport: Transport, context: UpstreamContext, key: string) {
    this.address = address;
    this.transport = transport;
    this.context = context;
    this.key = key;
  }

  get idleCount(): number {
    return this.#idle.length;
  }

  /**
   * A connection for one exchange: an idle one, else a new one (writing may begin at once, Node holds the bytes until it is connected).
   * `maxIdleMs` bounds how long it may have been idle: an exchange that cannot be repeated does not bet on an old connection.
   */
  acquire(maxIdleMs: number): UpstreamConnection {
    const { deadlines } = this.context;
    const connection = this.#idle.at(-1);
    if (connection !== undefined && deadlines.now - connection.idleSince <= maxIdleMs) {
      this.#idle.pop();
      return connection;
    }
    return this.connect();
  }

  /** A new connection, whatever the pool has. */
  connect(): UpstreamConnection {
    return new UpstreamConnection(this, this.#open());
  }

  /** Takes a connection back after a complete exchange; returns false when it should be closed instead. */
  release(connection: UpstreamConnection): boolean {
    if (this.references === 0 || this.#idle.length >= this.transport.options.maxIdleConnsPerHost)
      return false;
    this.#idle.push(connection);
    return true;
  }

  /** An idle connection has ended. */
  forget(connection: UpstreamConnection): void {
    const index = this.#idle.lastIndexOf(connection);
    if (index >= 0) this.#idle.splice(index, 1);
  }

  /** Closes what is idle; called when no service names the target any more. */
  close(): void {
    for (const connection of this.#idle.splice(0)) connection.destroy();
  }

  #open(): Socket {
    const socket = this.transport.open(this.address, this.#session);
    if (socket instanceof TLSSocket)
      socket.on('session', (session) => {
        this.#session = session;
      });
    return socket;
  }
}
