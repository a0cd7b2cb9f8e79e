import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { entryPoint, startProxyTo } from '../support/data-plane.ts';
import type { ByteServer, Peer } from '../support/sockets.ts';
import { connect, startByteServer } from '../support/sockets.ts';

const GET = 'GET / HTTP/1.1\r\nHost: h\r\n\r\n';
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

interface Pair {
  readonly client: Peer;
  readonly server: ByteServer;
  readonly port: number;
}

async function pair(
  t: TestContext,
  transport: Partial<ReturnType<typeof entryPoint>['transport']> = {},
): Promise<Pair> {
  const server = await startByteServer(t);
  const defaults = entryPoint('web').transport;
  const { port } = await startProxyTo(t, server.url, { transport: { ...defaults, ...transport } });
  return { client: await connect(t, port), server, port };
}

function timeouts(overrides: Partial<ReturnType<typeof entryPoint>['transport']['respondingTimeouts']>): {
  readonly respondingTimeouts: ReturnType<typeof entryPoint>['transport']['respondingTimeouts'];
} {
  return { respondingTimeouts: { readTimeoutMs: 0, writeTimeoutMs: 0, idleTimeoutMs: 0, ...overrides } };
}

describe('persistence', () => {
  const cases: readonly {
    readonly name: string;
    readonly sent: string;
    readonly header: string;
    readonly stays: boolean;
  }[] = [
    { name: 'HTTP/1.1', sent: GET, header: '', stays: true },
    {
      name: 'HTTP/1.1 with close',
      sent: 'GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n',
      header: 'close',
      stays: false,
    },
    { name: 'HTTP/1.0', sent: 'GET / HTTP/1.0\r\n\r\n', header: 'close', stays: false },
    {
      name: 'HTTP/1.0 with keep-alive',
      sent: 'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n',
      header: 'keep-alive',
      stays: true,
    },
  ];
  for (const { name, sent, header, stays } of cases)
    it(`${name}: the connection ${stays ? 'stays' : 'closes'}`, async (t) => {
      const { client, server } = await pair(t);
      client.send(sent);
      const upstream = await server.accept();
      await upstream.readHead();
      upstream.send(OK);
      const head = await client.readHead();
      assert.equal(/\r\nConnection: (.*?)\r\n/.exec(head)?.[1] ?? '', header);
      assert.equal(await client.read('ok'), 'ok');
      if (!stays) {
        assert.equal(await client.readToEnd(), '');
        return;
      }
      client.send(GET);
      await upstream.readHead();
      upstream.send(OK);
      await client.read('\r\n\r\nok');
    });

  it('closes after keepAliveMaxRequests, and says so with the last one', async (t) => {
    const { client, server } = await pair(t, { keepAliveMaxRequests: 2 });
    client.send(GET);
    const upstream = await server.accept();
    await upstream.readHead();
    upstream.send(OK);
    assert.doesNotMatch(await client.read('\r\n\r\nok'), /Connection/);
    client.send(GET);
    await upstream.readHead();
    upstream.send(OK);
    assert.match(await client.read('\r\n\r\nok'), /\r\nConnection: close\r\n/);
    assert.equal(await client.readToEnd(), '');
  });

  it('does not keep a connection older than keepAliveMaxTime', async (t) => {
    const { client, server } = await pair(t, { keepAliveMaxTimeMs: 1 });
    client.send(GET);
    const upstream = await server.accept();
    await upstream.readHead();
    // The age is looked at when the answer comes, on a clock that ticks twice a second.
    await new Promise((resolve) => setTimeout(resolve, 700));
    upstream.send(OK);
    assert.match(await client.read('\r\n\r\nok'), /\r\nConnection: close\r\n/);
    assert.equal(await client.readToEnd(), '');
  });

  it('answers what was pipelined behind a request that failed', async (t) => {
    const { client, server } = await pair(t);
    client.send(GET + GET);
    const first = await server.accept();
    await first.readHead();
    first.socket.resetAndDestroy();
    const second = await server.accept();
    await second.readHead();
    second.send(OK);
    const answers = await client.read('\r\n\r\nok');
    assert.match(answers, /^HTTP\/1.1 502 Bad Gateway\r\n[^]*HTTP\/1.1 200 OK\r\n/);
  });

  it('answers nothing that was pipelined behind a request it refuses', async (t) => {
    const { client, server } = await pair(t);
    client.send(`GET / HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n${GET}`);
    const answer = await client.readToEnd();
    assert.match(answer, /^HTTP\/1.1 400 /);
    assert.equal(answer.split('HTTP/1.1').length, 2);
    assert.equal(server.accepted, 0);
  });

  it('notices that a client has left although it had sent requests ahead', async (t) => {
    const { client, server } = await pair(t);
    client.send(GET.repeat(3));
    const upstream = await server.accept();
    await upstream.readHead();
    client.socket.end();
    await upstream.readToEnd();
  });

  it('notices that a client has left whose end lies behind more than is read ahead', async (t) => {
    const { client, server } = await pair(t);
    // Up to 128 KiB are read at most, and the kernel takes the rest and the FIN.
    client.send(GET.repeat(Math.ceil((132 * 1024) / GET.length)));
    client.socket.end();
    const upstream = await server.accept();
    await upstream.readHead();
    await upstream.readToEnd();
    await client.closed();
  });

  it('keeps the order of a long pipeline', async (t) => {
    const { client, server } = await pair(t);
    const count = 3000;
    const requests = Array.from(
      { length: count },
      (_, at) => `GET /${String(at)} HTTP/1.1\r\nHost: h\r\n\r\n`,
    );
    client.send(requests.join(''));
    const upstream = await server.accept();
    for (let at = 0; at < count; at++) {
      assert.equal((await upstream.readHead()).split(' ')[1], `/${String(at)}`);
      upstream.send(OK);
      await client.read('\r\n\r\nok');
    }
  });
});

