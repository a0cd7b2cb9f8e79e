// A connection to a server on which anything odd happened is never used for anybody else's request.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startProxyTo } from '../support/data-plane.ts';
import { connect, startByteServer } from '../support/sockets.ts';

const GET = 'GET / HTTP/1.1\r\nHost: h\r\n\r\n';

describe('after an answer', () => {
  const cases: readonly {
    readonly name: string;
    readonly response: string;
    readonly reused: boolean;
    readonly request?: string;
    /** What the client is told; 200 unless the answer cannot be passed on. */
    readonly status?: number;
  }[] = [
    { name: 'with a length', response: '200 OK\r\nContent-Length: 2\r\n\r\nok', reused: true },
    {
      name: 'in chunks',
      response: '200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
      reused: true,
    },
    { name: 'without a body', response: '204 No Content\r\n\r\n', reused: true, status: 204 },
    {
      name: 'to HEAD',
      request: 'HEAD / HTTP/1.1\r\nHost: h\r\n\r\n',
      response: '200 OK\r\nContent-Length: 2\r\n\r\n',
      reused: true,
    },
    {
      name: 'to HEAD, with a body all the same',
      request: 'HEAD / HTTP/1.1\r\nHost: h\r\n\r\n',
      response: '200 OK\r\nContent-Length: 2\r\n\r\nok',
      reused: false,
    },
    {
      name: '204 with a body all the same',
      response: '204 No Content\r\n\r\nok',
      reused: false,
      status: 204,
    },
    {
      name: '304 with a body all the same',
      response: '304 Not Modified\r\nContent-Length: 2\r\n\r\nok',
      reused: false,
      status: 304,
    },
    {
      name: 'that closes',
      response: '200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok',
      reused: false,
    },
    {
      name: 'with more bytes than its length',
      response: '200 OK\r\nContent-Length: 2\r\n\r\nokay',
      reused: false,
    },
    {
      name: 'with another answer behind it',
      response: '200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil',
      reused: false,
    },
    {
      name: 'with bytes after the last chunk',
      response: '200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nx',
      reused: false,
    },
    {
      name: 'with two lengths',
      response: '200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok',
      reused: false,
      status: 500,
    },
    {
      name: 'with a length and a coding',
      response: '200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      reused: false,
      status: 500,
    },
    {
      name: 'with a coding nobody knows',
      response: '200 OK\r\nTransfer-Encoding: x\r\n\r\nok',
      reused: false,
      status: 500,
    },
    {
      name: 'with a line feed alone',
      response: '200 OK\r\nX: y\nContent-Length: 0\r\n\r\n',
      reused: false,
      status: 500,
    },
    {
      name: 'with a folded header',
      response: '200 OK\r\nX: y\r\n z\r\nContent-Length: 0\r\n\r\n',
      reused: false,
      status: 500,
    },
    {
      name: 'with a control character in its reason',
      response: '200 O\x01K\r\nContent-Length: 0\r\n\r\n',
      reused: false,
      status: 500,
    },
    {
      name: 'with a status below 100',
      response: '099 Odd\r\nContent-Length: 0\r\n\r\n',
      reused: false,
      status: 500,
    },
    {
      name: 'that switches protocols unasked',
      response: '101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
      reused: false,
      status: 500,
    },
    {
      name: 'with headers without end',
      response: `200 OK\r\n${'a: b\r\n'.repeat(1001)}Content-Length: 0\r\n\r\n`,
      reused: false,
      status: 500,
    },
    {
      name: 'with connection options without end',
      response: `200 OK\r\nConnection: ${'a,'.repeat(5000)}\r\nContent-Length: 0\r\n\r\n`,
      reused: false,
      status: 500,
    },
    {
      name: 'with connection options without end, in many headers',
      response: `200 OK\r\n${Array.from({ length: 51 }, (_, index) => `Connection: x${String(index)}\r\n`).join('')}Content-Length: 0\r\n\r\n`,
      reused: false,
      status: 500,
    },
    {
      name: 'with as many connection options as may be',
      response: `200 OK\r\n${Array.from({ length: 50 }, (_, index) => `Connection: x${String(index)}\r\n`).join('')}Content-Length: 0\r\n\r\n`,
      reused: true,
    },
  ];
  for (const { name, response, reused, request = GET, status = 200 } of cases)
    it(`${name}, the connection is ${reused ? 'used again' : 'closed'}`, async (t) => {
      const server = await startByteServer(t);
      const { port } = await startProxyTo(t, server.url);
      const client = await connect(t, port);
      client.send(request);
      const first = await server.accept();
      await first.readHead();
      first.send(`HTTP/1.1 ${response}`);
      assert.match(await client.readHead(), new RegExp(`^HTTP/1.1 ${String(status)} `));
      const other = await connect(t, port);
      other.send('GET /other HTTP/1.1\r\nHost: h\r\n\r\n');
      const second = reused ? first : await server.accept();
      assert.match(await second.readHead(), /^GET \/other /);
      second.send('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother');
      assert.doesNotMatch(await other.read('\r\n\r\nother'), /evil/);
      assert.equal(server.accepted, reused ? 1 : 2);
      if (!reused) await first.readToEnd();
    });

  it('before the end of the request, the connection is closed', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startProxyTo(t, server.url);
    const client = await connect(t, port);
    client.send('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 40\r\n\r\n');
    const first = await server.accept();
    await first.readHead();
    first.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    await client.read('\r\n\r\nok');
    // The rest of the body must not reach a server that would take it for a request.
    client.send('GET /evil HTTP/1.1\r\nHost: evil\r\nX: yz\r\n\r\n');
    await first.readToEnd();
    assert.doesNotMatch(first.received, /evil/);
  });

  it('a byte that nobody asked for closes an idle connection', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startProxyTo(t, server.url);
    const client = await connect(t, port);
    client.send(GET);
    const first = await server.accept();
    await first.readHead();
    first.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    await client.read('\r\n\r\nok');
    first.send('HTTP/1.1 408 Request Timeout\r\n\r\n');
    await first.readToEnd();
    client.send(GET);
    const second = await server.accept();
    await second.readHead();
    second.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    await client.read('\r\n\r\nok');
  });

  it('a client that leaves in the middle takes the connection to the server with it', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startProxyTo(t, server.url);
    const client = await connect(t, port);
    client.send(GET);
    const first = await server.accept();
    await first.readHead();
    first.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok');
    await client.read('\r\n\r\nok');
    client.socket.resetAndDestroy();
    await first.readToEnd();
  });
});

