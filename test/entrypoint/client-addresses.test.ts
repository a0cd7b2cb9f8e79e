// What one client address may have. Clients come from 127.0.0.2 and further: 127.0.0.1 is where proxies come from.

import assert from 'node:assert/strict';
import net from 'node:net';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import type { EntryPointConfiguration } from '../../src/config/static.ts';
import { network64 } from '../../src/entrypoint/client-addresses.ts';
import { DataPlane } from '../../src/worker/data-plane.ts';
import { createSelfSignedCertificate } from '../../src/tls/self-signed.ts';
import { entryPoint, router, service, staticConfiguration, table } from '../support/data-plane.ts';
import { rememberingLogger } from '../support/hub-store.ts';
import { DEADLINE_MS, Peer, startByteServer, until } from '../support/sockets.ts';
import type { ByteServer } from '../support/sockets.ts';

const REQUEST = 'GET / HTTP/1.1\r\nHost: h\r\n\r\n';
const UPGRADE = 'GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
const OK = 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok';

interface Started {
  readonly port: number;
  readonly server: ByteServer;
  readonly lines: readonly Record<string, unknown>[];
  readonly plane: DataPlane;
}

/** Two connections for each address. */
async function start(t: TestContext, overrides: Partial<EntryPointConfiguration> = {}): Promise<Started> {
  const server = await startByteServer(t);
  const configuration = staticConfiguration([entryPoint('web', overrides)]);
  const { log, lines } = rememberingLogger();
  const plane = new DataPlane({
    static: {
      ...configuration,
      limits: { ...configuration.limits, maxConnectionsPerAddress: 2 },
      prometheus: {
        entryPoint: 'web',
        manualRouting: true,
        buckets: [1],
        addEntryPointsLabels: false,
        addRoutersLabels: false,
        addServicesLabels: false,
        addInternals: false,
        headerLabels: new Map(),
      },
    },
    apiSocket: '/nonexistent/api.sock',
    log,
    workerId: 1,
  });
  t.after(() => {
    plane.close();
  });
  plane.apply(table([router('all', 'PathPrefix(`/`)', 'app')], [service('app', [server.url])]));
  await plane.listen();
  return {
    plane,
    port: plane.addresses().get('web')?.port ?? 0,
    server,
    lines,
  };
}

/** One that is kept, or cut at once. */
async function come(t: TestContext, port: number, localAddress: string): Promise<Peer> {
  const socket = net.connect({ port, host: '127.0.0.1', localAddress });
  const peer = new Peer(socket);
  t.after(() => {
    socket.destroy();
  });
  await until(() => peer.isClosed || !socket.connecting, 'a connection');
  return peer;
}

/** The same with a request that has reached the server. */
async function ask(t: TestContext, { port, server }: Started, localAddress: string): Promise<[Peer, Peer]> {
  const client = await come(t, port, localAddress);
  client.send(REQUEST);
  const upstream = await server.accept();
  await upstream.readHead();
  return [client, upstream];
}

/** Comes again and again from 127.0.0.2; `isIn`, asked often, tells that the last one has been let in. */
async function comeUntilKept(t: TestContext, port: number, isIn: (peer: Peer) => boolean): Promise<void> {
  const end = Date.now() + DEADLINE_MS;
  for (;;) {
    assert.ok(Date.now() < end, 'nobody gave way');
    const peer = await come(t, port, '127.0.0.2');
    await until(() => peer.isClosed || isIn(peer), 'an end of one of them');
    if (!peer.isClosed) return;
  }
}

async function isTurnedAway(peer: Peer): Promise<void> {
  await until(() => peer.isClosed, 'an end');
  assert.equal(peer.received, '');
}

