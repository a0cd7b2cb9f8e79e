// What the supervisor and its children say to each other, over Node's own channel. The channel's end is how a child learns that the
// supervisor is gone.

import type { ChpControllerSettings } from '../config/chp.ts';
import type { ListenAddress, StaticConfiguration } from '../config/static.ts';

/** Which controller to run. */
export type ControllerKind =
  | { readonly kind: 'traefik' }
  | { readonly kind: 'hub'; readonly settings: unknown }
  | { readonly kind: 'chp'; readonly settings: ChpControllerSettings };

/**
 * A server of the controller. The supervisor binds its address and keeps it: while there is no controller, whoever connects waits, and no other
 * program can take the port and be told the hub's token.
 */
export interface ControllerServer {
  readonly name: 'api' | 'metrics';
  /** For messages: "the REST API". */
  readonly what: string;
  readonly address: ListenAddress;
}

/** Everything a child is started with. */
export interface WorkerStart {
  readonly type: 'start';
  readonly static: StaticConfiguration;
  readonly runtimeFolder: string;
  readonly workerId: number;
  /** What the workers' answers and reports are for. */
  readonly mode: ControllerKind['kind'];
}

export interface ControllerStart {
  readonly type: 'start';
  readonly static: StaticConfiguration;
  /** For its sockets: another one for each static configuration. */
  readonly runtimeFolder: string;
  /** For what has to outlive it: the same for as long as the supervisor lives. */
  readonly sharedFolder: string;
  readonly controller: ControllerKind;
  readonly supervisorPid: number;
}

/** Supervisor → worker. */
export type ToWorker =
  | WorkerStart
  /** Comes with a listening socket. When it has one for each entry point, and a table, the worker accepts. */
  | { readonly type: 'socket'; readonly entryPoint: string }
  /** Leave accepting to the others, until sockets come again. */
  | { readonly type: 'rest' }
  /** `isReplaced`: workers with another static configuration accept already. */
  | { readonly type: 'drain'; readonly graceMs: number; readonly isReplaced: boolean };

/** Worker → supervisor. */
export type FromWorker =
  | { readonly type: 'hello' }
  | { readonly type: 'listening'; readonly addresses: readonly string[] }
  /** Once a second; a worker that says nothing for long does not serve either. `connections`: clients, tunnels included. */
  | { readonly type: 'alive'; readonly connections: number }
  | { readonly type: 'failed'; readonly message: string };

/** Supervisor → controller. */
export type ToController =
  /** Comes with a bound socket, before `start`. */
  | { readonly type: 'socket'; readonly server: ControllerServer }
  | ControllerStart
  | { readonly type: 'accepting'; readonly workerIds: readonly number[] }
  | { readonly type: 'reload' }
  /** Every worker listens: what waits for that may be told now. */
  | { readonly type: 'serving' }
  | { readonly type: 'terminating' }
  /** The last message: finish writing, and end. `isReplaced`: another controller takes over. */
  | { readonly type: 'stop'; readonly isReplaced: boolean };

/** Controller → supervisor. */
export type FromController =
  | { readonly type: 'hello' }
  /** Once a second. */
  | { readonly type: 'alive' }
  | { readonly type: 'ready'; readonly apiUrl?: string }
  | { readonly type: 'failed'; readonly message: string }
  | { readonly type: 'silent'; readonly workerId: number };
