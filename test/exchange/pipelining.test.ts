import assert from 'node:assert/strict';
import net from 'node:net';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import {
  entryPoint,
  router,
  service,
  startDataPlane,
  staticConfiguration,
  table,
} from '../support/data-plane.ts';
import { connect, until } from '../support/sockets.ts';

const FILLER = `X-Filler: ${'x'.repeat(450)}`;
const ANSWER = `HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n${'x'.repeat(5000)}`;

/** Sends requests until nobody takes any, or `limit` have been sent; returns how many were taken. */
async function askOnAndOn(socket: net.Socket, request: string, limit: number): Promise<number> {
  const batch = Buffer.from(request.repeat(20));
  let taken = 0;
  for (let still = 0; still < 10 && taken < limit * request.length;) {
    while (socket.writableLength < 20 * batch.length) socket.write(batch);
    await new Promise((resolve) => setTimeout(resolve, 20));
    const now = socket.bytesWritten - socket.writableLength;
    still = now === taken ? still + 1 : 0;
    taken = now;
  }
  return Math.floor(taken / request.length);
}

/** Answers every head at once. */
async function startEagerServer(t: TestContext): Promise<string> {
  const server = net.createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      for (let ends = chunk.toString('latin1').split('\r\n\r\n').length; ends > 1; ends--)
        socket.write(ANSWER);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return `http://127.0.0.1:${String((server.address() as net.AddressInfo).port)}`;
}

describe('a client that asks on and on without taking its answers', () => {
  // More than a system keeps of a connection.
  for (const { whose, path, limit } of [
    { whose: 'the proxy', path: '/nothing', limit: 150_000 },
    { whose: 'a server', path: '/app/x', limit: 40_000 },
  ])
    it(`is not heard any more when they are from ${whose}, and goes on when it takes them`, async (t) => {
      const url = await startEagerServer(t);
      const { port } = await startDataPlane(
        t,
        staticConfiguration([entryPoint('web')]),
        table([router('app', 'PathPrefix(`/app/`)', 'app')], [service('app', [url])]),
      );
      const client = await connect(t, port('web'));
      client.socket.pause();
      const asked = await askOnAndOn(
        client.socket,
        `GET ${path} HTTP/1.1\r\nHost: a\r\n${FILLER}\r\n\r\n`,
        limit,
      );
      assert.ok(asked < limit, `${String(asked)} requests were read`);
      let answers = 0;
      client.socket.removeAllListeners('data');
      client.socket.on('data', (chunk: Buffer) => {
        answers += chunk.toString('latin1').split('HTTP/1.1 ').length - 1;
      });
      client.socket.resume();
      await until(() => answers > 1000, 'the answers');
    });
});
