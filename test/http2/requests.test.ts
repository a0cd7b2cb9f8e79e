import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import { describe, it } from 'node:test';
import { entryPoint, startProxyTo } from '../support/data-plane.ts';
import { END_STREAM, FRAME, FrameClient, frame, requestFields } from '../support/http2-frames.ts';
import { connect, startByteServer, until, within } from '../support/sockets.ts';
import { answerOf, connectHttp2, connectTls, startTlsProxyTo } from '../support/tls.ts';

describe('HTTP/2 requests', () => {
  it('reach the server as HTTP/1.1, with the cookie crumbs put together', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startTlsProxyTo(t, server.url);
    const client = await connectHttp2(t, port);
    const answer = answerOf(
      client.request({
        ':path': '/a%20b?q=1',
        ':authority': 'hub.example',
        cookie: ['a=1', 'b=2'],
        'x-a': '1',
      }),
    );
    const peer = await server.accept();
    const lines = (await peer.readHead()).split('\r\n');
    assert.equal(lines[0], 'GET /a%20b?q=1 HTTP/1.1');
    assert.deepEqual(lines.slice(1, 4), ['Host: hub.example', 'x-a: 1', 'cookie: a=1; b=2']);
    assert.ok(lines.includes('X-Forwarded-Proto: https'));
    peer.send(
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: x-hop\r\nX-Hop: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\nhello',
    );
    const { status, headers, body } = await answer;
    assert.deepEqual([status, body, headers['content-length']], [200, 'hello', '5']);
    assert.deepEqual(headers['set-cookie'], ['a=1', 'b=2']);
    assert.equal(headers['x-hop'], undefined);
    assert.ok(headers.date !== undefined);
  });

  it('are served without TLS to clients that know in advance', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startProxyTo(t, server.url);
    const client = http2.connect(`http://127.0.0.1:${String(port)}`);
    t.after(() => {
      client.destroy();
    });
    const answer = answerOf(client.request({ ':path': '/' }));
    const peer = await server.accept();
    assert.match(await peer.readHead(), /X-Forwarded-Proto: http\r\n/);
    peer.send('HTTP/1.1 204 No Content\r\n\r\n');
    assert.equal((await answer).status, 204);
  });

  it('carry bodies with a length, without one, and with trailers, both ways', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startTlsProxyTo(t, server.url);
    const client = await connectHttp2(t, port);

    const sized = client.request({ ':path': '/sized', ':method': 'POST', 'content-length': '4' });
    const first = answerOf(sized);
    sized.end('body');
    const peer = await server.accept();
    assert.match(await peer.readHead(), /content-length: 4\r\n|Content-Length: 4\r\n/);
    await peer.read('body');
    peer.send(
      'HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n',
    );
    const created = await first;
    assert.deepEqual([created.status, created.body, created.trailers['x-sum']], [201, 'abc', '7']);

    const open = client.request(
      { ':path': '/open', ':method': 'POST', te: 'trailers' },
      { waitForTrailers: true },
    );
    open.on('wantTrailers', () => {
      open.sendTrailers({ 'x-end': 'yes', host: 'evil' });
    });
    const second = answerOf(open);
    open.end('part');
    assert.match(await peer.readHead(), /^POST \/open HTTP\/1\.1\r\n[^]*Transfer-Encoding: chunked\r\n/);
    assert.equal(await peer.read('0\r\nx-end: yes\r\n\r\n'), '4\r\npart\r\n0\r\nx-end: yes\r\n\r\n');
    peer.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    assert.equal((await second).status, 200);
  });

  it('ask for heads only', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startTlsProxyTo(t, server.url);
    const client = await connectHttp2(t, port);
    const answer = answerOf(client.request({ ':path': '/', ':method': 'HEAD' }));
    const peer = await server.accept();
    await peer.readHead();
    peer.send('HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n');
    const { headers, body } = await answer;
    assert.deepEqual([headers['content-length'], body], ['1234', '']);
  });

  it('hear that there is no body, and get trailers that nobody announced if they take any', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startTlsProxyTo(t, server.url);
    const client = await connectHttp2(t, port);
    const empty = answerOf(client.request({ ':path': '/' }));
    const peer = await server.accept();
    await peer.readHead();
    peer.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    assert.equal((await empty).headers['content-length'], '0');
    for (const [te, wanted] of [
      [{}, undefined],
      [{ te: 'trailers' }, '7'],
    ] as const) {
      const answer = answerOf(client.request({ ':path': '/', ...te }));
      await peer.readHead();
      peer.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n');
      const { body, trailers } = await answer;
      assert.deepEqual([body, trailers['x-sum']], ['abc', wanted]);
    }
  });

  it('bring every byte of a body in small frames, whatever announces its length', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startProxyTo(t, server.url);
    const client = new FrameClient(await connect(t, port));
    const bytes = Buffer.from(Array.from({ length: 150_000 }, (_, at) => (at * 7 + (at >> 8)) & 0xff));
    const frames: Buffer[] = [];
    for (const announced of [[['content-length', String(bytes.length)]], []] as const) {
      const stream = client.request(requestFields({ ':method': 'POST' }, announced), 0);
      for (let at = 0, size = 1; at < bytes.length; at += size, size = (size * 3) % 16_000 || 1)
        frames.push(frame(FRAME.data, 0, stream, bytes.subarray(at, at + size)));
      client.send(...frames.splice(0), frame(FRAME.data, END_STREAM, stream));
      const peer = await server.accept();
      await peer.readHead();
      if (announced.length > 0) {
        assert.ok(Buffer.from(await peer.take(bytes.length), 'latin1').equals(bytes));
        continue;
      }
      const parts: string[] = [];
      for (;;) {
        const length = Number.parseInt(await peer.read('\r\n'), 16);
        if (length === 0) break;
        parts.push(await peer.take(length));
        await peer.read('\r\n');
      }
      assert.ok(Buffer.from(parts.join(''), 'latin1').equals(bytes));
    }
  });

  it('wait with their body for the 100 of the server', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startTlsProxyTo(t, server.url);
    const client = await connectHttp2(t, port);
    const stream = client.request({ ':path': '/', ':method': 'POST', expect: '100-continue' });
    const answer = answerOf(stream);
    stream.once('continue', () => stream.end('body'));
    const peer = await server.accept();
    assert.match(await peer.readHead(), /expect: 100-continue\r\n/i);
    peer.send('HTTP/1.1 100 Continue\r\n\r\n');
    await peer.read('body\r\n0\r\n\r\n');
    peer.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    assert.equal((await answer).body, 'ok');
  });

  it('hear interim responses', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startTlsProxyTo(t, server.url);
    const client = await connectHttp2(t, port);
    const stream = client.request({ ':path': '/' });
    const hints = once(stream, 'headers');
    const answer = answerOf(stream);
    const peer = await server.accept();
    await peer.readHead();
    peer.send('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n');
    const [early] = (await within(hints, 'early hints')) as [http2.IncomingHttpHeaders];
    assert.deepEqual([early[':status'], early['link']], [103, '</a>']);
    peer.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    assert.equal((await answer).status, 200);
  });

  it('get answers whose header lines repeat what HTTP/2 says once', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startTlsProxyTo(t, server.url);
    const client = await connectHttp2(t, port);
    const answer = answerOf(client.request({ ':path': '/' }));
    const peer = await server.accept();
    await peer.readHead();
    peer.send(
      'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: a\r\nETag: b\r\nContent-Encoding: x\r\nContent-Encoding: y\r\nVary: a\r\nVary: b\r\n\r\n',
    );
    const { headers } = await answer;
    assert.deepEqual([headers.etag, headers['content-encoding'], headers.vary], ['a', 'x, y', 'a, b']);
  });

  it('get 502 for a status that HTTP/2 does not have, and the connection goes on', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startTlsProxyTo(t, server.url);
    const client = await connectHttp2(t, port);
    const answer = answerOf(client.request({ ':path': '/' }));
    const peer = await server.accept();
    await peer.readHead();
    peer.send('HTTP/1.1 799 Odd\r\nContent-Length: 1\r\n\r\nx');
    assert.equal((await answer).status, 502);
  });

  it('are answered by the proxy where no router or server takes them', async (t) => {
    const server = net.createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port: gone } = server.address() as net.AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    const { port } = await startTlsProxyTo(t, `http://127.0.0.1:${String(gone)}`);
    const client = await connectHttp2(t, port);
    const { status, body } = await answerOf(client.request({ ':path': '/' }));
    assert.deepEqual([status, body], [502, 'Bad Gateway']);
  });

  it('share one connection, and one that is cancelled frees only its own server', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startTlsProxyTo(t, server.url);
    const client = await connectHttp2(t, port);
    const lost = client.request({ ':path': '/lost' });
    lost.on('error', () => undefined);
    const lostPeer = await server.accept();
    await lostPeer.readHead();
    const kept = answerOf(client.request({ ':path': '/kept' }));
    const keptPeer = await server.accept();
    await keptPeer.readHead();
    lost.close(http2.constants.NGHTTP2_CANCEL);
    await lostPeer.readToEnd();
    keptPeer.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    assert.equal((await kept).body, 'ok');
  });

  it('free all servers when the client vanishes', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startTlsProxyTo(t, server.url);
    for (const leave of ['destroy', 'end'] as const) {
      const client = await FrameClient.connect(t, port);
      client.request(requestFields());
      const peer = await server.accept();
      await peer.readHead();
      client.peer.socket[leave]();
      await peer.readToEnd();
    }
  });

  it('cut the answer off when the server breaks off', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startTlsProxyTo(t, server.url);
    const client = await FrameClient.connect(t, port);
    const stream = client.request(requestFields());
    const peer = await server.accept();
    await peer.readHead();
    peer.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf');
    assert.equal((await client.nextOf(FRAME.headers)).stream, stream);
    peer.socket.destroy();
    assert.equal(await client.outcome(stream), 'reset INTERNAL_ERROR');
  });

  it('are told that the rest of their body is not wanted', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startTlsProxyTo(t, server.url);
    const client = await FrameClient.connect(t, port);
    const stream = client.request(requestFields({ ':method': 'POST' }), 0);
    client.send(frame(FRAME.data, 0, stream, Buffer.from('some')));
    const peer = await server.accept();
    await peer.read('some\r\n');
    peer.send('HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!');
    assert.equal(await client.outcome(stream), 'headers');
    const data = await client.nextOf(FRAME.data);
    assert.equal(data.payload.toString(), 'no!');
    if ((data.flags & END_STREAM) === 0) await client.nextOf(FRAME.data);
    assert.equal(await client.outcome(stream), 'reset NO_ERROR');
    await peer.readToEnd();
  });
});

