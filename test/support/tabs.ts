// Browser tabs that never stop reconnecting, and the servers that make them: live, gone, mute, refusing, hanging up in the middle of a
// head. Tabs leave by FIN, by reset, by closing half, or without a word.

import { createHash } from 'node:crypto';
import net from 'node:net';

/** What a server does with an upgrade; `gone`: nobody listens. */
export const KINDS = ['live', 'gone', 'mute', 'ok200', 'refused403', 'hangs-up'] as const;
export type Kind = (typeof KINDS)[number];

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

function serve(socket: net.Socket): void {
  let head = '';
  socket.on('error', () => socket.destroy());
  const onHead = (chunk: Buffer): void => {
    head += chunk.toString('latin1');
    if (!head.includes('\r\n\r\n')) return;
    const kind = /^GET \/([a-z0-9-]+)/.exec(head)?.[1];
    if (kind === 'live') {
      const key = /\r\nsec-websocket-key: *(\S+)/i.exec(head)?.[1] ?? '';
      const accept = createHash('sha1').update(`${key}${GUID}`).digest('base64');
      socket.off('data', onHead);
      socket.on('data', (bytes: Buffer) => socket.write(bytes));
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
      );
    } else if (kind === 'ok200') socket.write('HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nok');
    else if (kind === 'refused403')
      socket.write('HTTP/1.1 403 Forbidden\r\nDate: x\r\nContent-Length: 2\r\n\r\nno');
    else if (kind === 'hangs-up') socket.end('HTTP/1.1 101 Switching Pro');
    head = '';
  };
  socket.on('data', onHead);
}

/** Servers of all kinds on one port, told apart by the path; `gonePort` is one that nobody listens on. */
export class SickServers {
  readonly port: number;
  readonly gonePort: number;
  readonly #server: net.Server;
  readonly #sockets: Set<net.Socket>;

  private constructor(server: net.Server, sockets: Set<net.Socket>, ports: readonly [number, number]) {
    this.#server = server;
    this.#sockets = sockets;
    [this.port, this.gonePort] = ports;
  }

  static async start(): Promise<SickServers> {
    const sockets = new Set<net.Socket>();
    const server = net.createServer((socket) => {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
      serve(socket);
    });
    const other = net.createServer();
    const ports = [await listen(server), await listen(other)] as const;
    await new Promise((resolve) => other.close(resolve));
    return new SickServers(server, sockets, ports);
  }

  /** Connections that proxies have open. */
  get openCount(): number {
    return this.#sockets.size;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

async function listen(server: net.Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', 4096, resolve));
  const address = server.address();
  return address !== null && typeof address === 'object' ? address.port : 0;
}

/** The load. */
export interface TabsOptions {
  readonly port: number;
  readonly tabs: number;
  /** True: every tab stops reconnecting. */
  readonly isOver: (connections: number) => boolean;
  /** How long a tab stays at most, and how long one that says nothing more. */
  readonly stayMs: number;
  readonly silentMs: number;
}

/** Lets all tabs reconnect until it is over; resolves with the number of connections when the last one has left. */
export async function runTabs(options: TabsOptions): Promise<number> {
  let connections = 0;
  const runTab = async (): Promise<void> => {
    while (!options.isOver(connections)) {
      const number = connections++;
      await visit(KINDS[number % KINDS.length] ?? 'live', number, options);
    }
  };
  await Promise.all(Array.from({ length: options.tabs }, runTab));
  return connections;
}

/** One connection, from the upgrade to the end. */
function visit(kind: Kind, number: number, options: TabsOptions): Promise<void> {
  return new Promise((resolve) => {
    const socket = net.connect({ port: options.port, host: '127.0.0.1', allowHalfOpen: true });
    const stay = setTimeout(leave, Math.random() * options.stayMs);
    let last: NodeJS.Timeout | undefined;
    function leave(): void {
      const how = Math.floor(number / KINDS.length) % 4;
      if (how === 0) socket.destroy();
      else if (how === 1) socket.resetAndDestroy();
      else if (how === 2) socket.end();
      else socket.pause();
      // Half-closed or without a word, until it is torn down in the end.
      if (how >= 2) last = setTimeout(() => socket.resetAndDestroy(), options.silentMs);
    }
    socket.on('connect', () => {
      socket.write(
        `GET /${kind}/api/kernels/1/channels HTTP/1.1\r\nHost: hub.example.org\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
          'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
      );
    });
    socket.on('data', () => undefined);
    socket.on('end', () => socket.end());
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearTimeout(stay);
      clearTimeout(last);
      resolve();
    });
  });
}