describe('JTP_MAX_CONNECTIONS_PER_ADDRESS', () => {
  it('lets an address have so many, and no more while all of them are busy', async (t) => {
    const started = await start(t);
    const [[first, upstream]] = [await ask(t, started, '127.0.0.2'), await ask(t, started, '127.0.0.2')];
    await isTurnedAway(await come(t, started.port, '127.0.0.2'));
    await isTurnedAway(await come(t, started.port, '127.0.0.2'));
    await ask(t, started, '127.0.0.3');
    upstream.send(OK);
    await first.read('ok');
    first.socket.destroy();
    // Its place is free once the proxy has heard of it.
    const { server } = started;
    const { accepted } = server;
    await comeUntilKept(t, started.port, (peer) => {
      if (peer.socket.bytesWritten === 0) peer.send(UPGRADE);
      return server.accepted > accepted;
    });
    const said = started.lines.filter(({ msg }) => /too many connections of one address/.test(String(msg)));
    assert.deepEqual(
      said.map(({ refused, limit, entryPoint: name }) => ({ refused, limit, name })),
      [{ refused: 1, limit: 2, name: 'web' }],
    );
  });

  it('counts those it turns away for the metrics', async (t) => {
    const started = await start(t);
    await ask(t, started, '127.0.0.2');
    await ask(t, started, '127.0.0.2');
    for (let i = 0; i < 3; i++) await isTurnedAway(await come(t, started.port, '127.0.0.2'));
    assert.deepEqual(started.plane.collectCounts()?.refused, [['web', 'address', 3]]);
    assert.equal(started.plane.collectCounts(), undefined);
  });

  it('counts what has become a WebSocket', async (t) => {
    const started = await start(t);
    for (let round = 0; round < 2; round++) {
      const client = await come(t, started.port, '127.0.0.2');
      client.send(UPGRADE);
      const upstream = await started.server.accept();
      await upstream.readHead();
      upstream.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
      await client.readHead();
    }
    await isTurnedAway(await come(t, started.port, '127.0.0.2'));
  });

  it('ends one that the same address does not use', async (t) => {
    const started = await start(t);
    await ask(t, started, '127.0.0.2');
    const [quiet, upstream] = await ask(t, started, '127.0.0.2');
    const [elsewhere, other] = await ask(t, started, '127.0.0.3');
    upstream.send(OK);
    other.send(OK);
    await quiet.read('ok');
    await elsewhere.read('ok');
    await comeUntilKept(t, started.port, () => quiet.isClosed || quiet.hasEnded);
    assert.equal(elsewhere.isClosed, false);
  });

  it('ends one that has never said anything', async (t) => {
    const started = await start(t);
    const silent = [await come(t, started.port, '127.0.0.2'), await come(t, started.port, '127.0.0.2')];
    await comeUntilKept(t, started.port, () => silent.some(({ isClosed }) => isClosed));
    // Those that have left cannot be asked to leave in another's place.
    for (const peer of silent) peer.socket.destroy();
    for (const accepted of [0, 1])
      await comeUntilKept(t, started.port, (peer) => {
        if (peer.socket.bytesWritten === 0) peer.send(UPGRADE);
        return started.server.accepted > accepted;
      });
    await isTurnedAway(await come(t, started.port, '127.0.0.2'));
  });

  it('does not hold for those behind a proxy', async (t) => {
    const { forwardedHeaders } = entryPoint('web');
    const started = await start(t, {
      forwardedHeaders: { ...forwardedHeaders, trustedIPs: ['127.0.0.8/29'] },
    });
    for (const address of ['127.0.0.1', '127.0.0.9'])
      for (let round = 0; round < 3; round++) await ask(t, started, address);
  });

  it('holds where nothing but TLS is spoken', async (t) => {
    const certificate = await createSelfSignedCertificate();
    const started = await start(t, {
      serverTls: { ...certificate, requestCert: false, rejectUnauthorized: false },
    });
    const kept = [await come(t, started.port, '127.0.0.2'), await come(t, started.port, '127.0.0.2')];
    await isTurnedAway(await come(t, started.port, '127.0.0.2'));
    kept.push(await come(t, started.port, '127.0.0.3'));
    assert.ok(kept.every(({ isClosed }) => !isClosed));
    // No handshake begins so.
    for (const peer of kept) {
      peer.send(REQUEST);
      await until(() => peer.isClosed, 'an end');
    }
  });
});

describe('the network of an IPv6 address', () => {
  for (const [address, network] of [
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:db8:1:2::6', '2001:db8:1:2'],
    ['2001:db8::6', '2001:db8:0:0'],
    ['2001:db8::3:4:5:6:7', '2001:db8:0:3'],
    ['fe80::1', 'fe80:0:0:0'],
    ['::5', '0:0:0:0'],
  ] as const)
    it(`${address} is ${network}`, () => {
      assert.equal(network64(address), network);
    });
});
