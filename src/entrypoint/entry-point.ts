// A listening address: accepts connections, tells TLS from plaintext by the first byte, and closes them all in the end.

import net from 'node:net';
import type { Server, Socket } from 'node:net';
import tls from 'node:tls';
import type { LimitsConfiguration } from '../config/limits.ts';
import type { EntryPointConfiguration } from '../config/static.ts';
import { errnoOf, errorText, ProxyError } from '../errors.ts';
import { ClientConnection } from '../http1/client-connection.ts';
import type { ClientOptions } from '../http1/client-options.ts';
import type { Deadlines, Timed } from '../http1/deadlines.ts';
import type { RequestHandler } from '../http1/downstream.ts';
import type { Logger } from '../log.ts';
import type { CertificateStore } from '../tls/certificate-store.ts';

/** First byte of a TLS record that carries a handshake. Source: RFC 8446 §5.1. */
const TLS_HANDSHAKE = 0x16;

const TLS_HANDSHAKE_MS = 15_000;
const TCP_KEEP_ALIVE_MS = 60_000;
const BACKLOG = 4096;
/** How often a refusal of connections is put in the log, at most. */
const REFUSALS_SAID_MS = 60_000;

/** What an entry point is made of. */
export interface EntryPointOptions {
  readonly configuration: EntryPointConfiguration;
  readonly limits: LimitsConfiguration;
  readonly certificates: CertificateStore;
  readonly handler: RequestHandler;
  readonly deadlines: Deadlines;
  readonly log: Logger;
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
        keepAlive: true,
        keepAliveInitialDelay: TCP_KEEP_ALIVE_MS,
      },
      (socket) => {
        this.#greet(socket);
      },
    );
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

  /** Rejects with JTP_ERR_ENTRYPOINT_LISTEN. */
  async listen(): Promise<void> {
    const { host, port, path } = this.#options.configuration.address;
    try {
      await this.#listenOn(path === undefined ? { host: host === '' ? '::' : host, port } : { path });
    } catch (error) {
      // A machine without IPv6.
      if (host === '' && errnoOf(error) === 'EAFNOSUPPORT') await this.#listenOn({ host: '0.0.0.0', port });
      else throw error;
    }
    this.#server.on('error', (error) => {
      this.#options.log.error({ err: error, entryPoint: this.name }, 'the entry point cannot accept');
    });
  }

  async #listenOn(place: { host: string; port: number } | { path: string }): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const onError = (cause: Error): void => {
        if (errnoOf(cause) === 'EAFNOSUPPORT') reject(cause);
        else reject(this.#listenError(cause));
      };
      this.#server.once('error', onError);
      this.#server.listen({ ...place, backlog: BACKLOG }, () => {
        this.#server.off('error', onError);
        resolve();
      });
    });
  }

  #listenError(cause: Error): ProxyError {
    const { name, addressText } = this.#options.configuration;
    const hints = new Map([
      ['EADDRINUSE', 'the port is in use by another program'],
      ['EACCES', 'no permission for this port (ports below 1024 need CAP_NET_BIND_SERVICE)'],
      ['EADDRNOTAVAIL', 'this machine does not have the address'],
    ]);
    return new ProxyError('JTP_ERR_ENTRYPOINT_LISTEN', {
      message: `entry point "${name}" cannot listen on ${addressText}: ${hints.get(errnoOf(cause)) ?? errorText(cause)}`,
      cause,
    });
  }

  /** Stops accepting and ends every connection as soon as it has nothing in flight. Resolves when all are gone. */
  async drain(): Promise<void> {
    this.#isDraining = true;
    this.#server.close();
    for (const greeting of this.#greeting) greeting.destroy();
    for (const connection of this.#connections) connection.drain();
    if (this.connectionCount === 0) return;
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
  }

  /** Cuts whatever is left. */
  close(): void {
    this.#server.close();
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
