import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import type { LimitsConfiguration } from '../../src/config/limits.ts';
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
import { ask, begin } from '../support/requests.ts';
import { closedPort, connect, flood, startByteServer, until } from '../support/sockets.ts';

const OK = 'HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nok';

type Overrides = Partial<LimitsConfiguration> & { readonly dialTimeoutMs?: number };

async function startWith(
  t: TestContext,
  url: string,
  { dialTimeoutMs = 30_000, ...limits }: Overrides,
): Promise<{ readonly plane: DataPlane; readonly port: number }> {
  const usual = staticConfiguration([]);
  const { serversTransport } = usual;
  const { plane, port } = await startDataPlane(
    t,
    staticConfiguration([entryPoint('web')], {
      limits: { ...usual.limits, ...limits },
      serversTransport: {
        ...serversTransport,
        forwardingTimeouts: { ...serversTransport.forwardingTimeouts, dialTimeoutMs },
      },
    }),
    table([router('all', 'PathPrefix(`/`)', 'app')], [service('app', [url])]),
  );
  return { plane, port: port('web') };
}

describe('a dead server', () => {
  it('is tried by few requests, the others are answered at once and told when to come again', async (t) => {
    const { plane, port } = await startProxyTo(t, `http://127.0.0.1:${String(await closedPort())}`);
    const client = await connect(t, port);
    const requests = 200;
    client.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n'.repeat(requests - 1));
    client.send('GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n');
    const answers = (await client.readToEnd()).split('HTTP/1.1 ').slice(1);
    assert.equal(answers.length, requests);
    assert.deepEqual([...new Set(answers.map((answer) => answer.slice(0, 3)))], ['502']);
    const { connects, connectFailures, refusedDead } = plane.counts().upstream;
    assert.equal(connects, connectFailures);
    assert.equal(connects + refusedDead, requests);
    assert.ok(connects < 10, `${String(connects)} attempts`);
    for (const answer of answers) assert.match(answer, /\r\nRetry-After: 1\r\n/);
  });

  it('is used again soon after it has come back', async (t) => {
    const deadPort = await closedPort();
    const { port } = await startProxyTo(t, `http://127.0.0.1:${String(deadPort)}`);
    assert.match(await ask(t, port), /^HTTP\/1.1 502 /);
    const server = net.createServer((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', () => socket.write(OK));
      t.after(() => socket.destroy());
    });
    await new Promise<void>((resolve) => server.listen(deadPort, '127.0.0.1', resolve));
    t.after(() => server.close());
    let answer = '';
    // Each answer comes at once; the back-off is at most a second.
    for (const end = Date.now() + 8000; Date.now() < end && !answer.startsWith('HTTP/1.1 200 ');)
      answer = await ask(t, port);
    assert.match(answer, /^HTTP\/1.1 200 /);
    assert.doesNotMatch(await ask(t, port), /Retry-After/);
  });

  it('is tried by one request at a time while an attempt takes long', async (t) => {
    const server = await startByteServer(t);
    // Takes connections and never shakes hands.
    const { port } = await startWith(t, `https://127.0.0.1:${String(server.port)}`, { dialTimeoutMs: 1000 });
    assert.match(await ask(t, port), /^HTTP\/1.1 504 [^]*\r\nRetry-After: 1\r\n/);
    const attempt = ask(t, port);
    while (server.accepted < 2) await ask(t, port);
    const answers = await Promise.all([ask(t, port), ask(t, port), ask(t, port)]);
    for (const answer of answers) assert.match(answer, /^HTTP\/1.1 504 [^]*\r\nRetry-After: 1\r\n/);
    assert.equal(server.accepted, 2);
    await attempt;
  });
});

