import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { entryPoint, startProxyTo } from '../support/data-plane.ts';
import {
  END_HEADERS,
  END_STREAM,
  FRAME,
  FrameClient,
  frame,
  headerBlock,
  requestFields,
} from '../support/http2-frames.ts';
import { connect, startByteServer, until } from '../support/sockets.ts';
import { answerOf, connectHttp2, startTlsProxyTo } from '../support/tls.ts';

describe('limits of HTTP/2 heads', () => {
  /** Bytes that the head takes as HTTP/1.1, without the filler. */
  const { http } = entryPoint('web');
  const LIMIT = 4096;

  it('refuses one byte above http.maxHeaderBytes with 431, and takes one at it', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startTlsProxyTo(t, server.url, { http: { ...http, maxHeaderBytes: LIMIT } });
    const client = await FrameClient.connect(t, port);
    const base = 'GET / HTTP/1.1\r\nHost: hub\r\nx-fill: \r\n\r\n'.length;
    const over = client.request(requestFields({}, [['x-fill', 'a'.repeat(LIMIT - base + 1)]]));
    assert.equal(await client.outcome(over), 'headers');
    assert.equal(server.accepted, 0);
    client.request(requestFields({}, [['x-fill', 'a'.repeat(LIMIT - base)]]));
    const peer = await server.accept();
    assert.match(await peer.readHead(), /x-fill: a+\r\n/);
  });

  it('answers 431 to too many headers and 414 to too long a path', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startTlsProxyTo(t, server.url);
    const client = await connectHttp2(t, port, { settings: {}, maxSendHeaderBlockLength: 1_000_000 });
    const many = Object.fromEntries(Array.from({ length: 501 }, (_, index) => [`x-${String(index)}`, '1']));
    assert.equal((await answerOf(client.request({ ':path': '/', ...many }))).status, 431);
    assert.equal((await answerOf(client.request({ ':path': `/${'a'.repeat(65_536)}` }))).status, 414);
    assert.equal(server.accepted, 0);
  });

  it('answers 501 to methods that nobody knows', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startTlsProxyTo(t, server.url);
    const client = await connectHttp2(t, port);
    assert.equal((await answerOf(client.request({ ':path': '/', ':method': 'FETCH' }))).status, 501);
    const inFrames = await FrameClient.connect(t, port);
    const stream = inFrames.request([
      [':method', 'CONNECT'],
      [':authority', 'elsewhere:443'],
    ]);
    assert.equal(await inFrames.answer(stream), 'status 501');
  });

  it('answers 400 to schemes other than http and https', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startTlsProxyTo(t, server.url);
    const client = await FrameClient.connect(t, port);
    assert.equal(await client.answer(client.request(requestFields({ ':scheme': 'ftp' }))), 'status 400');
    assert.equal(server.accepted, 0);
  });
});

describe('floods of HTTP/2', () => {
  it('refuses streams above http2.maxConcurrentStreams', async (t) => {
    const server = await startByteServer(t);
    const { http2 } = entryPoint('web');
    const { port } = await startTlsProxyTo(t, server.url, { http2: { ...http2, maxConcurrentStreams: 2 } });
    const client = await FrameClient.connect(t, port);
    client.request(requestFields());
    client.request(requestFields());
    await server.accept();
    await server.accept();
    const third = client.request(requestFields());
    assert.equal(await client.outcome(third), 'reset REFUSED_STREAM');
    assert.equal(server.accepted, 2);
  });

  it('ends a connection that opens and cancels without end (CVE-2023-44487)', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startTlsProxyTo(t, server.url);
    const client = await FrameClient.connect(t, port);
    const cancel = Buffer.from([0, 0, 0, 8]);
    let outcome: string | undefined;
    void client.outcome(-1).then((found) => (outcome = found));
    for (let round = 0; round < 1000 && !client.peer.isClosed; round++) {
      const stream = client.request(requestFields());
      client.send(frame(FRAME.reset, 0, stream, cancel));
      // Some of them become requests to the server, as a flood that is spread over several reads would.
      await new Promise((resolve) => setImmediate(resolve));
    }
    await client.peer.closed();
    assert.equal(outcome, 'goaway ENHANCE_YOUR_CALM');
  });

  it('lets a page be left, whose requests all are cancelled', async (t) => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (chunk: Buffer) => {
        if (chunk.includes('/after')) socket.write('HTTP/1.1 204 No Content\r\n\r\n');
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    const { port } = await startTlsProxyTo(
      t,
      `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`,
    );
    const client = await FrameClient.connect(t, port);
    for (let round = 0; round < 100; round++) {
      const stream = client.request(requestFields());
      client.send(frame(FRAME.reset, 0, stream, Buffer.from([0, 0, 0, 8])));
    }
    const after = client.request(requestFields({ ':path': '/after' }));
    assert.equal(await client.outcome(after), 'headers');
  });

  it('ends a connection whose head never ends (CVE-2024-27316)', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startTlsProxyTo(t, server.url);
    const client = await FrameClient.connect(t, port);
    client.send(frame(FRAME.headers, END_STREAM, 1, headerBlock(requestFields())));
    const more = frame(FRAME.continuation, 0, 1, headerBlock([['x-a', 'a'.repeat(1000)]]));
    for (let round = 0; round < 2000 && !client.peer.isClosed; round++) {
      client.send(more);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await client.peer.closed();
    assert.equal(server.accepted, 0);
  });

  it('ends a connection that sends empty pieces of a body without end', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startTlsProxyTo(t, server.url);
    const client = await FrameClient.connect(t, port);
    const stream = client.request(requestFields({ ':method': 'POST' }), 0);
    const many = Buffer.concat(Array.from({ length: 500 }, () => frame(FRAME.data, 0, stream)));
    for (let round = 0; round < 200 && !client.peer.isClosed; round++) {
      client.send(many);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await client.peer.closed();
  });

  it('answers requests whose head came in pieces', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startTlsProxyTo(t, server.url);
    const client = await FrameClient.connect(t, port);
    const block = headerBlock(requestFields({ ':path': '/pieces' }));
    client.send(
      frame(FRAME.headers, END_STREAM, 1, block.subarray(0, 5)),
      frame(FRAME.continuation, 0, 1, block.subarray(5, 9)),
      frame(FRAME.continuation, END_HEADERS, 1, block.subarray(9)),
    );
    const peer = await server.accept();
    assert.match(await peer.readHead(), /^GET \/pieces /);
  });

  it('holds no more interim responses than a few for a client that takes none', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startProxyTo(t, server.url);
    const peer = await connect(t, port);
    peer.socket.removeAllListeners('data');
    peer.socket.pause();
    const client = new FrameClient(peer);
    client.request(requestFields());
    const upstream = await server.accept();
    await upstream.readHead();
    const interim = `HTTP/1.1 103 Early Hints\r\nLink: <${'x'.repeat(8000)}>\r\n\r\n`.repeat(10);
    let sent = 0;
    for (; sent < 40_000_000; sent += interim.length)
      await new Promise((resolve) => upstream.socket.write(interim, resolve));
    upstream.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    let received = 0;
    let tail = Buffer.alloc(0);
    const last = frame(FRAME.data, END_STREAM, 1, Buffer.from('ok'));
    peer.socket.on('data', (chunk: Buffer) => {
      received += chunk.length;
      tail = Buffer.concat([tail, chunk]).subarray(-last.length);
    });
    peer.socket.resume();
    await until(() => tail.equals(last), 'the end of the answer');
    assert.ok(received < sent / 2, `${String(received)} of ${String(sent)} bytes`);
  });
});