describe('100 (Continue)', () => {
  const POST = 'POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n';

  it('passes the expectation on, and what the server says to it', async (t) => {
    const { client, server } = await pair(t);
    client.send(POST);
    const upstream = await server.accept();
    assert.match(await upstream.readHead(), /\r\nExpect: 100-continue\r\n/);
    upstream.send('HTTP/1.1 100 Continue\r\n\r\n');
    assert.equal(await client.readHead(), 'HTTP/1.1 100 Continue\r\n\r\n');
    client.send('body');
    await upstream.read('body');
    upstream.send(OK);
    assert.doesNotMatch(await client.read('\r\n\r\nok'), /Connection/);
    // Both connections can be used again.
    client.send(GET);
    await upstream.readHead();
    upstream.send(OK);
    await client.read('\r\n\r\nok');
  });

  it('closes when the answer comes instead: what follows could be the body or a request', async (t) => {
    const { client, server } = await pair(t);
    client.send(POST);
    const upstream = await server.accept();
    await upstream.readHead();
    upstream.send('HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n');
    assert.match(await client.readHead(), /\r\nConnection: close\r\n/);
    client.send('GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n');
    assert.equal(await client.readToEnd(), '');
    await upstream.readToEnd();
    assert.equal(upstream.received, '');
    assert.equal(server.accepted, 1);
  });

  it('closes what it has said it would close, although the body comes after all', async (t) => {
    const { client, server } = await pair(t);
    client.send(POST);
    const upstream = await server.accept();
    await upstream.readHead();
    upstream.send('HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n');
    assert.match(await client.readHead(), /\r\nConnection: close\r\n/);
    client.send('body');
    await upstream.read('body');
    upstream.send('no');
    assert.equal(await client.readToEnd(), 'no');
  });

  it('keeps interim responses and expectations from HTTP/1.0', async (t) => {
    const { client, server } = await pair(t);
    client.send('POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody');
    const upstream = await server.accept();
    assert.doesNotMatch(await upstream.readHead(), /Expect/);
    upstream.send(`HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n${OK}`);
    assert.match(await client.readHead(), /^HTTP\/1.1 200 OK\r\n/);
  });

  it('holds a server back that sends interim responses without end', async (t) => {
    const { client, server } = await pair(t);
    client.send(GET);
    const upstream = await server.accept();
    await upstream.readHead();
    client.socket.pause();
    const hint = `HTTP/1.1 103 Early Hints\r\nX: ${'x'.repeat(8000)}\r\n\r\n`;
    // More than all buffers of the kernel hold; a proxy that took it all would have to keep it.
    upstream.send(hint.repeat(4000));
    for (let round = 0; round < 25; round++) await new Promise((resolve) => setTimeout(resolve, 40));
    assert.ok(upstream.socket.writableLength > 8 * 1024 * 1024, String(upstream.socket.writableLength));
  });
});

describe('an answer before the end of the request', () => {
  it('reads a short rest of the body and keeps the connection', async (t) => {
    const { client, server } = await pair(t);
    client.send('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhello');
    const upstream = await server.accept();
    await upstream.read('hello');
    upstream.send(OK);
    await client.read('\r\n\r\nok');
    client.send(`world${GET}`);
    const second = await server.accept();
    // The first connection still waits for five bytes of a body: it is not used again.
    assert.match(await second.readHead(), /^GET \/ /);
    second.send(OK);
    await client.read('\r\n\r\nok');
    await upstream.readToEnd();
  });

  it('closes the connection over a long rest', async (t) => {
    const { client, server } = await pair(t);
    client.send('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\nhello');
    const upstream = await server.accept();
    await upstream.read('hello');
    upstream.send('HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n');
    await client.readHead();
    await client.readToEnd();
  });
});

