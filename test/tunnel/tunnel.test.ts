import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import type { DataPlane } from '../../src/worker/data-plane.ts';
import {
  entryPoint,
  router,
  service,
  startDataPlane,
  startProxyTo,
  staticConfiguration,
  table,
} from '../support/data-plane.ts';
import { flood, startByteServer, until } from '../support/sockets.ts';
import type { ByteServer, Peer } from '../support/sockets.ts';
import { frame, openTunnel, requestTunnel, UPGRADE } from '../support/web-socket.ts';

const GOODBYE = '\x88\x02\x03\xe9';

interface Started {
  readonly plane: DataPlane;
  readonly server: ByteServer;
  readonly client: Peer;
  readonly upstream: Peer;
}

async function start(t: TestContext): Promise<Started> {
  const server = await startByteServer(t);
  const { plane, port } = await startProxyTo(t, server.url);
  return { plane, server, ...(await openTunnel(t, port, server)) };
}

function remove(plane: DataPlane, ...names: string[]): void {
  plane.apply(table([], [], { full: false, generation: 2, removedRouters: names }));
}

function isGone(plane: DataPlane): Promise<void> {
  return until(() => plane.counts().tunnels === 0 && plane.counts().connections === 0, 'everything to close');
}

describe('an upgrade that is not granted', () => {
  for (const status of ['200 OK', '403 Forbidden', '404 Not Found', '500 Internal Server Error'])
    it(`passes ${status} on and keeps both connections`, async (t) => {
      const server = await startByteServer(t);
      const { plane, port } = await startProxyTo(t, server.url);
      const { client, accept } = await requestTunnel(t, port);
      const upstream = await accept(server);
      upstream.send(`HTTP/1.1 ${status}\r\nDate: x\r\nContent-Length: 2\r\n\r\nno`);
      assert.equal(await client.read('no'), `HTTP/1.1 ${status}\r\nDate: x\r\nContent-Length: 2\r\n\r\nno`);
      client.send('GET /next HTTP/1.1\r\nHost: h\r\n\r\n');
      assert.match(await upstream.readHead(), /^GET \/next /);
      assert.equal(plane.counts().tunnels, 0);
      client.socket.destroy();
      await isGone(plane);
    });

  it('frees both sockets when the client leaves while the server is mute', async (t) => {
    for (const leave of ['end', 'destroy', 'resetAndDestroy'] as const) {
      const server = await startByteServer(t);
      const { plane, port } = await startProxyTo(t, server.url);
      const { client, accept } = await requestTunnel(t, port);
      const upstream = await accept(server);
      client.socket[leave]();
      await upstream.readToEnd();
      await isGone(plane);
    }
  });

  it('frees both sockets when the server hangs up inside its head', async (t) => {
    const server = await startByteServer(t);
    const { plane, port } = await startProxyTo(t, server.url);
    const { client, accept } = await requestTunnel(t, port);
    const upstream = await accept(server);
    upstream.send('HTTP/1.1 101 Switching Pro');
    upstream.socket.end();
    assert.match(await client.readHead(), /^HTTP\/1.1 502 /);
    client.socket.end();
    await client.readToEnd();
    await isGone(plane);
  });
});

describe('a tunnel', () => {
  it('passes bytes as they come, the first ones included', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startProxyTo(t, server.url);
    const { client, accept } = await requestTunnel(t, port);
    client.send('early');
    const upstream = await accept(server);
    upstream.send(`${UPGRADE}first`);
    assert.match(await client.read('first'), /\r\n\r\nfirst$/);
    await upstream.read('early');
    for (const text of [frame(1, 'a'), frame(9, ''), frame(2, 'x'.repeat(200_000)), '\xff nonsense']) {
      client.send(text);
      assert.equal(await upstream.read(text), text);
      upstream.send(text);
      assert.equal(await client.read(text), text);
    }
  });

  it('passes a FIN on and ends when both have been sent', async (t) => {
    for (const [one, other] of [
      ['client', 'upstream'],
      ['upstream', 'client'],
    ] as const) {
      const started = await start(t);
      started[one].send('last words');
      started[one].socket.end();
      assert.equal(await started[other].readToEnd(), 'last words');
      started[other].send('answer');
      started[other].socket.end();
      assert.equal(await started[one].readToEnd(), 'answer');
      await isGone(started.plane);
    }
  });

  it('ends a side that does not answer a FIN', async (t) => {
    const { plane, client, upstream } = await start(t);
    client.socket.end();
    await upstream.readToEnd();
    await isGone(plane);
  });

  it('takes the other side along when one is reset or destroyed', async (t) => {
    for (const one of ['client', 'upstream'] as const)
      for (const how of ['destroy', 'resetAndDestroy'] as const) {
        const started = await start(t);
        started[one].socket[how]();
        const other = one === 'client' ? started.upstream : started.client;
        await other.readToEnd();
        other.socket.end();
        await isGone(started.plane);
      }
  });

  it('notices the reset of a client that the server made to wait', async (t) => {
    const { plane, client, upstream } = await start(t);
    upstream.socket.pause();
    // More than the kernel holds, so that the proxy has to keep some and stops reading.
    await flood(client.socket);
    client.socket.resetAndDestroy();
    await isGone(plane);
  });

  it('counts data and activity apart', async (t) => {
    const server = await startByteServer(t);
    const { plane, port } = await startProxyTo(t, server.url);
    const { client, upstream } = await openTunnel(t, port, server);
    client.send(frame(1, 'data', { isMasked: true }) + frame(9, 'p', { isMasked: true }));
    await upstream.read('p');
    upstream.send(frame(10, 'p') + frame(2, '1') + frame(2, '2'));
    await client.read('2');
    const [tunnel] = [...plane.openTunnels()];
    assert.equal(tunnel?.router, 'all');
    assert.equal(tunnel.clientDataFrames, 1);
    assert.equal(tunnel.serverDataFrames, 2);
    assert.ok(tunnel.lastDataAt <= tunnel.lastActivityAt);
  });

  it('is closed after too long a time without a byte', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startDataPlane(
      t,
      staticConfiguration([entryPoint('web')], {
        limits: { ...staticConfiguration([]).limits, maxWebSocketIdleSeconds: 1 },
      }),
      table([router('all', 'PathPrefix(`/`)', 'app')], [service('app', [server.url])]),
    );
    const { client, upstream } = await openTunnel(t, port('web'), server);
    await client.read(GOODBYE);
    assert.equal((await upstream.read('\x88\x82')).length, 2);
  });
});

