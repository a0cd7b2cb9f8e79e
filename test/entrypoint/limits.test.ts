import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import type { LimitsConfiguration } from '../../src/config/limits.ts';
import {
  entryPoint,
  router,
  service,
  startDataPlane,
  staticConfiguration,
  table,
} from '../support/data-plane.ts';
import type { ByteServer } from '../support/sockets.ts';
import { connect, startByteServer, until } from '../support/sockets.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

async function start(
  t: TestContext,
  limits: Partial<LimitsConfiguration>,
  maxHeaderBytes = 4096,
): Promise<{ readonly port: number; readonly server: ByteServer }> {
  const server = await startByteServer(t);
  const configuration = staticConfiguration([
    entryPoint('web', { http: { ...entryPoint('web').http, maxHeaderBytes } }),
  ]);
  const { port } = await startDataPlane(
    t,
    { ...configuration, limits: { ...configuration.limits, ...limits } },
    table([router('all', 'PathPrefix(`/`)', 'app')], [service('app', [server.url])]),
  );
  return { port: port('web'), server };
}

describe('limits of a request', () => {
  const start1 = 'GET / HTTP/1.1\r\nHost: h\r\n';
  const chunked = 'POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n';
  const cases: readonly {
    readonly name: string;
    readonly limits: Partial<LimitsConfiguration>;
    readonly fits: string;
    readonly exceeds: string;
    readonly status: number;
  }[] = [
    {
      name: 'http.maxHeaderBytes',
      limits: {},
      fits: `${start1}X: ${'a'.repeat(4096 - start1.length - 7)}\r\n\r\n`,
      exceeds: `${start1}X: ${'a'.repeat(4096 - start1.length - 6)}\r\n\r\n`,
      status: 431,
    },
    {
      name: 'JTP_MAX_HEADERS',
      limits: { maxHeaders: 10 },
      fits: `${start1}${'a: b\r\n'.repeat(9)}\r\n`,
      exceeds: `${start1}${'a: b\r\n'.repeat(10)}\r\n`,
      status: 431,
    },
    {
      name: 'JTP_MAX_TARGET_BYTES',
      limits: { maxTargetBytes: 100 },
      fits: `GET /${'a'.repeat(99)} HTTP/1.1\r\nHost: h\r\n\r\n`,
      exceeds: `GET /${'a'.repeat(100)} HTTP/1.1\r\nHost: h\r\n\r\n`,
      status: 414,
    },
    {
      name: 'JTP_MAX_CHUNK_OVERHEAD_BYTES',
      limits: { maxChunkOverheadBytes: 64 },
      fits: `${chunked}1;${'a'.repeat(60)}\r\nx\r\n0\r\n\r\n`,
      exceeds: `${chunked}1;${'a'.repeat(61)}\r\nx\r\n0\r\n\r\n`,
      status: 400,
    },
  ];
  for (const { name, limits, fits, exceeds, status } of cases) {
    it(`${name}: a request at the limit passes`, async (t) => {
      const { port, server } = await start(t, limits);
      const client = await connect(t, port);
      client.send(fits);
      const upstream = await server.accept();
      await upstream.readHead();
      upstream.send(OK);
      await client.read('\r\n\r\nok');
    });

    it(`${name}: one byte or header more gets ${String(status)}, and the connection is closed`, async (t) => {
      const { port } = await start(t, limits);
      const client = await connect(t, port);
      client.send(exceeds);
      assert.match(
        await client.readToEnd(),
        new RegExp(`^HTTP/1.1 ${String(status)} [^]*\r\nConnection: close\r\n`),
      );
    });
  }

  it('a head without end is refused as soon as it is too long', async (t) => {
    const { port } = await start(t, {});
    const client = await connect(t, port);
    client.send('GET / HTTP/1.1\r\nX: ');
    client.send('a'.repeat(5000));
    assert.match(await client.readToEnd(), /^HTTP\/1.1 431 /);
  });

  it('empty lines without end are refused too', async (t) => {
    const { port } = await start(t, {});
    const client = await connect(t, port);
    client.send('\r\n'.repeat(3000));
    assert.match(await client.readToEnd(), /^HTTP\/1.1 431 /);
  });
});

describe('JTP_MAX_CONNECTIONS', () => {
  it('closes the first connection beyond it, and takes one more when another has ended', async (t) => {
    const { port, server } = await start(t, { maxConnections: 2 });
    const first = await connect(t, port);
    first.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    const upstream = await server.accept();
    await upstream.readHead();
    const second = await connect(t, port);
    const third = await connect(t, port);
    assert.equal(await third.readToEnd(), '');
    // The others go on.
    upstream.send(OK);
    await first.read('\r\n\r\nok');
    second.socket.end();
    await second.readToEnd();
    const fourth = await connect(t, port);
    fourth.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    await upstream.readHead();
    upstream.send(OK);
    await fourth.read('\r\n\r\nok');
  });

  it('ends a connection that is kept without a request, so that another client comes in', async (t) => {
    const { port, server } = await start(t, { maxConnections: 2 });
    const [busy, quiet] = [await connect(t, port), await connect(t, port)];
    busy.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    const held = await server.accept();
    await held.readHead();
    for (let answer = ''; answer === '';) {
      const client = await connect(t, port).catch(() => undefined);
      client?.send('GET / HTTP/1.0\r\n\r\n');
      await until(
        () => client?.isClosed !== false || client.hasEnded || server.accepted > 1,
        'an end or a request',
      );
      if (server.accepted === 1) continue;
      const upstream = await server.accept();
      await upstream.readHead();
      upstream.send(OK);
      answer = (await client?.readToEnd()) ?? '';
      assert.match(answer, /ok$/);
    }
    await quiet.readToEnd();
    held.send(OK);
    await busy.read('\r\n\r\nok');
  });

  it('counts tunnels', async (t) => {
    const { port, server } = await start(t, { maxConnections: 1 });
    const client = await connect(t, port);
    client.send('GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    const upstream = await server.accept();
    await upstream.readHead();
    upstream.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    await client.readHead();
    const other = await connect(t, port);
    assert.equal(await other.readToEnd(), '');
  });
});