describe('time limits', () => {
  it('answers 408 when a head does not arrive', async (t) => {
    const { client } = await pair(t, timeouts({ readTimeoutMs: 1 }));
    client.send('GET / HTTP/1.1\r\nHo');
    assert.match(await client.readToEnd(), /^HTTP\/1.1 408 Request Timeout\r\n[^]*Connection: close\r\n/);
  });

  it('does not let single bytes prolong a head', async (t) => {
    const { client } = await pair(t, timeouts({ readTimeoutMs: 600 }));
    client.send('GET / HTTP/1.1\r\n');
    const dripping = setInterval(() => {
      client.send('X: y\r\n');
    }, 50);
    t.after(() => {
      clearInterval(dripping);
    });
    assert.match(await client.readToEnd(), /^HTTP\/1.1 408 /);
  });

  it('closes a connection on which nothing was ever sent', async (t) => {
    const { client } = await pair(t, timeouts({ readTimeoutMs: 1 }));
    assert.equal(await client.readToEnd(), '');
  });

  it('answers 408 when a body stalls', async (t) => {
    const { client, server } = await pair(t, timeouts({ readTimeoutMs: 1 }));
    client.send('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhello');
    const upstream = await server.accept();
    assert.match(await client.readToEnd(), /^HTTP\/1.1 408 /);
    await upstream.readToEnd();
  });

  it('never cuts an upload that goes on, however slowly', async (t) => {
    const { client, server } = await pair(t, timeouts({ readTimeoutMs: 1200 }));
    client.send('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 8\r\n\r\n');
    const upstream = await server.accept();
    await upstream.readHead();
    for (const byte of 'slowbody') {
      await new Promise((resolve) => setTimeout(resolve, 400));
      client.send(byte);
      await upstream.read(byte);
    }
    upstream.send(OK);
    await client.read('\r\n\r\nok');
  });

  it('answers 504 when the server stops taking an upload', async (t) => {
    const { client, server } = await pair(t, timeouts({ readTimeoutMs: 400 }));
    client.send('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n');
    const upstream = await server.accept();
    await upstream.readHead();
    upstream.socket.pause();
    client.socket.write(Buffer.alloc(32 * 1024 * 1024));
    assert.match(await client.readToEnd(), /^HTTP\/1.1 504 /);
    upstream.socket.resume();
    await upstream.readToEnd();
  });

  it('never cuts an upload that the server takes, however slowly', async (t) => {
    const { client, server } = await pair(t, timeouts({ readTimeoutMs: 2000 }));
    const size = 24 * 1024 * 1024;
    client.send(`POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ${String(size)}\r\n\r\n`);
    const upstream = await server.accept();
    await upstream.readHead();
    upstream.socket.pause();
    client.socket.write(Buffer.alloc(size, 'x'));
    // More at a time than the kernel holds for it: else nothing would move for as long as that lasts.
    for (let taken = 0; taken < size; taken += 3 * 1024 * 1024) {
      await new Promise((resolve) => setTimeout(resolve, 350));
      upstream.socket.resume();
      await upstream.take(3 * 1024 * 1024);
      upstream.socket.pause();
    }
    upstream.send(OK);
    await client.read('\r\n\r\nok');
  });

  it('closes an idle connection, with its last answer complete', async (t) => {
    const { client, server } = await pair(t, timeouts({ idleTimeoutMs: 1 }));
    client.send(GET);
    const upstream = await server.accept();
    await upstream.readHead();
    upstream.send(OK);
    assert.match(await client.readToEnd(), /\r\n\r\nok$/);
  });

  it('closes an idle connection whose last answer was more than one write takes', async (t) => {
    const { client, server } = await pair(t, timeouts({ idleTimeoutMs: 1 }));
    client.send(GET);
    const upstream = await server.accept();
    await upstream.readHead();
    const body = 'x'.repeat(40_000);
    upstream.send(`HTTP/1.1 200 OK\r\nContent-Length: ${String(body.length)}\r\n\r\n${body}`);
    assert.equal((await client.readToEnd()).endsWith(body), true);
  });

  it('cuts a client that does not take its answer', async (t) => {
    const { client, server } = await pair(t, timeouts({ writeTimeoutMs: 1 }));
    client.send(GET);
    const upstream = await server.accept();
    await upstream.readHead();
    client.socket.pause();
    const size = 64 * 1024 * 1024;
    upstream.send(`HTTP/1.1 200 OK\r\nContent-Length: ${String(size)}\r\n\r\n${'x'.repeat(size)}`);
    await upstream.closed();
  });
});
