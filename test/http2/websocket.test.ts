import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import type { TestContext } from 'node:test';
import { describe, it } from 'node:test';
import { startByteServer, within } from '../support/sockets.ts';
import type { ByteServer, Peer } from '../support/sockets.ts';
import { answerOf, connectHttp2, startTlsProxyTo } from '../support/tls.ts';

const HANDSHAKE = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n';

async function open(
  t: TestContext,
  server: ByteServer,
): Promise<{
  readonly stream: http2.ClientHttp2Stream;
  readonly peer: Peer;
  readonly head: string;
  readonly stop: () => Promise<void>;
}> {
  const { plane, port } = await startTlsProxyTo(t, server.url);
  const client = await connectHttp2(t, port);
  if (!client.remoteSettings.enableConnectProtocol) await within(once(client, 'remoteSettings'), 'settings');
  const stream = client.request({
    ':method': 'CONNECT',
    ':protocol': 'websocket',
    ':path': '/ws?x=1',
    'sec-websocket-version': '13',
    'sec-websocket-protocol': 'chat',
  });
  stream.on('error', () => undefined);
  const peer = await server.accept();
  return {
    stream,
    peer,
    head: await peer.readHead(),
    stop: () => plane.drain({ graceMs: 0, isReplaced: false }),
  };
}

async function accepted(stream: http2.ClientHttp2Stream, peer: Peer): Promise<http2.IncomingHttpHeaders> {
  const response = once(stream, 'response');
  peer.send(`${HANDSHAKE}Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: chat\r\n\r\n`);
  const [headers] = (await within(response, 'a response')) as [http2.IncomingHttpHeaders];
  return headers;
}

describe('a WebSocket over HTTP/2 (RFC 8441)', () => {
  it('is one of HTTP/1.1 for the server, and carries bytes both ways', async (t) => {
    const server = await startByteServer(t);
    const { stream, peer, head } = await open(t, server);
    assert.match(head, /^GET \/ws\?x=1 HTTP\/1\.1\r\n/);
    assert.match(head, /Connection: Upgrade\r\nUpgrade: websocket\r\n/);
    assert.match(head, /Sec-WebSocket-Key: [A-Za-z0-9+/]{22}==\r\n/);
    assert.match(head, /sec-websocket-version: 13\r\n/);
    const headers = await accepted(stream, peer);
    assert.deepEqual([headers[':status'], headers['sec-websocket-protocol']], [200, 'chat']);
    assert.equal(headers['sec-websocket-accept'], undefined);
    stream.write('ping');
    await peer.read('ping');
    const data = once(stream, 'data');
    peer.send('pong');
    assert.equal(String((await within(data, 'an answer'))[0]), 'pong');
  });

  it('ends with its server', async (t) => {
    const server = await startByteServer(t);
    const { stream, peer } = await open(t, server);
    await accepted(stream, peer);
    stream.resume();
    const closed = once(stream, 'close');
    peer.socket.destroy();
    await within(closed, 'the end of the stream');
  });

  it('ends with its client, however that goes', async (t) => {
    for (const leave of ['reset', 'end', 'session'] as const) {
      const server = await startByteServer(t);
      const { stream, peer } = await open(t, server);
      await accepted(stream, peer);
      if (leave === 'reset') stream.close(http2.constants.NGHTTP2_CANCEL);
      else if (leave === 'end') stream.end();
      else stream.session?.destroy();
      await peer.readToEnd();
    }
  });

  it('ends when its client leaves although the server is not reading', async (t) => {
    const server = await startByteServer(t);
    const { stream, peer } = await open(t, server);
    await accepted(stream, peer);
    peer.socket.pause();
    let isFull = false;
    while (!isFull) {
      if (stream.write(Buffer.alloc(262_144))) continue;
      isFull = await Promise.race([
        once(stream, 'drain').then(() => false),
        new Promise<boolean>((resolve) => setTimeout(resolve, 500, true)),
      ]);
    }
    stream.close(http2.constants.NGHTTP2_CANCEL);
    peer.socket.resume();
    await peer.readToEnd();
  });

  it('is refused with the answer of the server', async (t) => {
    const server = await startByteServer(t);
    const { stream, peer } = await open(t, server);
    const response = once(stream, 'response');
    peer.send('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno');
    const [headers] = (await within(response, 'a response')) as [http2.IncomingHttpHeaders];
    assert.equal(headers[':status'], 403);
    stream.resume();
    await within(once(stream, 'close'), 'the end of the stream');
  });

  it('that could say nothing is refused', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startTlsProxyTo(t, server.url);
    const client = await connectHttp2(t, port);
    if (!client.remoteSettings.enableConnectProtocol)
      await within(once(client, 'remoteSettings'), 'settings');
    const head = {
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':path': '/',
      'sec-websocket-version': '13',
    };
    assert.equal((await answerOf(client.request(head, { endStream: true }))).status, 400);
  });

  it('ends when the proxy stops', async (t) => {
    const server = await startByteServer(t);
    const { stream, peer, stop } = await open(t, server);
    await accepted(stream, peer);
    stream.resume();
    const closed = once(stream, 'close');
    await stop();
    await within(closed, 'the end of the stream');
    await peer.readToEnd();
  });
});