describe('limits of a server', () => {
  it('lets requests wait when it has maxServerConnections connections, and refuses one more than maxServerQueue', async (t) => {
    const server = await startByteServer(t);
    const { plane, port } = await startWith(t, server.url, { maxServerConnections: 2, maxServerQueue: 1 });
    await begin(t, port, '/1');
    await begin(t, port, '/2');
    const [one, two] = [await server.accept(), await server.accept()];
    await Promise.all([one.readHead(), two.readHead()]);
    const answers = [await begin(t, port, '/3'), await begin(t, port, '/4')].map((client) =>
      client.readHead(),
    );
    assert.match(await Promise.race(answers), /^HTTP\/1.1 503 [^]*\r\nRetry-After: 1\r\n/);
    assert.equal(plane.counts().upstream.refusedBusy, 1);
    one.send(OK);
    assert.match(await one.readHead(), /^GET \/[34] /);
    one.send(OK);
    const statuses = (await Promise.all(answers)).map((head) => head.slice(9, 12));
    assert.deepEqual(statuses.sort(), ['200', '503']);
    assert.equal(server.accepted, 2);
  });

  it('sends a body that had to wait', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startWith(t, server.url, { maxServerConnections: 1, maxServerQueue: 1 });
    await begin(t, port, '/1');
    const upstream = await server.accept();
    await upstream.readHead();
    const client = await connect(t, port);
    client.send('POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc');
    client.send('def');
    upstream.send(OK);
    assert.match(await upstream.readHead(), /^POST \/2 /);
    assert.equal(await upstream.read('def'), 'abcdef');
    upstream.send(OK);
    assert.match(await client.readHead(), /^HTTP\/1.1 200 /);
  });

  it('makes room for those behind a client that stops waiting', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startWith(t, server.url, { maxServerConnections: 1, maxServerQueue: 1 });
    await begin(t, port, '/1');
    const upstream = await server.accept();
    await upstream.readHead();
    const leaving = await begin(t, port, '/leaves');
    // Refused as long as the one before it waits.
    assert.match(await ask(t, port), /^HTTP\/1.1 503 /);
    leaving.socket.end();
    await leaving.readToEnd();
    const staying = await begin(t, port, '/stays');
    upstream.send(OK);
    assert.match(await upstream.readHead(), /^GET \/stays /);
    upstream.send(OK);
    assert.match(await staying.readHead(), /^HTTP\/1.1 200 /);
  });

  for (const leave of ['end', 'resetAndDestroy'] as const)
    it(`notices that a client leaves (${leave}) whose body is held back`, async (t) => {
      const server = await startByteServer(t);
      const { plane, port } = await startWith(t, server.url, { maxServerConnections: 1, maxServerQueue: 1 });
      const first = await begin(t, port, '/1');
      await server.accept();
      const client = await connect(t, port);
      client.send('POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n\r\nabc');
      client.send('def');
      // Refused as long as the one before it waits.
      assert.match(await ask(t, port), /^HTTP\/1.1 503 /);
      client.socket[leave]();
      await until(() => plane.counts().connections === 1, 'the client to be gone');
      first.socket.destroy();
    });

  it('notices the reset of a client whose server does not read its body', async (t) => {
    const server = await startByteServer(t);
    const { plane, port } = await startProxyTo(t, server.url);
    const client = await connect(t, port);
    client.send('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\n');
    const upstream = await server.accept();
    await upstream.readHead();
    upstream.socket.pause();
    // More than the kernel holds, so that the proxy stops reading.
    await flood(client.socket);
    client.socket.resetAndDestroy();
    await until(() => plane.counts().connections === 0, 'the client to be gone');
    upstream.socket.resume();
    await upstream.readToEnd();
  });

  it('answers 503 to a request that has waited as long as a connection may take', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startWith(t, server.url, {
      maxServerConnections: 1,
      maxServerQueue: 1,
      dialTimeoutMs: 200,
    });
    await begin(t, port, '/1');
    await server.accept();
    assert.match(await ask(t, port), /^HTTP\/1.1 503 [^]*\r\nRetry-After: 1\r\n/);
  });

  it('counts a tunnel as a connection until it is closed', async (t) => {
    const server = await startByteServer(t);
    const { plane, port } = await startWith(t, server.url, { maxServerConnections: 1, maxServerQueue: 0 });
    const client = await connect(t, port);
    client.send('GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    const upstream = await server.accept();
    await upstream.readHead();
    upstream.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    await client.readHead();
    assert.match(await ask(t, port), /^HTTP\/1.1 503 /);
    upstream.socket.destroy();
    await client.readToEnd();
    client.socket.end();
    await until(() => plane.counts().tunnels === 0, 'the tunnel to close');
    const next = await begin(t, port, '/');
    const second = await server.accept();
    second.send(OK);
    assert.match(await next.readHead(), /^HTTP\/1.1 200 /);
  });
});

