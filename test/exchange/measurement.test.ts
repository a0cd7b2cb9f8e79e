// What is counted of requests for Traefik's metrics, however they end. Names and labels are compared with the real one elsewhere.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import type { PrometheusConfiguration } from '../../src/config/prometheus.ts';
import type { TrafficReport } from '../../src/observe/reports.ts';
import type { DataPlane } from '../../src/worker/data-plane.ts';
import {
  entryPoint,
  router,
  service,
  startDataPlane,
  staticConfiguration,
  table,
} from '../support/data-plane.ts';
import { begin } from '../support/requests.ts';
import { closedPort, connect, startByteServer, until } from '../support/sockets.ts';

const PROMETHEUS: PrometheusConfiguration = {
  entryPoint: 'traefik',
  manualRouting: false,
  buckets: [0.1, 5],
  addEntryPointsLabels: true,
  addRoutersLabels: true,
  addServicesLabels: true,
  addInternals: false,
  headerLabels: new Map(),
};

async function start(t: TestContext, overrides: Partial<PrometheusConfiguration> | 'off' = {}) {
  const server = await startByteServer(t);
  const { plane, port } = await startDataPlane(
    t,
    staticConfiguration(
      [entryPoint('web')],
      overrides === 'off' ? {} : { prometheus: { ...PROMETHEUS, ...overrides } },
    ),
    table(
      [
        router('one@file', 'PathPrefix(`/one`)', 's@file'),
        router('two@file', 'PathPrefix(`/two`)', 'mixed@file', { label: 'web-two@file' }),
        router('noop@file', 'PathPrefix(`/noop`)', 'noop@internal'),
        router('gone@file', 'PathPrefix(`/gone`)', 'stopped@internal'),
      ],
      [
        service('s@file', [server.url]),
        service('mixed@file', [`http://127.0.0.1:${String(await closedPort())}`, server.url]),
        { kind: 'noop', name: 'noop@internal' },
        { kind: 'stopped', name: 'stopped@internal' },
      ],
    ),
  );
  return { plane, port: port('web'), server };
}

/** One line for each combination, `kind name: status method protocol count requestBytes/responseBytes`, collected until there are enough. */
async function counted(plane: DataPlane, requests: number): Promise<string[]> {
  const reports: TrafficReport = [];
  const total = (): number =>
    reports
      .filter(({ kind }) => kind === 'entrypoint')
      .reduce((sum, { series }) => sum + series.reduce((count, one) => count + one.count, 0), 0);
  await until(() => {
    reports.push(...(plane.collectCounts()?.traffic ?? []));
    return total() >= requests;
  }, 'the counts');
  const lines = reports.flatMap(({ kind, name, series }) =>
    series.map(
      ({ status, method, protocol, count, requestBytes, responseBytes }) =>
        `${kind} ${name}: ${String(status)} ${method} ${protocol} ${String(count)} ${String(requestBytes)}/${String(responseBytes)}`,
    ),
  );
  return lines.sort();
}

describe('counting requests', () => {
  it('counts one that is answered at its entry point, its router and its service', async (t) => {
    const { plane, port, server } = await start(t);
    const client = await connect(t, port);
    client.send('POST /one HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello');
    const upstream = await server.accept();
    await upstream.read('hello');
    upstream.send('HTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\nabc');
    await client.read('abc');
    assert.deepEqual(await counted(plane, 1), [
      'entrypoint web: 201 POST http 1 5/3',
      'router one@file: 201 POST http 1 5/3',
      'service s@file: 201 POST http 1 5/3',
    ]);
  });

  it('counts one that another server has to answer once', async (t) => {
    const { plane, port, server } = await start(t);
    // One of two goes to the closed port first.
    for (let i = 0; i < 2; i++) {
      const client = await begin(t, port, '/two');
      const upstream = await server.accept();
      await upstream.readHead();
      upstream.send('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      await client.readHead();
    }
    assert.deepEqual(await counted(plane, 2), [
      'entrypoint web: 200 GET http 2 0/0',
      'router web-two@file: 200 GET http 2 0/0',
      'service mixed@file: 200 GET http 2 0/0',
    ]);
  });

  it('counts 499 for a client that has not waited, and the status that a cut response had', async (t) => {
    const { plane, port, server } = await start(t);
    const first = await begin(t, port, '/one');
    await (await server.accept()).readHead();
    first.socket.resetAndDestroy();
    const second = await begin(t, port, '/one');
    const upstream = await server.accept();
    await upstream.readHead();
    upstream.send('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf');
    await second.read('half');
    upstream.socket.resetAndDestroy();
    await second.readToEnd();
    const lines = await counted(plane, 2);
    assert.deepEqual(
      lines.filter((line) => line.startsWith('service')),
      ['service s@file: 200 GET http 1 0/4', 'service s@file: 499 GET http 1 0/0'],
    );
  });

  it('counts a WebSocket when it is over', async (t) => {
    const { plane, port, server } = await start(t);
    const client = await connect(t, port);
    client.send('GET /one HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    const upstream = await server.accept();
    await upstream.readHead();
    upstream.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    await client.readHead();
    assert.equal(plane.collectCounts(), undefined);
    assert.deepEqual([...plane.socketCounts()], [['web', 1]]);
    client.socket.destroy();
    upstream.socket.destroy();
    assert.deepEqual(await counted(plane, 1), [
      'entrypoint web: 101 GET websocket 1 0/0',
      'router one@file: 101 GET websocket 1 0/0',
      'service s@file: 101 GET websocket 1 0/0',
    ]);
  });

  it('does not count what the proxy answers for itself, unless it is asked to', async (t) => {
    for (const [addInternals, want] of [
      [false, ['entrypoint web: 404 GET http 1 0/19', 'entrypoint web: 424 GET http 1 0/17']],
      [
        true,
        [
          'entrypoint web: 404 GET http 1 0/19',
          'entrypoint web: 418 GET http 1 0/0',
          'entrypoint web: 424 GET http 1 0/17',
        ],
      ],
    ] as const) {
      const { plane, port } = await start(t, { addInternals, addRoutersLabels: false });
      for (const target of ['/noop', '/gone', '/nowhere']) await (await begin(t, port, target)).readHead();
      assert.deepEqual(await counted(plane, want.length), want);
    }
  });

  it('counts nothing where there are no metrics', async (t) => {
    const { plane, port } = await start(t, 'off');
    await (await begin(t, port, '/nowhere')).readHead();
    assert.equal(plane.collectCounts(), undefined);
  });

  it('tells requests apart by headers, the values as text and not longer than some', async (t) => {
    const { plane, port } = await start(t, { headerLabels: new Map([['a', 'X-A']]) });
    for (const value of ['Zo\u00c3\u00ab', 'x'.repeat(1000)]) {
      const client = await connect(t, port);
      client.socket.write(`GET /nowhere HTTP/1.1\r\nHost: h\r\nX-A: ${value}\r\n\r\n`, 'latin1');
      await client.readHead();
    }
    const [scope] = plane.collectCounts()?.traffic ?? [];
    assert.deepEqual(
      scope?.headers.map(({ values }) => values),
      [['Zoë'], ['x'.repeat(128)]],
    );
  });
});
