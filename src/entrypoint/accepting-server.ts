// Accepts connections on a bound socket, as `net.Server` does, but into sockets that read in place (`readInPlace`), which Node offers for
// outgoing connections only: its server makes a socket of what was accepted and has no option for how that reads. So the one function that
// its handle calls for each connection is replaced, as `node:cluster` replaces it to distribute connections. Where that is not to be found,
// the server's own sockets are taken, which cost more and work the same.

import net from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { readInPlace, WRITE_BYTES } from '../http1/owned-socket.ts';
import type { ListeningSocket } from './listening-socket.ts';

const TCP_KEEP_ALIVE_MS = 60_000;
const BACKLOG = 4096;

/** What Node listens with: `onconnection` is called with a negative number for an error, else with 0 and what was accepted. */
interface ListeningHandle {
  onconnection?: (status: number, accepted?: AcceptedHandle) => void;
}
/** What Node makes sockets of. */
interface AcceptedHandle {
  readonly useUserBuffer?: (buffer: Uint8Array) => void;
  readonly close: () => void;
}

/** Who is told. */
export interface AcceptingOptions {
  readonly onSocket: (socket: Socket) => void;
  readonly onError: (error: Error) => void;
  /** Connections at once; 0 = no limit. */
  readonly maxConnections: number;
  /** There are as many as there may be, with the one that has just come in or before: `isRefused` if that one was closed. */
  readonly onFull: (isRefused: boolean) => void;
}

/** One address that is accepted on. */
export class AcceptingServer {
  readonly #options: AcceptingOptions;
  readonly #server: Server;
  #sockets = 0;
  readonly #onSocketClosed = (): void => {
    this.#sockets--;
  };

  constructor(options: AcceptingOptions) {
    this.#options = options;
    this.#server = net.createServer({ allowHalfOpen: true, highWaterMark: WRITE_BYTES }, (socket) => {
      this.#take(socket);
    });
    this.#server.on('error', options.onError);
  }

  /** Sockets that are open, whatever has become of them. */
  get socketCount(): number {
    return this.#sockets;
  }

  /** Where it listens; undefined before and after, and for Unix sockets. */
  get address(): AddressInfo | undefined {
    const address = this.#server.address();
    return address === null || typeof address === 'string' ? undefined : address;
  }

  /** Rejects with Node's system errors. */
  listen(bound: ListeningSocket): Promise<void> {
    return new Promise((resolve, reject) => {
      const { onError } = this.#options;
      const onFailed = (error: Error): void => {
        this.#server.on('error', onError);
        reject(error);
      };
      this.#server.off('error', onError);
      this.#server.once('error', onFailed);
      this.#server.listen(bound, BACKLOG, () => {
        this.#server.off('error', onFailed);
        this.#server.on('error', onError);
        this.#acceptInPlace();
        resolve();
      });
    });
  }

  /** Stops accepting until `listen` is called again; connections go on. */
  rest(): void {
    if (this.#server.listening) this.#server.close();
  }

  #acceptInPlace(): void {
    const { _handle: handle } = this.#server as { _handle?: ListeningHandle | null };
    const accept = handle?.onconnection;
    if (!handle || accept === undefined) return;
    handle.onconnection = (status, accepted) => {
      if (status !== 0 || typeof accepted?.useUserBuffer !== 'function')
        accept.call(handle, status, accepted);
      else if (!this.#isFull()) this.#take(socketOf(accepted));
      else {
        accepted.close();
        this.#options.onFull(true);
      }
    };
  }

  #isFull(): boolean {
    const { maxConnections } = this.#options;
    return maxConnections > 0 && this.#sockets >= maxConnections;
  }

  #take(socket: Socket): void {
    if (this.#isFull()) {
      socket.destroy();
      this.#options.onFull(true);
      return;
    }
    this.#sockets++;
    socket.once('close', this.#onSocketClosed);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
    this.#options.onSocket(socket);
    if (this.#isFull()) this.#options.onFull(false);
  }
}

function socketOf(handle: AcceptedHandle): Socket {
  return readInPlace((onread) => {
    // As the server would make it; the types know less than half of it.
    const options: net.SocketConstructorOpts & Record<string, unknown> = {
      handle,
      onread,
      allowHalfOpen: true,
      readable: true,
      writable: true,
      readableHighWaterMark: WRITE_BYTES,
      writableHighWaterMark: WRITE_BYTES,
    };
    return new net.Socket(options);
  });
}
