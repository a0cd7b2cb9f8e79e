// A listening address: accepts connections, tells TLS from plaintext by the first byte, and closes them all in the end.

import net from 'node:net';
import type { Server, Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import tls from 'node:tls';
import type { LimitsConfiguration } from '../config/limits.ts';
import type { EntryPointConfiguration } from '../config/static.ts';
import { errorText } from '../errors.ts';
import { ClientConnection } from '../http1/client-connection.ts';
import type { ClientOptions } from '../http1/client-options.ts';
import type { Deadlines, Timed } from '../http1/deadlines.ts';
import type { RequestHandler } from '../http1/downstream.ts';
import { WRITE_BYTES } from '../http1/owned-socket.ts';
import type { Logger } from '../log.ts';
import type { CertificateStore } from '../tls/certificate-store.ts';
import { bindEntryPoint, listenError } from './listening-socket.ts';
import type { ListeningSocket } from './listening-socket.ts';

/** First byte of a TLS record that carries a handshake. Source: RFC 8446 §5.1. */
const TLS_HANDSHAKE = 0x16;

const TLS_HANDSHAKE_MS = 15_000;
const TCP_KEEP_ALIVE_MS = 60_000;
const BACKLOG = 4096;
/** How often a refusal of connections is put in the log, at most. */
const REFUSALS_SAID_MS = 60_000;
/** How long an idle connection of a worker that is being replaced may still begin a request: closing it might meet one under way. */
const LAST_REQUEST_MS = 1000;

/** What an entry point is made of. */
export interface EntryPointOptions {
  readonly configuration: EntryPointConfiguration;
  readonly limits: LimitsConfiguration;
  readonly certificates: CertificateStore;
  readonly handler: RequestHandler;
  readonly deadlines: Deadlines;
  readonly log: Logger;
  /** Whether another connection may come in; asked once for each. */
  readonly admits: () => boolean;
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
  readonly #server: Server;
  readonly #clientOptions: ClientOptions;
  readonly #connections = new Set<ClientConnection>();
  /** Sockets that have not said what they speak, or are shaking hands. */
  readonly #greeting = new Set<Greeting>();
  #isDraining = false;
  #onEmpty: (() => void) | undefined;
  #onListenFailed: ((cause: Error) => void) | undefined;

  constructor(options: EntryPointOptions) {
    const { configuration, handler, deadlines, log } = options;
    const { transport } = configuration;
    this.name = configuration.name;
    this.#options = options;
    this.#clientOptions = {
      limits: {
        maxHeadBytes: configuration.http.maxHeaderBytes,
        maxHeaders: options.limits.maxHeaders,
        maxTargetBytes: options.limits.maxTargetBytes,
        maxChunkOverheadBytes: options.limits.maxChunkOverheadBytes,
      },
      deadlines,
      readTimeoutMs: transport.respondingTimeouts.readTimeoutMs,
      writeTimeoutMs: transport.respondingTimeouts.writeTimeoutMs,
      idleTimeoutMs: transport.respondingTimeouts.idleTimeoutMs,
      keepAliveMaxRequests: transport.keepAliveMaxRequests,
      keepAliveMaxTimeMs: transport.keepAliveMaxTimeMs,
      handler,
      isDraining: () => this.#isDraining,
      onFault: (error) => {
        log.error({ err: error, entryPoint: this.name }, 'a request met a mistake of the proxy');
      },
      onClosed: (connection) => {
        this.#connections.delete(connection);
        this.#reportEmpty();
      },
    };
    this.#server = net.createServer(
      {
        allowHalfOpen: true,
        noDelay: true,
        highWaterMark: WRITE_BYTES,
        keepAlive: true,
        keepAliveInitialDelay: TCP_KEEP_ALIVE_MS,
      },
      (socket) => {
        if (options.admits()) this.#greet(socket);
        // A reset frees the descriptor at once.
        else socket.resetAndDestroy();
      },
    );
    this.#server.on('error', (error) => {
      if (this.#onListenFailed !== undefined) this.#onListenFailed(error);
      else log.error({ err: error, entryPoint: this.name }, 'the entry point cannot accept');
    });
    this.#limitConnections();
  }

  /** Node closes what is too much before anything else is done for it. */
  #limitConnections(): void {
    const { limits, log } = this.#options;
    if (limits.maxConnections === 0) return;
    this.#server.maxConnections = limits.maxConnections;
    let refused = 0;
    let saidAt = -Infinity;
    this.#server.on('drop', () => {
      refused++;
      const now = performance.now();
      if (now - saidAt < REFUSALS_SAID_MS) return;
      saidAt = now;
      log.warn(
        { entryPoint: this.name, limit: limits.maxConnections, refused },
        'too many connections: some were refused (JTP_MAX_CONNECTIONS)',
      );
    });
  }

  /** Connections that are open, idle ones included. */
  get connectionCount(): number {
    return this.#connections.size + this.#greeting.size;
  }

  /** Where it listens; undefined before and after. */
  get address(): net.AddressInfo | undefined {
    const address = this.#server.address();
    return address === null || typeof address === 'string' ? undefined : address;
  }

  /** Accepts on this socket, or on one of its own. Rejects with JTP_ERR_ENTRYPOINT_LISTEN. */
  async listen(socket?: ListeningSocket): Promise<void> {
    const { configuration } = this.#options;
    const bound = socket ?? (await bindEntryPoint(configuration));
    await new Promise<void>((resolve, reject) => {
      this.#onListenFailed = (cause) => {
        this.#onListenFailed = undefined;
        reject(listenError(configuration, cause));
      };
      this.#server.listen(bound, BACKLOG, () => {
        this.#onListenFailed = undefined;
        resolve();
      });
    });
  }

  /** Leaves accepting to other workers until `listen` is called again; connections go on. */
  rest(): void {
    if (this.#server.listening) this.#server.close();
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

  #reportEmpty(): void {
    if (this.connectionCount === 0) this.#onEmpty?.();
  }

  #greet(socket: Socket): void {
    this.#greeting.add(
      new Greeting(
        socket,
        this.#options,
        (secured) => {
          this.#adopt(secured);
        },
        (greeting) => {
          this.#greeting.delete(greeting);
          this.#reportEmpty();
        },
      ),
    );
  }

  #adopt({ socket, isTls, first }: Greeted): void {
    const connection = new ClientConnection(socket, isTls, this.#clientOptions);
    this.#connections.add(connection);
    const { silenceTimeoutMs } = this.#options.configuration.transport.respondingTimeouts;
    if (silenceTimeoutMs !== undefined) cutWhenSilent(connection, silenceTimeoutMs);
    if (first !== undefined) connection.onData(first);
  }
}

