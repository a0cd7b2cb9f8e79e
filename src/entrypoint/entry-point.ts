// A listening address: accepts connections, tells TLS from plaintext by the first byte, and closes them all in the end.

import type { AddressInfo, Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import tls from 'node:tls';
import type { LimitsConfiguration } from '../config/limits.ts';
import { tlsServerOptions } from '../config/chp.ts';
import type { EntryPointConfiguration } from '../config/static.ts';
import { ClientConnection } from '../http1/client-connection.ts';
import type { ClientOptions } from '../http1/client-options.ts';
import type { Deadlines } from '../http1/deadlines.ts';
import type { Departures } from '../http1/departures.ts';
import type { RequestHandler } from '../http1/downstream.ts';
import { ClientSession } from '../http2/client-session.ts';
import type { SessionOptions } from '../http2/client-session.ts';
import type { Logger } from '../log.ts';
import { DEFAULT_TLS_OPTIONS } from '../runtime/table-change.ts';
import type { HostOptions, TlsTermination } from '../tls/termination.ts';
import { AcceptingServer } from './accepting-server.ts';
import { Greeting } from './greeting.ts';
import type { Greeted, GreetingOptions } from './greeting.ts';
import { ClientAddresses } from './client-addresses.ts';
import { bindEntryPoint, listenError } from './listening-socket.ts';
import type { ListeningSocket } from './listening-socket.ts';
import { QuietConnections } from './quiet-connections.ts';
import { Refusals } from './refusals.ts';

/** Of an entry point that speaks nothing but TLS. */
const TLS_HANDSHAKE_MS = 15_000;
/** How long an idle connection of a worker that is being replaced may still begin a request: closing it might meet one under way. */
const LAST_REQUEST_MS = 1000;

/** What an entry point is made of. */
export interface EntryPointOptions {
  readonly configuration: EntryPointConfiguration;
  readonly limits: LimitsConfiguration;
  readonly tls: TlsTermination;
  /** Which TLS options the hosts of this entry point's routers have. */
  readonly hostOptions: HostOptions;
  readonly handler: RequestHandler;
  readonly deadlines: Deadlines;
  readonly departures: Departures;
  readonly log: Logger;
  /** Whether another connection may come in; asked once for each. */
  readonly admits: () => boolean;
  /** Whether many clients are behind this address. */
  readonly isProxy: (address: string) => boolean;
}

/** How an entry point comes to its end. */
export interface DrainOptions {
  /** Other workers accept on the same address already. */
  readonly isReplaced: boolean;
}

/** One entry point of one worker. */
export class EntryPoint {
  readonly name: string;
  readonly #options: EntryPointOptions;
  readonly #server: AcceptingServer;
  readonly #clientOptions: ClientOptions;
  readonly #sessionOptions: SessionOptions;
  readonly #greetingOptions: GreetingOptions;
  readonly #connections = new Set<ClientConnection | ClientSession>();
  /** Sockets that have not said what they speak, or are shaking hands. */
  readonly #greeting = new Set<Greeting>();
  readonly #addresses: ClientAddresses;
  readonly #quietConnections = new QuietConnections(this.#connections);
  readonly #quietGreetings = new QuietConnections(this.#greeting);
  readonly #refusals: Refusals;
  #refusedByWorker = 0;
  #isDraining = false;
  #onEmpty: (() => void) | undefined;

  constructor(options: EntryPointOptions) {
    const { configuration, handler, deadlines, log } = options;
    const { transport } = configuration;
    this.name = configuration.name;
    this.#options = options;
    this.#addresses = new ClientAddresses({
      entryPoint: this.name,
      limit: options.limits.maxConnectionsPerAddress,
      isProxy: options.isProxy,
      log,
    });
    const shared = {
      limits: {
        maxHeadBytes: configuration.http.maxHeaderBytes,
        maxHeaders: options.limits.maxHeaders,
        maxTargetBytes: options.limits.maxTargetBytes,
        maxChunkOverheadBytes: options.limits.maxChunkOverheadBytes,
      },
      deadlines,
      departures: options.departures,
      readTimeoutMs: transport.respondingTimeouts.readTimeoutMs,
      writeTimeoutMs: transport.respondingTimeouts.writeTimeoutMs,
      idleTimeoutMs: transport.respondingTimeouts.idleTimeoutMs,
      keepAliveMaxRequests: transport.keepAliveMaxRequests,
      keepAliveMaxTimeMs: transport.keepAliveMaxTimeMs,
      handler,
      isDraining: () => this.#isDraining,
      onFault: (error: unknown) => {
        log.error({ err: error, entryPoint: this.name }, 'a request met a mistake of the proxy');
      },
      onClosed: (connection: ClientConnection | ClientSession) => {
        this.#connections.delete(connection);
        this.#addresses.forget(connection);
        this.#reportEmpty();
      },
    };
    this.#clientOptions = shared;
    this.#sessionOptions = { ...shared, ...configuration.http2, log };
    this.#greetingOptions = {
      entryPoint: this.name,
      tls: options.tls,
      hostOptions: options.hostOptions,
      deadlines,
      log,
      readTimeoutMs: transport.respondingTimeouts.readTimeoutMs,
      onReady: (greeted) => {
        this.#adopt(greeted);
      },
      onGone: (greeting) => {
        this.#greeting.delete(greeting);
        this.#addresses.forget(greeting);
        this.#reportEmpty();
      },
    };
    this.#refusals = new Refusals(
      log,
      { entryPoint: this.name, limit: options.limits.maxConnections },
      'too many connections: some were refused (JTP_MAX_CONNECTIONS)',
    );
    this.#server = this.#createServer();
  }

  #createServer(): AcceptingServer {
    const { configuration, limits, deadlines, log } = this.#options;
    const { serverTls } = configuration;
    const take =
      serverTls === undefined
        ? (socket: Socket) => {
            this.#greet(socket);
          }
        : securing(tlsServerOptions(serverTls), (socket) => {
            this.#adopt({ socket, tlsOptions: DEFAULT_TLS_OPTIONS, isHttp2: false, first: undefined });
          });
    return new AcceptingServer({
      maxConnections: limits.maxConnections,
      onSocket: (socket) => {
        if (this.#addresses.admits(socket, deadlines.now) && this.#admits()) take(socket);
        // A reset frees the descriptor at once.
        else socket.resetAndDestroy();
      },
      onError: (error) => {
        log.error({ err: error, entryPoint: this.name }, 'the entry point cannot accept');
      },
      // One place is kept free for as long as somebody can be asked to leave.
      onFull: (isRefused) => {
        if (isRefused) this.#refusals.note();
        this.giveWay();
      },
    });
  }

  #admits(): boolean {
    const isAdmitted = this.#options.admits();
    if (!isAdmitted) this.#refusedByWorker++;
    return isAdmitted;
  }

  /** Connections that are open, idle ones included. */
  get connectionCount(): number {
    return this.#connections.size + this.#greeting.size;
  }

  /** Connections that were refused so far, by the limit that they met: of an address, of this entry point, of the worker's open files. */
  get refused(): Readonly<Record<'address' | 'entrypoint' | 'descriptors', number>> {
    return {
      address: this.#addresses.refused,
      entrypoint: this.#refusals.count,
      descriptors: this.#refusedByWorker,
    };
  }

  /** Sockets that are open, those of tunnels included. */
  get socketCount(): number {
    return this.#server.socketCount;
  }

  /** Where it listens; undefined before and after. */
  get address(): AddressInfo | undefined {
    return this.#server.address;
  }

  /** Accepts on this socket, or on one of its own. Rejects with JTP_ERR_ENTRYPOINT_LISTEN. */
  async listen(socket?: ListeningSocket): Promise<void> {
    const { configuration } = this.#options;
    const bound = socket ?? (await bindEntryPoint(configuration));
    try {
      await this.#server.listen(bound);
    } catch (cause) {
      throw listenError(configuration, cause);
    }
  }

  /** Leaves accepting to other workers until `listen` is called again; connections go on. */
  rest(): void {
    this.#server.rest();
  }

  /**
   * Stops accepting (at once when others accept instead, else after `lifeCycle.requestAcceptGraceTimeout`) and ends every connection
   * after its current response. Resolves when all are gone.
   */
  async drain({ isReplaced }: DrainOptions): Promise<void> {
    const { requestAcceptGraceTimeoutMs } = this.#options.configuration.transport.lifeCycle;
    if (!isReplaced && requestAcceptGraceTimeoutMs > 0) await setTimeout(requestAcceptGraceTimeoutMs);
    this.rest();
    this.#isDraining = true;
    if (isReplaced) await setTimeout(LAST_REQUEST_MS);
    for (const greeting of this.#greeting) greeting.destroy();
    for (const connection of this.#connections) connection.drain();
    if (this.connectionCount === 0) return;
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
  }

  /** Cuts whatever is left. */
  close(): void {
    this.rest();
    for (const greeting of this.#greeting) greeting.destroy();
    for (const connection of this.#connections) connection.destroy();
  }

  /** Ends a connection that nobody uses, so that another one can come in; false when there is none. */
  giveWay(): boolean {
    const { now } = this.#options.deadlines;
    const quiet = this.#quietGreetings.find(now) ?? this.#quietConnections.find(now);
    quiet?.destroy();
    return quiet !== undefined;
  }

  #reportEmpty(): void {
    if (this.connectionCount === 0) this.#onEmpty?.();
  }

  #greet(socket: Socket): void {
    const greeting = new Greeting(socket, this.#greetingOptions);
    this.#greeting.add(greeting);
    this.#addresses.note(greeting, socket);
  }

  #adopt({ socket, tlsOptions, isHttp2, first }: Greeted): void {
    if (isHttp2) {
      const session = new ClientSession(socket, tlsOptions, this.#sessionOptions);
      this.#connections.add(session);
      this.#addresses.note(session, socket);
      return;
    }
    const connection = new ClientConnection(socket, tlsOptions, this.#clientOptions);
    this.#connections.add(connection);
    this.#addresses.note(connection, socket);
    const { silenceTimeoutMs } = this.#options.configuration.transport.respondingTimeouts;
    if (silenceTimeoutMs !== undefined) cutWhenSilent(connection, silenceTimeoutMs);
    if (first !== undefined) connection.onData(first);
  }
}

/** Idle connections and tunnels have limits of their own. */
function cutWhenSilent(connection: ClientConnection, silenceTimeoutMs: number): void {
  connection.socket.setTimeout(silenceTimeoutMs, () => {
    connection.cutBusy();
  });
}

/**
 * What to do with sockets on which nothing but TLS is spoken; clients that cannot show what is asked of them never get further than the
 * handshake.
 */
function securing(
  options: tls.TlsOptions,
  onSecured: (socket: tls.TLSSocket) => void,
): (socket: Socket) => void {
  const server = tls.createServer(
    { ...options, ALPNProtocols: ['http/1.1'], handshakeTimeout: TLS_HANDSHAKE_MS },
    onSecured,
  );
  server.on('tlsClientError', (_error, socket) => {
    socket.destroy();
  });
  return (socket) => {
    // The error of a connection under TLS is told by the socket above it.
    socket.on('error', () => undefined);
    server.emit('connection', socket);
  };
}
