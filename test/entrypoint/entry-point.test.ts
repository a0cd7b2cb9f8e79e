// Accepting: the sockets that are handed over, resting, draining, refusing.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import type { EntryPointConfiguration } from '../../src/config/static.ts';
import { bindEntryPoint } from '../../src/entrypoint/listening-socket.ts';
import { DataPlane } from '../../src/worker/data-plane.ts';
import { entryPoint, router, service, staticConfiguration, table } from '../support/data-plane.ts';
import { temporaryFolder } from '../support/hub-store.ts';
import { FRAME, FrameClient } from '../support/http2-frames.ts';
import { connect, DEADLINE_MS, startByteServer, until } from '../support/sockets.ts';
import type { ByteServer, Peer } from '../support/sockets.ts';

const ANSWER = 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok';
const REQUEST = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';

function startPlane(
  t: TestContext,
  server: ByteServer,
  configuration: EntryPointConfiguration = entryPoint('web'),
  maxClients = Infinity,
): DataPlane {
  const plane = new DataPlane({
    static: staticConfiguration([configuration]),
    apiSocket: '/nonexistent/api.sock',
    log: pino({ level: 'silent' }),
    workerId: 1,
    budget: { maxClients, maxIdle: Infinity },
  });
  t.after(() => {
    plane.close();
  });
  plane.apply(table([router('all', 'PathPrefix(`/`)', 'app')], [service('app', [server.url])]));
  return plane;
}

async function exchange(client: Peer, server: ByteServer): Promise<string> {
  client.send(REQUEST);
  const peer = await server.accept();
  await peer.readHead();
  peer.send(ANSWER);
  return client.read('ok');
}

/** Connects again and again, until a request is taken. */
async function connectUntilKept(t: TestContext, port: number, server: ByteServer): Promise<void> {
  const { accepted } = server;
  const end = Date.now() + DEADLINE_MS;
  while (server.accepted === accepted) {
    assert.ok(Date.now() < end, 'nobody gave way');
    const client = await connect(t, port).catch(() => undefined);
    client?.send(REQUEST);
    await until(() => client?.isClosed !== false || server.accepted > accepted, 'an end or a request');
  }
  const peer = await server.accept();
  await peer.readHead();
  peer.send(ANSWER);
}

