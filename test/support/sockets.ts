// Peers in bytes: a server that answers with a script, a client that sends slices. Everything is closed by the test that opened it.

import net from 'node:net';
import type { TestContext } from 'node:test';
import './handles.ts';

/** How long anything in a test may take before it counts as never. */
export const DEADLINE_MS = 30_000;

/** Rejects when `promise` has not settled in time; `what` says what was waited for. */
export async function within<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`waited too long for ${what}`));
    }, DEADLINE_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits for something that no event tells of. */
export async function until(isMet: () => boolean, what: string): Promise<void> {
  const end = Date.now() + DEADLINE_MS;
  while (!isMet()) {
    if (Date.now() > end) throw new Error(`waited too long for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Writes until the other side has been taking nothing for a while: more than any buffer in between holds. */
export async function flood(socket: net.Socket): Promise<void> {
  const megabyte = Buffer.alloc(1024 * 1024);
  let sent = -1;
  for (let still = 0; still < 10;) {
    while (socket.writableLength < 2 * megabyte.length) socket.write(megabyte);
    await new Promise((resolve) => setTimeout(resolve, 20));
    const now = socket.bytesWritten - socket.writableLength;
    still = now === sent ? still + 1 : 0;
    sent = now;
  }
}

/** One connection, with everything that arrived on it. */
export class Peer {
  readonly socket: net.Socket;
  received = '';
  hasEnded = false;
  isClosed = false;
  readonly #waiting: { readonly isMet: () => boolean; readonly resolve: () => void }[] = [];

  constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.received += chunk.toString('latin1');
      this.#notify();
    });
    socket.on('end', () => {
      this.hasEnded = true;
      this.#notify();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.isClosed = true;
      this.#notify();
    });
  }

  #notify(): void {
    for (const waiter of this.#waiting.splice(0)) {
      if (waiter.isMet()) waiter.resolve();
      else this.#waiting.push(waiter);
    }
  }

  async #until(isMet: () => boolean, what: string): Promise<void> {
    if (isMet()) return;
    await within(
      new Promise<void>((resolve) => this.#waiting.push({ isMet, resolve })),
      `${what}; so far: ${JSON.stringify(this.received)}`,
    );
  }

  /** Writes bytes (latin1). */
  send(text: string): void {
    this.socket.write(text, 'latin1');
  }

  /** Waits until `text` has arrived and returns everything up to it, taking it out of `received`. */
  async read(text: string): Promise<string> {
    await this.#until(() => this.received.includes(text), JSON.stringify(text));
    const end = this.received.indexOf(text) + text.length;
    const found = this.received.slice(0, end);
    this.received = this.received.slice(end);
    return found;
  }

  /** Waits for a number of bytes and takes them. */
  async take(count: number): Promise<string> {
    await this.#until(() => this.received.length >= count || this.isClosed, `${String(count)} bytes`);
    if (this.received.length < count) throw new Error('the connection was closed');
    const found = this.received.slice(0, count);
    this.received = this.received.slice(count);
    return found;
  }

  /** Waits for the head of a message and takes it. */
  readHead(): Promise<string> {
    return this.read('\r\n\r\n');
  }

  /** Waits for the other side's FIN, or the end of the connection; returns everything that arrived. */
  async readToEnd(): Promise<string> {
    await this.#until(() => this.hasEnded || this.isClosed, 'the end of the connection');
    return this.received;
  }

  /** Waits until the socket is closed. */
  closed(): Promise<void> {
    return this.#until(() => this.isClosed, 'the socket to close');
  }
}

/** A server whose connections are handled one by one as bytes. */
export class ByteServer {
  readonly #server: net.Server;
  readonly #peers: Peer[] = [];
  readonly #waiting: ((peer: Peer) => void)[] = [];
  #accepted = 0;

  constructor(server: net.Server) {
    this.#server = server;
    server.on('connection', (socket: net.Socket) => {
      this.#accepted++;
      const peer = new Peer(socket);
      const waiter = this.#waiting.shift();
      if (waiter === undefined) this.#peers.push(peer);
      else waiter(peer);
    });
  }

  get port(): number {
    const address = this.#server.address();
    return address !== null && typeof address === 'object' ? address.port : 0;
  }

  get url(): string {
    return `http://127.0.0.1:${String(this.port)}`;
  }

  /** How many connections have been made. */
  get accepted(): number {
    return this.#accepted;
  }

  /** The next connection. */
  accept(): Promise<Peer> {
    const peer = this.#peers.shift();
    if (peer !== undefined) return Promise.resolve(peer);
    return within(new Promise<Peer>((resolve) => this.#waiting.push(resolve)), 'a connection');
  }
}

/** A byte server on a free port of the loopback interface; it and its connections end with the test. */
export async function startByteServer(t: TestContext): Promise<ByteServer> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  const bytes = new ByteServer(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return bytes;
}

/** A client's connection to a port of the loopback interface. */
export async function connect(t: TestContext, port: number): Promise<Peer> {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  t.after(() => socket.destroy());
  const peer = new Peer(socket);
  await within(
    new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    }),
    'a connection',
  );
  return peer;
}

/** A port that nobody listens on. */
export async function closedPort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return address !== null && typeof address === 'object' ? address.port : 0;
}