/** Idle connections and tunnels have limits of their own. */
function cutWhenSilent(connection: ClientConnection, silenceTimeoutMs: number): void {
  connection.socket.setTimeout(silenceTimeoutMs, () => {
    if (!connection.isIdle) connection.cut();
  });
}

/** A socket that is ready for HTTP. */
interface Greeted {
  readonly socket: Socket;
  readonly isTls: boolean;
  /** What was read to tell. */
  readonly first: Buffer | undefined;
}

/** A connection before its first byte, and during the TLS handshake. */
class Greeting implements Timed {
  deadline: number;
  readonly #options: EntryPointOptions;
  readonly #onReady: (greeted: Greeted) => void;
  readonly #onGone: (greeting: Greeting) => void;
  #socket: Socket;
  readonly #onData = (chunk: Buffer): void => {
    this.#sniff(chunk);
  };
  readonly #onFailed = (): void => {
    this.destroy();
  };

  constructor(
    socket: Socket,
    options: EntryPointOptions,
    onReady: (greeted: Greeted) => void,
    onGone: (greeting: Greeting) => void,
  ) {
    this.#socket = socket;
    this.#options = options;
    this.#onReady = onReady;
    this.#onGone = onGone;
    const { readTimeoutMs } = options.configuration.transport.respondingTimeouts;
    this.deadline = readTimeoutMs === 0 ? 0 : options.deadlines.now + readTimeoutMs;
    options.deadlines.add(this);
    socket.on('data', this.#onData);
    this.#watch(socket);
  }

  onDeadline(): void {
    this.destroy();
  }

  destroy(): void {
    this.#leave();
    // Errors after this moment concern nobody, but an `error` event without a listener would end the process.
    this.#socket.on('error', () => undefined);
    this.#socket.destroy();
  }

  #watch(socket: Socket): void {
    socket.on('end', this.#onFailed);
    socket.on('error', this.#onFailed);
    socket.on('close', this.#onFailed);
  }

  #unwatch(socket: Socket): void {
    socket.off('data', this.#onData);
    socket.off('end', this.#onFailed);
    socket.off('error', this.#onFailed);
    socket.off('close', this.#onFailed);
  }

  #leave(): void {
    this.#unwatch(this.#socket);
    this.#options.deadlines.delete(this);
    this.#onGone(this);
  }

  #sniff(chunk: Buffer): void {
    const socket = this.#socket;
    if (chunk[0] !== TLS_HANDSHAKE) {
      this.#unwatch(socket);
      this.#options.deadlines.delete(this);
      this.#onReady({ socket, isTls: false, first: chunk });
      this.#onGone(this);
      return;
    }
    this.#unwatch(socket);
    socket.pause();
    socket.unshift(chunk);
    this.#secure(socket);
  }

  #secure(socket: Socket): void {
    const { certificates, deadlines } = this.#options;
    this.deadline = deadlines.now + TLS_HANDSHAKE_MS;
    let secured: tls.TLSSocket;
    try {
      secured = new tls.TLSSocket(socket, {
        isServer: true,
        secureContext: certificates.contextFor(undefined),
        ALPNProtocols: ['http/1.1'],
        SNICallback: (name, callback) => {
          try {
            callback(null, certificates.contextFor(name));
          } catch (error) {
            callback(error instanceof Error ? error : new Error(errorText(error)));
          }
        },
      });
    } catch (error) {
      this.#options.log.warn(
        { entryPoint: this.#options.configuration.name, reason: errorText(error) },
        'a TLS connection was refused',
      );
      this.destroy();
      return;
    }
    this.#socket = secured;
    socket.on('error', this.#onFailed);
    this.#watch(secured);
    secured.once('secure', () => {
      this.#unwatch(secured);
      socket.off('error', this.#onFailed);
      socket.on('error', () => secured.destroy());
      deadlines.delete(this);
      this.#onReady({ socket: secured, isTls: true, first: undefined });
      this.#onGone(this);
    });
  }
}
