// One server that requests are sent to: its pool of idle connections, how many it may have, who waits for one, and whether it is there at
// all. A target lives as long as some service names it; its connections in use outlive it.
//
//   up ──no connection can be made──► dead: answered here, at once ──back-off over──► one request tries ──connected──► up
//                                       ▲ back-off doubles, up to MAX_BACK_OFF_MS ────────┘ fails

import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { errnoOf, ProxyError } from '../errors.ts';
import type { Deadlines, Timed } from '../http1/deadlines.ts';
import type { ParserLimits } from '../http1/parser.ts';
import type { Logger } from '../log.ts';
import { describeAddress } from './target-address.ts';
import type { TargetAddress } from './target-address.ts';
import type { Transport } from './transport.ts';
import { UpstreamConnection } from './upstream-connection.ts';

/** What has happened between a worker and its servers since the start. */
export interface UpstreamCounters {
  /** Connections begun. */
  connects: number;
  /** Attempts that led to no connection. */
  connectFailures: number;
  /** Requests sent again after a kept connection had turned out to be dead. */
  repeated: number;
  /** Requests answered 502 because a kept connection turned out to be dead and they must not be sent twice. */
  lost: number;
  /** Requests answered here because their server was known to be dead. */
  refusedDead: number;
  /** Requests answered here because of the limits on connections and waiting requests. */
  refusedBusy: number;
}

/** All at nothing. */
export function newCounters(): UpstreamCounters {
  return { connects: 0, connectFailures: 0, repeated: 0, lost: 0, refusedDead: 0, refusedBusy: 0 };
}

/** What all targets of a worker share. */
export interface UpstreamContext {
  readonly deadlines: Deadlines;
  readonly limits: ParserLimits;
  /** Connections to one server, tunnels included; 0 = no limit. */
  readonly maxConnections: number;
  /** Requests that may wait for one of them. */
  readonly maxWaiting: number;
  readonly log: Logger;
  readonly counters: UpstreamCounters;
  readonly idle: ConnectionCount;
  /** All connections to servers, those in use included. */
  readonly open: ConnectionCount;
}

/** Connections over all targets of a worker. */
export interface ConnectionCount {
  count: number;
  readonly max: number;
}

/**
 * The part of all connections that any server may take. What is left is for servers that have less than the other part: clients of a single
 * one, who over HTTP/2 need few connections themselves, must not take all that others could be reached over.
 */
const COMMON_SHARE = 3 / 4;
const LARGEST_SHARE = 1 / 2;

/** A request that waits for a connection. */
export interface Waiting {
  /** There is a connection, or room for one: ask again, now. */
  onTurn(): void;
  /** It has waited too long. */
  onWaitedTooLong(error: ProxyError): void;
}

/** A request that cannot be repeated only takes a connection that was in use this recently. */
const FRESH_MS = 1000;
/** A server that closes a connection this soon after using it, without having announced it, … */
const HASTY_MS = 2000;
/** … gets requests that cannot be repeated only on new connections for this long. */
const DISTRUST_MS = 60_000;

const FIRST_BACK_OFF_MS = 50;
const MAX_BACK_OFF_MS = 1000;

/** Idle connections beyond so many were needed by a burst, … */
const KEPT_IDLE = 4;
/** … and are closed when the next one does not come this soon. */
const SURPLUS_IDLE_MS = 3000;

const OWN_WANT = new Set(['EMFILE', 'ENFILE', 'EADDRNOTAVAIL', 'ENOBUFS', 'ENOMEM']);

/** How a target is known to be dead. */
interface Death {
  readonly error: ProxyError;
  readonly backOffMs: number;
  /** On the clock of `performance.now()`. */
  nextAttemptAt: number;
  /** The one that tries; undefined between attempts. */
  attempt: UpstreamConnection | undefined;
}

interface Place {
  readonly waiter: Waiting;
  readonly since: number;
}

/** Always empty: most of many targets are never asked for anything, so they get lists of their own with the first entry. */
const NO_IDLE: UpstreamConnection[] = [];
const NO_WAITING: Place[] = [];

