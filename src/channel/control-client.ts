// A worker's end of the private socket. The table it has stays in use while the controller is away; when that is back, a snapshot
// brings it up to date.

import net from 'node:net';
import type { Socket } from 'node:net';
import { errorText } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { TableChange } from '../runtime/table-change.ts';
import { LineReader, toLine } from './lines.ts';
import type { ActivityMessage, ControllerMessage, CountsMessage, WorkerMessage } from './messages.ts';
import { NamedSpecs } from './named-specs.ts';

const RECONNECT_MS = 50;
const TOOK = toLine({ type: 'took' } satisfies WorkerMessage);

/** What a control client is made of. */
export interface ControlClientOptions {
  readonly path: string;
  readonly workerId: number;
  readonly log: Logger;
  /** Synchronous: when it returns, the change is live. */
  readonly onChange: (change: TableChange) => void;
  /** The same, for part of a change or of the first table, which is not complete before `onChange`. */
  readonly onPiece: (change: TableChange) => void;
  /** Somebody reads the metrics, and waits for `tellCounts`. */
  readonly onCount?: () => void;
}

/** One worker's link to the controller. */
export class ControlClient {
  readonly #options: ControlClientOptions;
  #socket: Socket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;
  #hasTable = false;
  /** The snapshot that is arriving. */
  #snapshot = new NamedSpecs();

  constructor(options: ControlClientOptions) {
    this.#options = options;
  }

  /** Connects, and connects again for ever. */
  start(): void {
    const socket = net.connect(this.#options.path);
    const lines = new LineReader();
    this.#socket = socket;
    this.#snapshot = new NamedSpecs();
    socket.on('connect', () => {
      const { workerId } = this.#options;
      socket.write(toLine({ type: 'hello', workerId, hasTable: this.#hasTable } satisfies WorkerMessage));
    });
    socket.on('data', (chunk: Buffer) => {
      // One write for the answers to all that has come.
      socket.cork();
      try {
        for (const document of lines.read(chunk)) this.#hear(socket, document as ControllerMessage);
      } catch (error) {
        this.#options.log.error({ err: error, reason: errorText(error) }, 'a change could not be applied');
        socket.destroy();
      }
      socket.uncork();
    });
    socket.on('error', () => {
      // The controller is away; `close` follows.
    });
    socket.on('close', () => {
      if (!this.#isStopped) this.#timer = setTimeout(() => this.start(), RECONNECT_MS);
    });
  }

  /** Whether the controller could be told something now. */
  get isConnected(): boolean {
    return this.#socket?.readyState === 'open';
  }

  tellActivity(routes: readonly ActivityMessage[]): void {
    this.#socket?.write(toLine({ type: 'activity', routes } satisfies WorkerMessage));
  }

  tellCounts(counts: CountsMessage): void {
    this.#socket?.write(toLine({ type: 'counts', ...counts } satisfies WorkerMessage));
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#socket?.destroy();
  }

  #hear(socket: Socket, message: ControllerMessage): void {
    if (message.type === 'count') {
      socket.write(TOOK);
      this.#options.onCount?.();
      return;
    }
    if (message.type === 'piece') {
      const { change } = message;
      this.#options.onPiece(change);
      if (message.isOfSnapshot) this.#snapshot.apply(change);
      socket.write(TOOK);
      return;
    }
    let { change } = message;
    if (change.full) {
      const { routers, services } = this.#snapshot;
      this.#snapshot = new NamedSpecs();
      change = { ...change, routers: [...routers.values()], services: [...services.values()] };
    }
    this.#options.onChange(change);
    this.#hasTable = true;
    socket.write(toLine({ type: 'applied', generation: change.generation } satisfies WorkerMessage));
  }
}