describe('goodbye', () => {
  it('goes to both sides of the tunnels of a deleted route, and to no other', async (t) => {
    const server = await startByteServer(t);
    const { plane, port } = await startDataPlane(
      t,
      staticConfiguration([entryPoint('web')]),
      table(
        [router('a', 'PathPrefix(`/a`)', 'app'), router('b', 'PathPrefix(`/b`)', 'app')],
        [service('app', [server.url])],
      ),
    );
    const a = await openTunnel(t, port('web'), server, '/a');
    const b = await openTunnel(t, port('web'), server, '/b');
    remove(plane, 'a');
    assert.equal(await a.client.read(GOODBYE), GOODBYE);
    await a.upstream.read('\x88\x82');
    // Their answers are for us; what comes after them is nobody's business.
    a.client.send(frame(8, '\x03\xe9', { isMasked: true }));
    assert.equal(await a.client.readToEnd(), '');
    a.upstream.send(frame(8, '\x03\xe9'));
    await a.upstream.readToEnd();
    a.client.socket.end();
    a.upstream.socket.end();
    await until(() => plane.counts().tunnels === 1, 'the tunnel to close');
    b.client.send('still here');
    await b.upstream.read('still here');
    b.upstream.send('still there');
    assert.equal(await b.client.read('still there'), 'still there');
  });

  it('is put in only between frames', async (t) => {
    const { plane, client, upstream } = await start(t);
    const long = frame(2, 'x'.repeat(1000));
    upstream.send(long.slice(0, 500));
    await client.read(long.slice(0, 500));
    const masked = frame(1, 'question', { isMasked: true });
    client.send(masked.slice(0, 3));
    await upstream.read(masked.slice(0, 3));
    remove(plane, 'all');
    upstream.send(`${long.slice(500)}${frame(1, 'too late')}`);
    assert.equal(await client.read(GOODBYE), `${long.slice(500)}${GOODBYE}`);
    client.send(`${masked.slice(3)}${frame(1, 'too late', { isMasked: true })}`);
    assert.equal(await upstream.read('\x88\x82'), `${masked.slice(3)}\x88\x82`);
    client.send(frame(8, '', { isMasked: true }));
    upstream.send(frame(8, ''));
    await Promise.all([client.readToEnd(), upstream.readToEnd()]);
    assert.equal(client.received, '');
    assert.doesNotMatch(upstream.received, /too late/);
  });

  it('is not said to those that have said it themselves', async (t) => {
    const { plane, client, upstream } = await start(t);
    client.send(frame(8, '\x03\xe8', { isMasked: true }));
    await upstream.read('\x03\xe8');
    remove(plane, 'all');
    upstream.send(frame(8, '\x03\xe8'));
    upstream.socket.end();
    client.socket.end();
    assert.equal(await client.readToEnd(), GOODBYE);
    assert.equal(await upstream.readToEnd(), '');
    await isGone(plane);
  });

  it('cuts those off that do not answer', async (t) => {
    const { plane, client, upstream } = await start(t);
    // In the middle of a frame that never ends.
    client.send('\x82\x85');
    await upstream.read('\x82\x85');
    remove(plane, 'all');
    await client.read(GOODBYE);
    await isGone(plane);
    await Promise.all([client.readToEnd(), upstream.readToEnd()]);
  });

  it('is said to all when the worker drains', async (t) => {
    const server = await startByteServer(t);
    const { plane, port } = await startProxyTo(t, server.url);
    const tunnels = [];
    for (let index = 0; index < 20; index++) tunnels.push(await openTunnel(t, port, server));
    const drained = plane.drain({ graceMs: 10_000, isReplaced: false });
    for (const { client, upstream } of tunnels) {
      assert.equal(await client.read(GOODBYE), GOODBYE);
      client.send(frame(8, '', { isMasked: true }));
      await upstream.read('\x88\x82');
      upstream.send(frame(8, ''));
      await Promise.all([client.readToEnd(), upstream.readToEnd()]);
      client.socket.end();
      upstream.socket.end();
    }
    await drained;
    assert.equal(plane.counts().tunnels, 0);
  });
});
