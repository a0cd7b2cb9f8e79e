import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { entryPoint } from '../support/data-plane.ts';
import { FrameClient, requestFields } from '../support/http2-frames.ts';
import { startByteServer } from '../support/sockets.ts';
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