describe('back pressure of HTTP/2', () => {
  it('stops a server whose client does not read', async (t) => {
    const sent = { bytes: 0 };
    const server = net.createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        const piece = Buffer.alloc(65_536, 'x');
        const pump = (): void => {
          while (sent.bytes < 256 * 1024 * 1024) {
            sent.bytes += piece.length;
            if (!socket.write(piece)) return;
          }
        };
        socket.on('drain', pump);
        pump();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    const { port } = await startTlsProxyTo(
      t,
      `http://127.0.0.1:${String((server.address() as net.AddressInfo).port)}`,
    );
    const client = await connectHttp2(t, port);
    const stream = client.request({ ':path': '/' });
    stream.pause();
    await within(once(stream, 'response'), 'a response');
    let before = -1;
    // Until nothing moves any more, wherever the bytes have to wait.
    while (before !== sent.bytes) {
      before = sent.bytes;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    assert.ok(sent.bytes < 32 * 1024 * 1024, `${String(sent.bytes)} bytes`);
    stream.destroy();
  });

  it('stops a client whose server does not read', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startTlsProxyTo(t, server.url);
    const client = await connectHttp2(t, port);
    const stream = client.request({ ':path': '/', ':method': 'POST' });
    stream.on('error', () => undefined);
    const peer = await server.accept();
    peer.socket.pause();
    let sent = 0;
    let isMoving = true;
    while (isMoving && sent < 256 * 1024 * 1024) {
      const piece = Buffer.alloc(262_144);
      sent += piece.length;
      if (!stream.write(piece))
        isMoving = await Promise.race([
          once(stream, 'drain').then(() => true),
          new Promise<boolean>((resolve) => setTimeout(resolve, 1000, false)),
        ]);
    }
    assert.ok(sent < 64 * 1024 * 1024, `${String(sent)} bytes`);
    peer.socket.resume();
    await within(once(stream, 'drain'), 'the server to read on');
    stream.destroy();
  });
});

