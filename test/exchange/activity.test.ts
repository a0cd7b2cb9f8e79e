// What a worker tells about the use of its routes.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import type { ActivityEntry } from '../../src/exchange/activity.ts';
import { DataPlane } from '../../src/worker/data-plane.ts';
import { entryPoint, router, service, staticConfiguration, table } from '../support/data-plane.ts';
import { connect, startByteServer, until } from '../support/sockets.ts';
import type { ByteServer, Peer } from '../support/sockets.ts';

async function start(
  t: TestContext,
): Promise<{ plane: DataPlane; server: ByteServer; client: () => Promise<Peer> }> {
  const server = await startByteServer(t);
  const plane = new DataPlane({
    static: staticConfiguration([entryPoint('web')]),
    apiSocket: '/nonexistent/api.sock',
    log: pino({ level: 'silent' }),
    workerId: 1,
    mode: 'hub',
  });
  t.after(() => {
    plane.close();
  });
  plane.apply(table([router('zoe', 'PathPrefix(`/`)', 'app')], [service('app', [server.url])]));
  await plane.listen();
  return { plane, server, client: () => connect(t, plane.addresses().get('web')?.port ?? 0) };
}

/** Sends a request, lets the server answer, and returns what is told of it. */
async function tell(t: TestContext, request: string, answer: string): Promise<readonly ActivityEntry[]> {
  const { plane, server, client } = await start(t);
  const peer = await client();
  peer.send(`${request} HTTP/1.1\r\nHost: x\r\n\r\n`);
  const upstream = await server.accept();
  await upstream.readHead();
  upstream.send(`HTTP/1.1 ${answer}\r\nContent-Length: 2\r\n\r\n`);
  await peer.readHead();
  // Not before its end.
  assert.deepEqual(plane.collectActivity(), []);
  upstream.send('ok');
  await peer.read('ok');
  const entries = plane.collectActivity();
  assert.deepEqual(plane.collectActivity(), []);
  return entries;
}

describe('the use of a route', () => {
  for (const { name, request, answer, isUsed, isUser } of [
    { name: 'a page', request: 'GET /lab', answer: '200 OK', isUsed: true, isUser: true },
    { name: 'a poll of the API', request: 'GET /api/kernels', answer: '200 OK', isUsed: true, isUser: false },
    {
      name: 'a change over the API',
      request: 'DELETE /api/kernels/1',
      answer: '200 OK',
      isUsed: true,
      isUser: true,
    },
    { name: 'a redirect', request: 'GET /', answer: '302 Found', isUsed: false, isUser: false },
    { name: 'a refusal', request: 'GET /', answer: '403 Forbidden', isUsed: false, isUser: false },
    { name: 'a failure', request: 'GET /', answer: '500 Oops', isUsed: false, isUser: false },
  ])
    it(`${isUsed ? 'counts' : 'does not count'} ${name}${isUsed && !isUser ? ', but not as a user doing something' : ''}`, async (t) => {
      const entries = await tell(t, request, answer);
      assert.deepEqual(
        entries.map((entry) => entry.router),
        isUsed ? ['zoe'] : [],
      );
      if (isUsed) assert.equal(entries[0]?.userAgoMs !== undefined, isUser);
    });

  it('counts all that passes through a WebSocket, and data as a user doing something, but not pings', async (t) => {
    const { plane, server, client } = await start(t);
    const peer = await client();
    peer.send(
      'GET /api/kernels/1/channels HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
    );
    const upstream = await server.accept();
    await upstream.readHead();
    upstream.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    await peer.readHead();
    const told: ActivityEntry[] = [];
    const collect = (): readonly ActivityEntry[] => {
      told.push(...plane.collectActivity());
      return told;
    };
    upstream.send('\x89\x00');
    await peer.read('\x89\x00');
    await until(() => collect().length > 0, 'activity');
    assert.ok(told.every(({ userAgoMs }) => userAgoMs === undefined));
    upstream.send('\x81\x02hi');
    await peer.read('hi');
    await until(() => collect().some(({ userAgoMs }) => userAgoMs !== undefined), "a user's activity");
  });
});