describe('an entry point', () => {
  it('accepts on a socket that was bound before, rests, and accepts again', async (t) => {
    const server = await startByteServer(t);
    const plane = startPlane(t, server);
    const socket = await bindEntryPoint(entryPoint('web'));
    await plane.listen(new Map([['web', socket]]));
    const port = plane.addresses().get('web')?.port ?? 0;
    const client = await connect(t, port);
    await exchange(client, server);
    plane.rest();
    assert.equal(plane.addresses().size, 0);
    // Connections go on, and the address can be bound again.
    await exchange(client, server);
    const again = await bindEntryPoint(entryPoint('web', { address: { host: '127.0.0.1', port } }));
    await plane.listen(new Map([['web', again]]));
    await exchange(await connect(t, port), server);
  });

  it('gives an idle connection one more request when others have taken over', async (t) => {
    const server = await startByteServer(t);
    const plane = startPlane(t, server);
    await plane.listen();
    const port = plane.addresses().get('web')?.port ?? 0;
    const [kept, fresh] = [await connect(t, port), await connect(t, port)];
    await exchange(kept, server);
    const drained = plane.drain({ graceMs: 20_000, isReplaced: true });
    for (const client of [kept, fresh]) {
      assert.match(await exchange(client, server), /\r\nConnection: close\r\n/);
      await client.readToEnd();
      client.socket.destroy();
    }
    await drained;
  });

  it('closes idle connections at once when it ends for good', async (t) => {
    const server = await startByteServer(t);
    const plane = startPlane(t, server);
    await plane.listen();
    const port = plane.addresses().get('web')?.port ?? 0;
    const [kept, fresh] = [await connect(t, port), await connect(t, port)];
    await exchange(kept, server);
    const drained = plane.drain({ graceMs: 20_000, isReplaced: false });
    for (const client of [kept, fresh]) {
      assert.equal(await client.readToEnd(), '');
      client.socket.destroy();
    }
    await drained;
  });

  it('admits as many clients as there are descriptors for, at the limit and not one over it', async (t) => {
    const server = await startByteServer(t);
    const plane = startPlane(t, server, entryPoint('web'), 2);
    await plane.listen();
    const port = plane.addresses().get('web')?.port ?? 0;
    const [first, second] = [await connect(t, port), await connect(t, port)];
    first.send(REQUEST);
    second.send(REQUEST);
    const [one, two] = [await server.accept(), await server.accept()];
    // The reset may be there before the connection was seen.
    const third = await connect(t, port).catch(() => undefined);
    await third?.closed();
    assert.equal(plane.counts().refused, 1);
    for (const peer of [one, two]) peer.send(ANSWER);
    await first.read('ok');
    await second.read('ok');
  });

  it('takes the place of a Unix socket that a killed program has left, and not of one that answers', async (t) => {
    const server = await startByteServer(t);
    const path = join(temporaryFolder(t), 'web.sock');
    const configuration = entryPoint('web', { addressText: path, address: { host: '', port: 0, path } });
    const plane = startPlane(t, server, configuration);
    const first = await bindEntryPoint(configuration);
    await plane.listen(new Map([['web', first]]));
    await assert.rejects(bindEntryPoint(configuration), /the socket is in use by another program/);
    plane.close();
    // Nobody listens any more, but the file is there.
    assert.ok(existsSync(path));
    const other = startPlane(t, server, configuration);
    await other.listen();
    const client = net.connect(path);
    t.after(() => client.destroy());
    client.write(REQUEST);
    const peer = await server.accept();
    assert.match(await peer.readHead(), /^GET \/ /);
  });

  for (const { name, address, want } of [
    {
      name: 'an address of another machine',
      address: { host: '192.0.2.1', port: 0 },
      want: /does not have the address/,
    },
    { name: 'a name that nobody knows', address: { host: 'name.invalid', port: 0 }, want: /name\.invalid/ },
  ])
    it(`says why it cannot listen on ${name}`, async () => {
      await assert.rejects(bindEntryPoint(entryPoint('web', { address })), (error: Error) => {
        assert.match(error.message, want);
        assert.match(error.message, /entry point "web" cannot listen on/);
        return true;
      });
    });

  it('says which port is in use', async (t) => {
    const server = await startByteServer(t);
    const taken = entryPoint('web', { address: { host: '127.0.0.1', port: server.port } });
    await assert.rejects(bindEntryPoint(taken), /the port is in use by another program/);
  });
});

// Each of them waits for a second to pass.
describe('an entry point without room', () => {
  for (const { name, occupy } of [
    {
      name: 'is kept without a request',
      occupy: async (client: Peer, server: ByteServer) => {
        await exchange(client, server);
      },
    },
    { name: 'has said nothing', occupy: () => Promise.resolve() },
    {
      name: 'has not come to the end of its head',
      occupy: (client: Peer) => {
        client.send('GET / HTTP/1.1\r\nX: ');
        return Promise.resolve();
      },
    },
    {
      name: 'has no stream (HTTP/2)',
      occupy: async (peer: Peer) => {
        await new FrameClient(peer).nextOf(FRAME.window);
      },
    },
  ])
    it(`lets a client in for one that ${name}, and ends nobody who waits for an answer`, async (t) => {
      const server = await startByteServer(t);
      const plane = startPlane(t, server, entryPoint('web'), 2);
      await plane.listen();
      const port = plane.addresses().get('web')?.port ?? 0;
      const [busy, quiet] = [await connect(t, port), await connect(t, port)];
      busy.send(REQUEST);
      const held = await server.accept();
      await held.readHead();
      await occupy(quiet, server);
      // Refused until the other one has been quiet for a while.
      await connectUntilKept(t, port, server);
      await quiet.readToEnd();
      held.send(ANSWER);
      await busy.read('ok');
    });
});
