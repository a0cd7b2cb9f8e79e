// What an entry point tells its HTTP/1.1 connections: limits, times, and whom to call.

import type { ClientConnection } from './client-connection.ts';
import type { Deadlines } from './deadlines.ts';
import type { Departures } from './departures.ts';
import type { RequestHandler } from './downstream.ts';
import type { ParserLimits } from './parser.ts';

/** What all connections of one entry point share. */
export interface ClientOptions {
  readonly limits: ParserLimits;
  readonly deadlines: Deadlines;
  readonly departures: Departures;
  /** Time to receive a head, and the longest stall within a body; 0 = off. */
  readonly readTimeoutMs: number;
  /** The longest stall of a client that does not take its response; 0 = off. */
  readonly writeTimeoutMs: number;
  /** How long a connection may wait for its next request; 0 = off. */
  readonly idleTimeoutMs: number;
  /** Requests per connection; 0 = no limit. */
  readonly keepAliveMaxRequests: number;
  /** Age after which a connection is not kept alive; 0 = no limit. */
  readonly keepAliveMaxTimeMs: number;
  readonly handler: RequestHandler;
  readonly isDraining: () => boolean;
  /** An error that should not exist: the exchange ends, everything else goes on. */
  readonly onFault: (error: unknown) => void;
  readonly onClosed: (connection: ClientConnection) => void;
}