describe('kept connections', () => {
  it('repeats a PUT with its body when a kept connection turns out to be dead', async (t) => {
    const server = await startByteServer(t);
    const { plane, port } = await startProxyTo(t, server.url);
    const client = await connect(t, port);
    client.send('GET /1 HTTP/1.1\r\nHost: h\r\n\r\n');
    const first = await server.accept();
    await first.readHead();
    first.send(OK);
    await client.read('ok');
    client.send('PUT /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc');
    await first.read('abc');
    first.socket.resetAndDestroy();
    const second = await server.accept();
    assert.match(await second.readHead(), /^PUT \/2 /);
    client.send('def');
    assert.equal(await second.read('def'), 'abcdef');
    second.send(OK);
    assert.match(await client.readHead(), /^HTTP\/1.1 200 /);
    assert.equal(plane.counts().upstream.repeated, 1);
  });

  it('does not repeat a PUT whose body is too long to be kept', async (t) => {
    const server = await startByteServer(t);
    const { plane, port } = await startProxyTo(t, server.url);
    const client = await connect(t, port);
    client.send('GET /1 HTTP/1.1\r\nHost: h\r\n\r\n');
    const first = await server.accept();
    await first.readHead();
    first.send(OK);
    await client.read('ok');
    client.send(`PUT /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n${'x'.repeat(65_537)}!`);
    await first.read('!');
    first.socket.resetAndDestroy();
    assert.match(await client.readHead(), /^HTTP\/1.1 502 /);
    assert.equal(plane.counts().upstream.lost, 1);
    assert.equal(server.accepted, 1);
  });

  it('sends a POST on a new connection after the server has closed one early', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startProxyTo(t, server.url);
    const client = await connect(t, port);
    const exchange = async (method: string, upstream: Awaited<ReturnType<typeof server.accept>>) => {
      assert.match(await upstream.readHead(), new RegExp(`^${method} `));
      upstream.send(OK);
      await client.read('ok');
    };
    client.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    const first = await server.accept();
    await exchange('GET', first);
    client.send('POST / HTTP/1.1\r\nHost: h\r\n\r\n');
    await exchange('POST', first);
    first.socket.end();
    await first.closed();
    client.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    const second = await server.accept();
    await exchange('GET', second);
    client.send('POST / HTTP/1.1\r\nHost: h\r\n\r\n');
    await exchange('POST', await server.accept());
  });

  it('does not wait for a body before it asks for one', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startProxyTo(t, server.url);
    const client = await connect(t, port);
    client.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    const upstream = await server.accept();
    await upstream.readHead();
    upstream.send(OK);
    await client.read('ok');
    client.send('POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n');
    await upstream.readHead();
    upstream.send('HTTP/1.1 100 Continue\r\n\r\n');
    await client.read('100 Continue\r\n\r\n');
    client.send('hi');
    await upstream.read('hi');
    upstream.send(OK);
    await client.read('ok');
    assert.equal(server.accepted, 1);
  });
});

describe('Unix sockets', () => {
  for (const form of ['unix:PATH', 'unix://PATH', 'http+unix://ENCODED'])
    it(`reaches a server at ${form}`, async (t) => {
      const folder = mkdtempSync(path.join(tmpdir(), 'jtp-test-'));
      t.after(() => {
        rmSync(folder, { recursive: true });
      });
      const file = path.join(folder, 'server.sock');
      const url = form.replace('PATH', file).replace('ENCODED', encodeURIComponent(file));
      const { port } = await startProxyTo(t, url);
      assert.match(await ask(t, port), /^HTTP\/1.1 502 /);
      const server = net.createServer((socket) => {
        socket.on('error', () => undefined);
        socket.on('data', () => socket.end(OK));
      });
      await new Promise<void>((resolve) => server.listen(file, resolve));
      t.after(() => server.close());
      let answer = '';
      for (const end = Date.now() + 8000; Date.now() < end && !answer.startsWith('HTTP/1.1 200 ');)
        answer = await ask(t, port);
      assert.match(answer, /^HTTP\/1.1 200 /);
    });
});