describe('the end of an HTTP/2 connection', () => {
  it('is announced when the proxy stops, and requests under way are answered', async (t) => {
    const server = await startByteServer(t);
    const { plane, port } = await startTlsProxyTo(t, server.url);
    const client = await connectHttp2(t, port);
    const answer = answerOf(client.request({ ':path': '/' }));
    const peer = await server.accept();
    await peer.readHead();
    const goaway = once(client, 'goaway');
    const drained = plane.drain({ graceMs: 10_000, isReplaced: false });
    const [code, last] = (await within(goaway, 'GOAWAY')) as [number, number];
    assert.deepEqual([code, last], [http2.constants.NGHTTP2_NO_ERROR, 2 ** 31 - 1]);
    peer.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    assert.equal((await answer).body, 'ok');
    await within(drained, 'the proxy to stop');
  });

  it('comes after the configured number of requests', async (t) => {
    const server = await startByteServer(t);
    const { transport } = entryPoint('web');
    const { port } = await startTlsProxyTo(t, server.url, {
      transport: { ...transport, keepAliveMaxRequests: 1 },
    });
    const client = await connectHttp2(t, port);
    const answer = answerOf(client.request({ ':path': '/' }));
    const closed = once(client, 'close');
    const peer = await server.accept();
    await peer.readHead();
    peer.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    assert.equal((await answer).body, 'ok');
    await within(closed, 'the end of the connection');
  });

  it('comes after the answers when the client announces it, even if it never closes its side', async (t) => {
    const server = await startByteServer(t);
    const { plane, port } = await startProxyTo(t, server.url);
    const client = new FrameClient(await connect(t, port));
    client.request(requestFields({ ':path': '/a' }));
    const first = await server.accept();
    client.request(requestFields({ ':path': '/b' }));
    const second = await server.accept();
    client.send(frame(FRAME.goaway, 0, 0, Buffer.alloc(8)));
    await Promise.all([first.readHead(), second.readHead()]);
    second.send('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2');
    assert.equal((await client.nextOf(FRAME.data)).payload.toString(), '2');
    const body = '1'.repeat(40_000);
    first.send(`HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n${body}`);
    let received = '';
    while (received.length < body.length)
      received += (await client.nextOf(FRAME.data)).payload.toString('latin1');
    assert.equal(received, body);
    assert.equal(await client.ending(), 'goaway NO_ERROR');
    await client.peer.readToEnd();
    await until(() => plane.counts().connections === 0, 'the proxy to give the connection up');
  });

  it('comes even if the client never closes its side', async (t) => {
    const server = await startByteServer(t);
    const { transport } = entryPoint('web');
    const respondingTimeouts = { ...transport.respondingTimeouts, idleTimeoutMs: 600 };
    const { plane, port } = await startProxyTo(t, server.url, {
      transport: { ...transport, respondingTimeouts },
    });
    const client = new FrameClient(await connect(t, port));
    assert.equal(await client.ending(), 'goaway NO_ERROR');
    await client.peer.readToEnd();
    await until(() => plane.counts().connections === 0, 'the proxy to give the connection up');
    assert.equal(client.peer.isClosed, false);
  });

  it('leaves HTTP/1.1 to clients that prefer it', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startTlsProxyTo(t, server.url);
    const { socket, peer } = await connectTls(t, port, { ALPNProtocols: ['http/1.1'] });
    assert.equal(socket.alpnProtocol, 'http/1.1');
    peer.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    const upstream = await server.accept();
    await upstream.readHead();
    upstream.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    await peer.read('ok');
    const plain = await connect(t, port);
    plain.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    assert.match(await plain.readHead(), /^HTTP\/1\.1 404 /);
  });
});
