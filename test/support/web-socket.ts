// WebSockets in bytes: frames, and a tunnel through a proxy with both of its ends.

import type { TestContext } from 'node:test';
import { connect } from './sockets.ts';
import type { ByteServer, Peer } from './sockets.ts';

export const UPGRADE =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';

/** A frame; masked with a key that leaves the payload as it is. */
export function frame(
  opcode: number,
  payload: string,
  options: { readonly isMasked?: boolean } = {},
): string {
  const mask = options.isMasked === true ? 0x80 : 0;
  const { length } = payload;
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
  head[0] = 0x80 | opcode;
  head[1] = mask | (length < 126 ? length : length < 65_536 ? 126 : 127);
  if (head.length === 4) head.writeUInt16BE(length, 2);
  if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2);
  return head.toString('latin1') + (mask === 0 ? '' : '\0\0\0\0') + payload;
}

/** Asks for a WebSocket at `target`; the server has not answered yet. */
export async function requestTunnel(
  t: TestContext,
  port: number,
  target = '/',
): Promise<{ readonly client: Peer; readonly accept: (server: ByteServer) => Promise<Peer> }> {
  const client = await connect(t, port);
  client.send(`GET ${target} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
  return {
    client,
    accept: async (server) => {
      const upstream = await server.accept();
      await upstream.readHead();
      return upstream;
    },
  };
}

/** Both ends of an open tunnel. */
export async function openTunnel(
  t: TestContext,
  port: number,
  server: ByteServer,
  target = '/',
): Promise<{ readonly client: Peer; readonly upstream: Peer }> {
  const { client, accept } = await requestTunnel(t, port, target);
  const upstream = await accept(server);
  upstream.send(UPGRADE);
  await client.readHead();
  return { client, upstream };
}
