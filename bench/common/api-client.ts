// A client for REST APIs that costs little itself: raw sockets that are kept open, one request at a time on each, and the time of every
// answer.

import net from 'node:net';
import type { Socket } from 'node:net';

/** One call. */
export interface Call {
  readonly method: string;
  readonly path: string;
  readonly body?: string;
}

/** Where calls go. */
export interface ApiAddress {
  readonly port: number;
  readonly token: string;
}

/** What came back. */
export interface Outcome {
  readonly status: number;
  readonly bytes: number;
}

const HEAD_END = Buffer.from('\r\n\r\n');
const LAST_CHUNK = Buffer.from('0\r\n\r\n');

/** One connection. */
export class ApiConnection {
  readonly #socket: Socket;
  readonly #address: ApiAddress;
  #pieces: Buffer[] = [];
  #length = 0;
  #wanted: number | 'chunked' | undefined;
  #status = 0;
  #resolve: ((outcome: Outcome) => void) | undefined;
  #reject: ((error: Error) => void) | undefined;

  private constructor(socket: Socket, address: ApiAddress) {
    this.#socket = socket;
    this.#address = address;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => {
      this.#read(chunk);
    });
    socket.on('error', (error) => this.#reject?.(error));
    socket.on('close', () => this.#reject?.(new Error('the connection was closed')));
  }

  static async open(address: ApiAddress): Promise<ApiConnection> {
    const socket = net.connect(address.port, '127.0.0.1');
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new ApiConnection(socket, address);
  }

  call({ method, path, body = '' }: Call): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#socket.write(
        `${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: token ${this.#address.token}\r\nContent-Type: application/json\r\nContent-Length: ${String(Buffer.byteLength(body))}\r\n\r\n${body}`,
      );
    });
  }

  close(): void {
    this.#reject = undefined;
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    this.#pieces.push(chunk);
    this.#length += chunk.length;
    if (this.#wanted === undefined) {
      const data = Buffer.concat(this.#pieces);
      this.#pieces = [data];
      const end = data.indexOf(HEAD_END);
      if (end < 0) return;
      const head = data.toString('latin1', 0, end);
      this.#status = Number(head.slice(9, 12));
      const length = /\r\ncontent-length: *([0-9]+)/i.exec(head)?.[1];
      if (length !== undefined) this.#wanted = end + 4 + Number(length);
      else this.#wanted = /\r\ntransfer-encoding: *chunked/i.test(head) ? 'chunked' : end + 4;
    }
    if (this.#wanted === 'chunked') {
      const tail = Buffer.concat(this.#pieces.slice(-2)).subarray(-LAST_CHUNK.length);
      if (!tail.equals(LAST_CHUNK)) return;
    } else if (this.#length < this.#wanted) return;
    const outcome = { status: this.#status, bytes: this.#length };
    this.#pieces = [];
    this.#length = 0;
    this.#wanted = undefined;
    this.#resolve?.(outcome);
  }
}

/** Makes calls, some at once; resolves with the milliseconds that each took. Throws when one has another status than `want`. */
export async function measure(
  address: ApiAddress,
  calls: readonly Call[],
  options: { readonly atOnce: number; readonly want: number },
): Promise<Float64Array> {
  const times = new Float64Array(calls.length);
  let next = 0;
  const work = async (): Promise<void> => {
    const connection = await ApiConnection.open(address);
    try {
      for (;;) {
        const index = next++;
        const call = calls[index];
        if (call === undefined) return;
        const startedAt = performance.now();
        const { status } = await connection.call(call);
        times[index] = performance.now() - startedAt;
        if (status !== options.want) throw new Error(`${call.method} ${call.path}: status ${String(status)}`);
      }
    } finally {
      connection.close();
    }
  };
  await Promise.all(Array.from({ length: options.atOnce }, work));
  return times.sort();
}