/** A pooled server. */
export class Target implements Timed {
  readonly address: TargetAddress;
  readonly transport: Transport;
  readonly context: UpstreamContext;
  /** Tells it from all other targets of the worker. */
  readonly key: string;
  /** Services that name it. */
  references = 0;
  /** While requests wait: when the first of them has waited long enough (`dialTimeout`). */
  deadline = 0;
  /** The most recently used is last: it is the least likely to be closed by the server. */
  #idle = NO_IDLE;
  #waiting = NO_WAITING;
  #open = 0;
  #death: Death | undefined;
  #distrustUntil = 0;
  /** Of the latest TLS connection. */
  #session: Buffer | undefined;
  #isWaking = false;

  constructor(address: TargetAddress, transport: Transport, context: UpstreamContext, key: string) {
    this.address = address;
    this.transport = transport;
    this.context = context;
    this.key = key;
  }

  get idleCount(): number {
    return this.#idle.length;
  }

  /** Connections, tunnels included. */
  get openCount(): number {
    return this.#open;
  }

  get waitingCount(): number {
    return this.#waiting.length;
  }

  /** False while it is dead and nobody may try yet. */
  get isAvailable(): boolean {
    return this.#death === undefined || mayTry(this.#death);
  }

  /** Why a request is answered at once and here; undefined when it may go on. */
  refusal(): ProxyError | undefined {
    return this.isAvailable ? undefined : this.#death?.error;
  }

  /**
   * An idle connection. One for a request that cannot be repeated was in use a moment ago, and its server is not known for closing
   * connections early; even so its caller has to look whether it is still alive one turn of the event loop later.
   */
  take(isRepeatable: boolean): UpstreamConnection | undefined {
    if (isRepeatable) return this.#pop();
    const { now } = this.context.deadlines;
    const connection = this.#idle.at(-1);
    if (connection === undefined || now - connection.idleSince > FRESH_MS || now < this.#distrustUntil)
      return undefined;
    return this.#pop();
  }

  #pop(): UpstreamConnection | undefined {
    const connection = this.#idle.pop();
    if (connection !== undefined) this.context.idle.count--;
    return connection;
  }

