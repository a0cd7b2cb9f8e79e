// What HTTP/2 lets stand in a field and HTTP/1.1 takes for the end of one: the server must see exactly one request, or none.

import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { END_STREAM, FRAME, FrameClient, frame, requestFields } from '../support/http2-frames.ts';
import { startByteServer, until } from '../support/sockets.ts';
import type { ByteServer, Peer } from '../support/sockets.ts';
import { startTlsProxyTo } from '../support/tls.ts';

type Fields = readonly (readonly [string, string])[];

const EVIL = ' HTTP/1.1\r\nHost: evil\r\n\r\nGET /evil';

const HEADS: readonly { readonly name: string; readonly fields: Fields }[] = [
  { name: 'a line end in the method', fields: requestFields({ ':method': `GET /x${EVIL}` }) },
  { name: 'a space in the method', fields: requestFields({ ':method': 'GET /x' }) },
  { name: 'a line end in the path', fields: requestFields({ ':path': `/x${EVIL}` }) },
  { name: 'a space in the path', fields: requestFields({ ':path': '/x HTTP/1.1' }) },
  { name: 'a tab in the path', fields: requestFields({ ':path': '/x\tHTTP/1.1' }) },
  { name: 'a NUL in the path', fields: requestFields({ ':path': '/x\0' }) },
  { name: 'no path', fields: requestFields({ ':path': '' }) },
  { name: 'a path that is none', fields: requestFields({ ':path': 'evil/x' }) },
  { name: 'an asterisk for GET', fields: requestFields({ ':path': '*' }) },
  { name: 'a line end in the authority', fields: requestFields({ ':authority': 'hub\r\nX-Evil: 1' }) },
  { name: 'a path in the authority', fields: requestFields({ ':authority': 'hub/x' }) },
  { name: 'a user in the authority', fields: requestFields({ ':authority': 'me@hub' }) },
  { name: 'a space in the authority', fields: requestFields({ ':authority': 'hub evil' }) },
  { name: 'no authority and no host', fields: requestFields().filter(([name]) => name !== ':authority') },
  { name: 'a host that differs from the authority', fields: requestFields({}, [['host', 'evil']]) },
  {
    name: 'two hosts without an authority',
    fields: [...requestFields().filter(([name]) => name !== ':authority'), ['host', 'a'], ['host', 'a']],
  },
  { name: 'a line end in the scheme', fields: requestFields({ ':scheme': 'https\r\nX-Evil: 1' }) },
  { name: 'no scheme', fields: requestFields().filter(([name]) => name !== ':scheme') },
  { name: 'no method', fields: requestFields().filter(([name]) => name !== ':method') },
  { name: 'two paths', fields: [...requestFields(), [':path', '/evil']] },
  { name: 'a pseudo-header after a header', fields: [['x-a', '1'], ...requestFields()] },
  { name: 'a pseudo-header of a response', fields: requestFields({ ':status': '200' }) },
  { name: 'an unknown pseudo-header', fields: requestFields({ ':evil': '1' }) },
  { name: 'a line end in a value', fields: requestFields({}, [['x-a', '1\r\nX-Evil: 1']]) },
  { name: 'a bare line feed in a value', fields: requestFields({}, [['x-a', '1\nX-Evil: 1']]) },
  { name: 'a bare carriage return in a value', fields: requestFields({}, [['x-a', '1\rX-Evil: 1']]) },
  { name: 'a NUL in a value', fields: requestFields({}, [['x-a', '1\0']]) },
  { name: 'a whole request in a value', fields: requestFields({}, [['x-a', `1\r\n\r\nGET /evil${EVIL}`]]) },
  { name: 'a line end in a name', fields: requestFields({}, [['x-a\r\nx-evil', '1']]) },
  { name: 'a colon in a name', fields: requestFields({}, [['x-evil: 1\r\nx', '1']]) },
  { name: 'a colon at the end of a name', fields: requestFields({}, [['x-a:', '1']]) },
  { name: 'a space in a name', fields: requestFields({}, [['x a', '1']]) },
  { name: 'upper case in a name', fields: requestFields({}, [['X-A', '1']]) },
  { name: 'an empty name', fields: requestFields({}, [['', '1']]) },
  { name: 'connection', fields: requestFields({}, [['connection', 'x-forwarded-for']]) },
  { name: 'keep-alive', fields: requestFields({}, [['keep-alive', '5']]) },
  { name: 'proxy-connection', fields: requestFields({}, [['proxy-connection', 'close']]) },
  { name: 'upgrade', fields: requestFields({}, [['upgrade', 'websocket']]) },
  {
    name: 'transfer-encoding',
    fields: requestFields({ ':method': 'POST' }, [['transfer-encoding', 'chunked']]),
  },
  { name: 'te other than trailers', fields: requestFields({}, [['te', 'gzip']]) },
  {
    name: 'a length without a body',
    fields: requestFields({ ':method': 'POST' }, [['content-length', '5']]),
  },
  {
    name: 'two lengths',
    fields: requestFields({}, [
      ['content-length', '0'],
      ['content-length', '0'],
    ]),
  },
  { name: 'a length that is no number', fields: requestFields({}, [['content-length', '+0']]) },
  {
    name: 'CONNECT',
    fields: [
      [':method', 'CONNECT'],
      [':authority', 'evil:443'],
    ],
  },
  {
    name: 'CONNECT for an unknown protocol',
    fields: requestFields({ ':method': 'CONNECT', ':protocol': 'evil' }),
  },
  { name: 'a protocol without CONNECT', fields: requestFields({ ':protocol': 'websocket' }) },
];

