// Single requests over connections of their own, for tests that only care about the answers.

import type { TestContext } from 'node:test';
import { connect } from './sockets.ts';
import type { Peer } from './sockets.ts';

/** Sends one request and returns everything that comes back until the connection ends. */
export async function ask(t: TestContext, port: number, request = 'GET / HTTP/1.1'): Promise<string> {
  const [head = '', body = ''] = request.split('\r\n\r\n');
  const client = await connect(t, port);
  const length = body === '' ? '' : `Content-Length: ${String(body.length)}\r\n`;
  client.send(`${head}\r\nHost: h\r\n${length}Connection: close\r\n\r\n${body}`);
  const answer = await client.readToEnd();
  client.socket.destroy();
  return answer;
}

/** Sends a request on a connection that stays open. */
export async function begin(t: TestContext, port: number, target: string): Promise<Peer> {
  const client = await connect(t, port);
  client.send(`GET ${target} HTTP/1.1\r\nHost: h\r\n\r\n`);
  return client;
}