  /** Whether one more connection may be made; an idle one that is not wanted gives way. */
  makeRoom(): boolean {
    if (this.#hasRoom()) return true;
    this.#idle[0]?.destroy();
    return this.#hasRoom();
  }

  #hasRoom(): boolean {
    const { maxConnections, open } = this.context;
    if (maxConnections > 0 && this.#open >= maxConnections) return false;
    return open.count < open.max * (this.#open < open.max * LARGEST_SHARE ? 1 : COMMON_SHARE);
  }

  /** A new connection, whatever the pool has; writing may begin at once, Node holds the bytes until it is connected. */
  connect(): UpstreamConnection {
    this.context.counters.connects++;
    this.context.open.count++;
    this.#open++;
    const connection = new UpstreamConnection(this, this.#openSocket());
    if (this.#death !== undefined) this.#death.attempt = connection;
    return connection;
  }

  /** Waits for a connection; false when too many do already, or none is there that could become free. */
  enqueue(waiter: Waiting): boolean {
    const { deadlines, maxWaiting } = this.context;
    const { dialTimeoutMs } = this.transport.options;
    if (this.#waiting.length >= maxWaiting || this.#open === 0) return false;
    if (this.#waiting === NO_WAITING) this.#waiting = [];
    this.#waiting.push({ waiter, since: deadlines.now });
    if (this.#waiting.length === 1 && dialTimeoutMs > 0) {
      this.deadline = deadlines.now + dialTimeoutMs;
      deadlines.add(this);
    }
    return true;
  }

  /** Waits no more. */
  dequeue(waiter: Waiting): void {
    const index = this.#waiting.findIndex((entry) => entry.waiter === waiter);
    if (index >= 0) this.#waiting.splice(index, 1);
  }

  onDeadline(): void {
    const { deadlines } = this.context;
    const { dialTimeoutMs } = this.transport.options;
    while (this.#waiting.length > 0) {
      const [first] = this.#waiting;
      if (first === undefined) return;
      if (first.since + dialTimeoutMs > deadlines.now) {
        this.deadline = first.since + dialTimeoutMs;
        return;
      }
      this.#waiting.shift();
      first.waiter.onWaitedTooLong(new ProxyError('JTP_ERR_UPSTREAM_BUSY'));
    }
    deadlines.delete(this);
  }

  // From its connections.

  /** Takes a connection back after a complete exchange; returns for how long it may be idle, 0 when it should be closed instead. */
  release(connection: UpstreamConnection): number {
    const { idle } = this.context;
    if (this.#waiting.length > 0) this.#wakeSoon();
    else if (
      this.references === 0 ||
      this.#idle.length >= this.transport.options.maxIdleConnsPerHost ||
      idle.count >= idle.max
    )
      return 0;
    idle.count++;
    if (this.#idle === NO_IDLE) this.#idle = [];
    return this.#idle.push(connection) > KEPT_IDLE ? SURPLUS_IDLE_MS : Infinity;
  }

  /** An idle connection has ended. */
  forget(connection: UpstreamConnection): void {
    const index = this.#idle.lastIndexOf(connection);
    if (index < 0) return;
    this.#idle.splice(index, 1);
    this.context.idle.count--;
  }

  /** A connection, or the tunnel it has become, is closed. */
  onConnectionClosed(): void {
    this.#open--;
    this.context.open.count--;
    if (this.#waiting.length > 0) this.#wakeSoon();
  }

  onConnected(): void {
    if (this.#death === undefined) return;
    this.#death = undefined;
    this.context.log.info({ server: describeAddress(this.address) }, 'a server can be reached again');
  }

  /** No connection could be made. */
  onConnectFailed(connection: UpstreamConnection, error: ProxyError): void {
    const { counters, log } = this.context;
    counters.connectFailures++;
    const before = this.#death;
    // Want of our own is no fault of the server's, and attempts from before it died tell nothing new.
    if (OWN_WANT.has(errnoOf(error.cause)) || (before !== undefined && before.attempt !== connection)) return;
    if (before === undefined)
      log.warn(
        { server: describeAddress(this.address), code: error.code, reason: error.message },
        'a server cannot be reached',
      );
    const backOffMs =
      before === undefined ? FIRST_BACK_OFF_MS : Math.min(before.backOffMs * 2, MAX_BACK_OFF_MS);
    this.#death = { error, backOffMs, nextAttemptAt: performance.now() + backOffMs, attempt: undefined };
  }

  /** An attempt was given up before it was known whether it would succeed: another one may begin after the same back-off. */
  onConnectAbandoned(connection: UpstreamConnection): void {
    const death = this.#death;
    if (death?.attempt !== connection) return;
    death.attempt = undefined;
    death.nextAttemptAt = performance.now() + death.backOffMs;
  }

  /** The server ended a connection that nobody was using, `idleMs` after its last exchange. */
  onIdleEnded(idleMs: number): void {
    if (idleMs < HASTY_MS) this.distrust();
  }

  /** A request was lost on a kept connection. */
  distrust(): void {
    this.#distrustUntil = this.context.deadlines.now + DISTRUST_MS;
  }

  /** Closes what is idle; called when no service names the target any more. */
  close(): void {
    const idle = this.#idle.splice(0);
    this.context.idle.count -= idle.length;
    for (const connection of idle) connection.destroy();
  }

  #wakeSoon(): void {
    if (this.#isWaking) return;
    this.#isWaking = true;
    process.nextTick(() => {
      this.#isWaking = false;
      this.#wake();
    });
  }

  /** Each waiter that is called takes a connection, or room for one, or is gone. */
  #wake(): void {
    while (this.#waiting.length > 0 && (this.#idle.length > 0 || this.#hasRoom()))
      this.#waiting.shift()?.waiter.onTurn();
    if (this.#waiting.length === 0) this.context.deadlines.delete(this);
    // A service may have let go of the target while requests were waiting.
    if (this.references === 0) this.close();
  }

  #openSocket(): Socket {
    const socket = this.transport.open(this.address, this.#session);
    if (socket instanceof TLSSocket)
      socket.on('session', (session) => {
        this.#session = session;
      });
    return socket;
  }
}

function mayTry(death: Death): boolean {
  return death.attempt === undefined && performance.now() >= death.nextAttemptAt;
}