/** Answers every head with 204 and keeps all bytes. */
async function startRecorder(
  t: TestContext,
): Promise<{ readonly url: string; readonly heads: () => string[] }> {
  let bytes = '';
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.toString('latin1');
      if (bytes.endsWith('\r\n\r\n')) socket.write('HTTP/1.1 204 No Content\r\n\r\n');
    });
    t.after(() => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${String(port)}`, heads: () => bytes.split('\r\n\r\n').slice(0, -1) };
}

describe('an HTTP/2 head that would be more than one in HTTP/1.1', () => {
  it('never reaches the server as such', async (t) => {
    const server = await startRecorder(t);
    const { port } = await startTlsProxyTo(t, server.url);
    let passed = 0;
    for (const { name, fields } of HEADS) {
      const client = await FrameClient.connect(t, port);
      const outcome = await client.outcome(client.request(fields));
      assert.notEqual(outcome, 'reset NO_ERROR', name);
      client.peer.socket.destroy();
      // nghttp2 leaves a value out that it does not like, instead of the request: that one is answered by the server.
      const heads = server.heads().slice(passed);
      passed += heads.length;
      assert.ok(heads.length <= 1, name);
      for (const head of heads) {
        assert.match(head, /^GET \/ HTTP\/1\.1\r\nHost: hub\r\nX-Forwarded-/, name);
        assert.doesNotMatch(head, /evil/i, name);
        assert.match(name, / in a (?:value|name)$|name$/, name);
      }
    }
    const client = await FrameClient.connect(t, port);
    const stream = client.request(requestFields({ ':path': '/honest' }));
    assert.equal(await client.outcome(stream), 'headers');
    assert.match(server.heads()[passed] ?? '', /^GET \/honest HTTP\/1\.1\r\nHost: hub\r\n/);
  });
});

/** The connection that `/next` comes on; others before it end, and bring nothing but what was announced. */
async function nextRequest(server: ByteServer): Promise<Peer> {
  for (;;) {
    const peer = await server.accept();
    await until(
      () => peer.hasEnded || peer.isClosed || peer.received.includes('\r\n\r\n'),
      'a request or the end',
    );
    if (peer.received.startsWith('GET /next ')) return peer;
    assert.match(await peer.readToEnd(), /^(?:POST \/ .*\r\n\r\n(?:abc)?)?$/s);
  }
}

describe('an HTTP/2 body', () => {
  const bodies: readonly {
    readonly name: string;
    readonly length: string;
    readonly pieces: readonly string[];
  }[] = [
    {
      name: 'longer than announced',
      length: '3',
      pieces: ['abc', 'GET /evil HTTP/1.1\r\nHost: evil\r\n\r\n'],
    },
    { name: 'longer than announced at once', length: '3', pieces: ['abcGET /evil HTTP/1.1\r\n\r\n'] },
    { name: 'shorter than announced', length: '300', pieces: ['abc'] },
    { name: 'where none was announced', length: '0', pieces: ['GET /evil HTTP/1.1\r\nHost: evil\r\n\r\n'] },
  ];
  for (const { name, length, pieces } of bodies)
    for (const isKnown of [true, false])
      it(`${name} is cut off, and so is its server, ${isKnown ? 'which knows its head' : 'also at once'}`, async (t) => {
        const server = await startByteServer(t);
        const { port } = await startTlsProxyTo(t, server.url);
        let client = await FrameClient.connect(t, port);
        const fields = requestFields({ ':method': 'POST' }, [['content-length', length]]);
        const stream = client.request(fields, 0);
        const broken = isKnown ? await server.accept() : undefined;
        if (broken !== undefined) assert.match(await broken.readHead(), /^POST \/ /);
        client.send(
          ...pieces.map((piece, index) =>
            frame(FRAME.data, index === pieces.length - 1 ? END_STREAM : 0, stream, Buffer.from(piece)),
          ),
        );
        const outcome = await client.outcome(stream);
        if (outcome.startsWith('goaway')) {
          // RFC 9113 §5.4.1: a stream error may be treated as one of the connection, as newer versions of Node do.
          assert.match(outcome, /^goaway (?:PROTOCOL|INTERNAL)_ERROR$/);
          assert.equal(await client.peer.readToEnd(), '');
          client = await FrameClient.connect(t, port);
        } else assert.match(outcome, /^reset (?:PROTOCOL|INTERNAL)_ERROR$/);
        // Another request goes to another connection.
        const next = client.request(requestFields({ ':path': '/next' }));
        if (broken !== undefined) assert.match(await broken.readToEnd(), /^(?:abc)?$/);
        const peer = await nextRequest(server);
        peer.send('HTTP/1.1 204 No Content\r\n\r\n');
        assert.equal(await client.outcome(next), 'headers');
      });

  it('without a length is chunked anew, whatever it looks like', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startTlsProxyTo(t, server.url);
    const client = await FrameClient.connect(t, port);
    const stream = client.request(requestFields({ ':method': 'POST' }), 0);
    const body = '0\r\n\r\nGET /evil HTTP/1.1\r\nHost: evil\r\n\r\n';
    client.send(frame(FRAME.data, END_STREAM, stream, Buffer.from(body)));
    const peer = await server.accept();
    await peer.readHead();
    assert.equal(
      await peer.read('evil\r\n\r\n\r\n0\r\n\r\n'),
      `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
    );
  });

  it('that ends in the middle because its client gave up does not look complete', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startTlsProxyTo(t, server.url);
    for (const code of [0, 8]) {
      const client = await FrameClient.connect(t, port);
      const stream = client.request(requestFields({ ':method': 'POST' }), 0);
      client.send(frame(FRAME.data, 0, stream, Buffer.from('half')));
      const peer = await server.accept();
      await peer.read('half\r\n');
      client.send(frame(FRAME.reset, 0, stream, Buffer.from([0, 0, 0, code])));
      assert.equal(await peer.readToEnd(), '');
    }
  });
});