describe('what a server may not tell a client', () => {
  const cases: readonly { readonly name: string; readonly lines: string; readonly absent: RegExp }[] = [
    {
      name: 'how the connection goes on',
      lines: 'Keep-Alive: timeout=1\r\nProxy-Connection: close\r\nUpgrade: h2c\r\n',
      absent: /keep-alive|proxy-connection|upgrade/i,
    },
    {
      name: 'what its Connection names',
      lines: 'Connection: X-Own, keep-alive\r\nX-Own: 1\r\n',
      absent: /x-own|connection/i,
    },
    {
      name: 'to authenticate with the proxy',
      lines: 'Proxy-Authenticate: Basic realm="x"\r\n',
      absent: /proxy-auth/i,
    },
    {
      name: 'a length in other words',
      lines: 'Content_Length: 9\r\nTransfer_Encoding: chunked\r\n',
      absent: /content_|transfer_/i,
    },
  ];
  for (const { name, lines, absent } of cases)
    it(name, async (t) => {
      const server = await startByteServer(t);
      const { port } = await startProxyTo(t, server.url);
      const client = await connect(t, port);
      client.send(GET);
      const upstream = await server.accept();
      await upstream.readHead();
      upstream.send(`HTTP/1.1 200 OK\r\n${lines}Content-Length: 2\r\n\r\nok`);
      assert.doesNotMatch(await client.readHead(), absent);
      await client.read('ok');
    });
});
