import assert from 'node:assert/strict';
import { hostname } from 'node:os';
import { describe, it } from 'node:test';
import {
  entryPoint,
  router,
  service,
  startDataPlane,
  startProxyTo,
  staticConfiguration,
  table,
} from '../support/data-plane.ts';
import { closedPort, connect, startByteServer } from '../support/sockets.ts';

const OK = 'HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nok';

/** Header lines that every forwarded request ends with. */
function forwarded(host: string, proto = 'http', port = '80'): string {
  return (
    `X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: ${host}\r\nX-Forwarded-Port: ${port}\r\n` +
    `X-Forwarded-Proto: ${proto}\r\nX-Forwarded-Server: ${hostname()}\r\nX-Real-Ip: 127.0.0.1\r\n`
  );
}

describe('what reaches the server', () => {
  const cases: readonly { name: string; sent: string; reaches: string; body?: string }[] = [
    {
      name: 'keeps end-to-end headers as they are, in their order',
      sent: 'GET /a?b=c HTTP/1.1\r\nHost: h\r\nX-One: 1\r\nx-two:2\r\nX-One:  3 \r\n\r\n',
      reaches: `GET /a?b=c HTTP/1.1\r\nHost: h\r\nX-One: 1\r\nx-two:2\r\nX-One:  3 \r\n${forwarded('h')}\r\n`,
    },
    {
      name: 'drops hop-by-hop headers and those that Connection names',
      sent: 'GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 5\r\nTE: gzip\r\nProxy-Connection: x\r\nA: b\r\n\r\n',
      reaches: `GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n${forwarded('h')}\r\n`,
    },
    {
      name: 'drops what a client says about itself, however it spells it',
      sent: 'GET / HTTP/1.1\r\nHost: h:81\r\nX-Forwarded-For: 6.6.6.6\r\nx-forwarded-proto: https\r\nX_Forwarded_Host: evil\r\nX-Real-IP: 6.6.6.6\r\nX-Forwarded-Prefix: /x\r\n\r\n',
      reaches: `GET / HTTP/1.1\r\nHost: h:81\r\n${forwarded('h:81', 'http', '81')}\r\n`,
    },
    {
      name: 'does not let Connection take away what the proxy adds',
      sent: 'GET / HTTP/1.1\r\nHost: h\r\nConnection: X-Forwarded-For, X-Real-Ip, Host\r\n\r\n',
      reaches: `GET / HTTP/1.1\r\nHost: h\r\n${forwarded('h')}\r\n`,
    },
    {
      name: 'takes the host of an absolute target',
      sent: 'GET http://other:90/x HTTP/1.1\r\nHost: h\r\n\r\n',
      reaches: `GET /x HTTP/1.1\r\nHost: other:90\r\n${forwarded('other:90', 'http', '90')}\r\n`,
    },
    {
      name: 'writes the length anew',
      sent: 'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 003\r\n\r\nabc',
      reaches: `POST / HTTP/1.1\r\nHost: h\r\n${forwarded('h')}Content-Length: 3\r\n\r\n`,
      body: 'abc',
    },
    {
      name: 'announces the absence of a body where one is usual',
      sent: 'POST / HTTP/1.1\r\nHost: h\r\n\r\n',
      reaches: `POST / HTTP/1.1\r\nHost: h\r\n${forwarded('h')}Content-Length: 0\r\n\r\n`,
    },
    {
      name: 'writes chunks and trailers anew',
      sent: 'PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nX-Sum: 1\r\nHost: evil\r\n\r\n',
      reaches: `PUT / HTTP/1.1\r\nHost: h\r\n${forwarded('h')}Transfer-Encoding: chunked\r\n\r\n`,
      body: 'abc0\r\nX-Sum: 1\r\n\r\n',
    },
    {
      name: 'asks for an upgrade in the name of the client',
      sent: 'GET /ws HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n',
      reaches: `GET /ws HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: k\r\n${forwarded('h', 'ws')}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
    },
    {
      name: 'never passes an upgrade to cleartext HTTP/2',
      sent: 'GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n\r\n',
      reaches: `GET / HTTP/1.1\r\nHost: h\r\n${forwarded('h')}\r\n`,
    },
  ];
  for (const { name, sent, reaches, body = '' } of cases)
    for (const split of ['whole', 'byte by byte'] as const)
      it(`${name} (${split})`, async (t) => {
        const server = await startByteServer(t);
        const { port } = await startProxyTo(t, server.url);
        const client = await connect(t, port);
        client.socket.setNoDelay(true);
        if (split === 'whole') client.send(sent);
        else for (const byte of sent) client.send(byte);
        const upstream = await server.accept();
        assert.equal(await upstream.readHead(), reaches);
        // Where chunks end depends on how they arrived.
        const received = await upstream.read(body.slice(-3));
        assert.equal(received.replace(/[0-9a-f]+\r\n([a-z]+)\r\n/g, '$1'), body);
        assert.equal(upstream.received, '');
      });
});

describe('what reaches the client', () => {
  const cases: readonly {
    name: string;
    response: string;
    want: string;
    request?: string;
    closes?: boolean;
  }[] = [
    {
      name: 'passes a response with a length',
      response:
        'HTTP/1.1 200 Fine\r\nX-A: b\r\nDate: x\r\nContent-Length: 2\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\nok',
      want: 'HTTP/1.1 200 Fine\r\nX-A: b\r\nDate: x\r\nContent-Length: 2\r\n\r\nok',
    },
    {
      name: 'writes chunks anew, with their trailers',
      response:
        'HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n',
      want: 'HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n',
    },
    {
      name: 'sends chunks for a body that ends with the connection',
      response: 'HTTP/1.0 200 OK\r\nDate: x\r\n\r\nhello',
      closes: true,
      want: 'HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
    },
    {
      name: 'sends an HTTP/1.0 client no chunks',
      request: 'GET / HTTP/1.0\r\n\r\n',
      response: 'HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
      want: 'HTTP/1.1 200 OK\r\nDate: x\r\nConnection: close\r\n\r\nabc',
    },
    {
      name: 'keeps the length of an answer to HEAD, without a body',
      request: 'HEAD / HTTP/1.1\r\nHost: h\r\n\r\n',
      response: 'HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 5\r\n\r\n',
      want: 'HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 5\r\n\r\n',
    },
    {
      name: 'knows that 204 has no body',
      response: 'HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n',
      want: 'HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n',
    },
    {
      name: 'knows that 304 has no body',
      response: 'HTTP/1.1 304 Not Modified\r\nDate: x\r\nContent-Length: 99\r\n\r\n',
      want: 'HTTP/1.1 304 Not Modified\r\nDate: x\r\nContent-Length: 99\r\n\r\n',
    },
    {
      name: 'passes interim responses',
      response:
        'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 0\r\n\r\n',
      want: 'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 0\r\n\r\n',
    },
  ];
  for (const { name, response, want, request = 'GET / HTTP/1.1\r\nHost: h\r\n\r\n', closes } of cases)
    it(name, async (t) => {
      const server = await startByteServer(t);
      const { port } = await startProxyTo(t, server.url);
      const client = await connect(t, port);
      client.send(request);
      const upstream = await server.accept();
      await upstream.readHead();
      upstream.send(response);
      if (closes === true) upstream.socket.end();
      assert.equal(await client.read(want), want);
      assert.equal(client.received, '');
    });

  it('passes every split of a response', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startProxyTo(t, server.url);
    const client = await connect(t, port);
    const response = 'HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n';
    client.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    const upstream = await server.accept();
    upstream.socket.setNoDelay(true);
    for (let at = 1; at < response.length; at++) {
      await upstream.readHead();
      upstream.send(response.slice(0, at));
      upstream.send(response.slice(at));
      const head = await client.readHead();
      assert.equal(
        head,
        'HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n',
        `split at ${String(at)}`,
      );
      const body = await client.read('0\r\n\r\n');
      assert.equal(body.replace(/[0-9a-f]+\r\n|\r\n/g, ''), 'xyz', `split at ${String(at)}`);
      client.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    }
    assert.equal(server.accepted, 1);
  });
});

describe('what the proxy answers itself', () => {
  const requests: readonly { name: string; sent: string; status: string }[] = [
    {
      name: 'two Host headers',
      sent: 'GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n',
      status: '400 Bad Request',
    },
    { name: 'no Host header', sent: 'GET / HTTP/1.1\r\n\r\n', status: '400 Bad Request' },
    {
      name: 'a Host that is no host',
      sent: 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n',
      status: '400 Bad Request',
    },
    {
      name: 'two lengths',
      sent: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx',
      status: '400 Bad Request',
    },
    {
      name: 'a length and a coding',
      sent: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      status: '400 Bad Request',
    },
    {
      name: 'a signed length',
      sent: 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx',
      status: '400 Bad Request',
    },
    {
      name: 'a coding beside chunked',
      sent: 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
      status: '400 Bad Request',
    },
    {
      name: 'two codings',
      sent: 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      status: '400 Bad Request',
    },
    {
      name: 'a folded header',
      sent: 'GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n',
      status: '400 Bad Request',
    },
    {
      name: 'a blank before the colon',
      sent: 'GET / HTTP/1.1\r\nHost : a\r\n\r\n',
      status: '400 Bad Request',
    },
    { name: 'bare line feeds', sent: 'GET / HTTP/1.1\nHost: a\n\n', status: '400 Bad Request' },
    {
      name: 'a control byte in a value',
      sent: 'GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n',
      status: '400 Bad Request',
    },
    {
      name: 'a fragment in the target',
      sent: 'GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n',
      status: '400 Bad Request',
    },
    {
      name: 'a bad escape in the target',
      sent: 'GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n',
      status: '400 Bad Request',
    },
    { name: 'CONNECT', sent: 'CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n', status: '501 Not Implemented' },
    { name: 'an unknown version', sent: 'GET / HTTP/3.0\r\nHost: a\r\n\r\n', status: '400 Bad Request' },
    {
      name: 'a bad chunk size',
      sent: 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n',
      status: '400 Bad Request',
    },
  ];
  for (const { name, sent, status } of requests)
    it(`refuses ${name} and closes`, async (t) => {
      const server = await startByteServer(t);
      const { port } = await startProxyTo(t, server.url);
      const client = await connect(t, port);
      client.send(sent);
      const answer = await client.readToEnd();
      assert.match(answer, new RegExp(`^HTTP/1.1 ${status}\r\n`));
      assert.match(answer, /\r\nConnection: close\r\n/);
    });

  it('answers 404 when no router matches, and keeps the connection', async (t) => {
    const { port } = await startDataPlane(
      t,
      staticConfiguration([entryPoint('web')]),
      table([router('a', 'Path(`/a`)', 'app')], [service('app', ['http://127.0.0.1:1'])]),
    );
    const client = await connect(t, port('web'));
    for (let round = 0; round < 2; round++) {
      client.send('GET /b HTTP/1.1\r\nHost: h\r\n\r\n');
      assert.match(await client.read('404 page not found\n'), /^HTTP\/1.1 404 Not Found\r\n/);
    }
  });

  it('answers 503 for a service without servers', async (t) => {
    const { port } = await startDataPlane(
      t,
      staticConfiguration([entryPoint('web')]),
      table([router('a', 'PathPrefix(`/`)', 'app')], [service('app', [])]),
    );
    const client = await connect(t, port('web'));
    client.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    assert.match(await client.read('no available server\n'), /^HTTP\/1.1 503 /);
  });

  it('answers 502 when nobody listens', async (t) => {
    const { port } = await startProxyTo(t, `http://127.0.0.1:${String(await closedPort())}`);
    const client = await connect(t, port);
    client.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    assert.match(await client.read('\r\n\r\nBad Gateway'), /^HTTP\/1.1 502 Bad Gateway\r\n/);
  });

  it('answers 502 when the server hangs up, and 500 when it talks nonsense', async (t) => {
    for (const { reply, status } of [
      { reply: '', status: '502' },
      { reply: 'HTTP/1.1 200 OK\r\nContent-Le', status: '502' },
      { reply: 'nonsense\r\n\r\n', status: '500' },
      { reply: 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n', status: '500' },
    ]) {
      const server = await startByteServer(t);
      const { port } = await startProxyTo(t, server.url);
      const client = await connect(t, port);
      client.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
      const upstream = await server.accept();
      await upstream.readHead();
      upstream.socket.end(reply);
      assert.match(await client.readHead(), new RegExp(`^HTTP/1.1 ${status} `), JSON.stringify(reply));
    }
  });
});

describe('connections', () => {
  it('uses one connection to the server for many requests', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startProxyTo(t, server.url);
    const client = await connect(t, port);
    client.send('GET /1 HTTP/1.1\r\nHost: h\r\n\r\n');
    const upstream = await server.accept();
    for (let round = 0; round < 3; round++) {
      await upstream.readHead();
      upstream.send(OK);
      await client.read('\r\n\r\nok');
      client.send('GET /2 HTTP/1.1\r\nHost: h\r\n\r\n');
    }
    assert.equal(server.accepted, 1);
  });

  it('answers pipelined requests in their order', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startProxyTo(t, server.url);
    const client = await connect(t, port);
    client.send(
      'GET /1 HTTP/1.1\r\nHost: h\r\n\r\nPOST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nxGET /3 HTTP/1.1\r\nHost: h\r\n\r\n',
    );
    const upstream = await server.accept();
    for (const target of ['/1', '/2', '/3']) {
      const head = await upstream.readHead();
      assert.equal(head.split(' ')[1], target);
      if (target === '/2') await upstream.read('x');
      upstream.send(`HTTP/1.1 200 OK\r\nX-Target: ${target}\r\nContent-Length: 0\r\n\r\n`);
      assert.match(await client.readHead(), new RegExp(`X-Target: ${target}\r\n`));
    }
  });

  it('repeats a request when a connection that was used before has been closed meanwhile', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startProxyTo(t, server.url);
    const client = await connect(t, port);
    client.send('GET /1 HTTP/1.1\r\nHost: h\r\n\r\n');
    const first = await server.accept();
    await first.readHead();
    first.send(OK);
    await client.read('\r\n\r\nok');
    client.send('GET /2 HTTP/1.1\r\nHost: h\r\n\r\n');
    await first.readHead();
    first.socket.resetAndDestroy();
    const second = await server.accept();
    assert.match(await second.readHead(), /^GET \/2 /);
    second.send(OK);
    await client.read('\r\n\r\nok');
  });

  it('never repeats a POST', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startProxyTo(t, server.url);
    const client = await connect(t, port);
    client.send('GET /1 HTTP/1.1\r\nHost: h\r\n\r\n');
    const first = await server.accept();
    await first.readHead();
    first.send(OK);
    await client.read('\r\n\r\nok');
    client.send('POST /2 HTTP/1.1\r\nHost: h\r\n\r\n');
    await first.readHead();
    first.socket.resetAndDestroy();
    assert.match(await client.readHead(), /^HTTP\/1.1 502 /);
    assert.equal(server.accepted, 1);
  });

  it('does not use a connection on which the server said something unasked', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startProxyTo(t, server.url);
    const client = await connect(t, port);
    client.send('GET /1 HTTP/1.1\r\nHost: h\r\n\r\n');
    const first = await server.accept();
    await first.readHead();
    first.send(`${OK}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`);
    await client.read('\r\n\r\nok');
    client.send('GET /2 HTTP/1.1\r\nHost: h\r\n\r\n');
    const second = await server.accept();
    await second.readHead();
    second.send(OK);
    assert.doesNotMatch(await client.read('\r\n\r\nok'), /evil/);
  });

  it('ends the server side when the client leaves before the answer', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startProxyTo(t, server.url);
    const client = await connect(t, port);
    client.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    const upstream = await server.accept();
    await upstream.readHead();
    client.socket.end();
    await upstream.readToEnd();
  });

  it('cuts the client off when the server breaks off inside a body', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startProxyTo(t, server.url);
    const client = await connect(t, port);
    client.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    const upstream = await server.accept();
    await upstream.readHead();
    upstream.socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc');
    assert.match(await client.readToEnd(), /\r\n\r\nabc$/);
  });

  it('holds the server back while the client does not read', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startProxyTo(t, server.url);
    const client = await connect(t, port);
    client.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    const upstream = await server.accept();
    await upstream.readHead();
    client.socket.pause();
    const size = 64 * 1024 * 1024;
    upstream.send(`HTTP/1.1 200 OK\r\nContent-Length: ${String(size)}\r\n\r\n`);
    upstream.socket.write(Buffer.alloc(size, 'x'));
    // Nothing is left to wait for but the kernel's buffers filling up: the writer must still be waiting when they have.
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(upstream.socket.writableLength > 0);
    let taken = 0;
    client.socket.removeAllListeners('data');
    const done = new Promise<void>((resolve) => {
      client.socket.on('data', (chunk: Buffer) => {
        taken += chunk.length;
        if (taken >= size) resolve();
      });
    });
    client.socket.resume();
    await done;
  });

  it('sends each event of a stream on at once', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startProxyTo(t, server.url);
    const client = await connect(t, port);
    client.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    const upstream = await server.accept();
    await upstream.readHead();
    upstream.send('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n');
    await client.readHead();
    for (const event of ['data: 1\n\n', 'data: 2\n\n']) {
      upstream.send(`${event.length.toString(16)}\r\n${event}\r\n`);
      await client.read(event);
    }
  });
});
