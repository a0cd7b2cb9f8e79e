import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import {
  beginRead,
  endRead,
  giveInputBack,
  IN_PLACE_BYTES,
  isOwnInput,
  nextInput,
  ownBytes,
  sendInput,
} from '../../src/http1/shared-input.ts';
import { startProxyTo } from '../support/data-plane.ts';
import { connect, startByteServer } from '../support/sockets.ts';
import type { ByteServer, Peer } from '../support/sockets.ts';

const REQUEST = 'GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
/** Enough to fill what the operating system keeps for a connection. */
const PIECES = 1200;
const MUCH = 2 * IN_PLACE_BYTES;
const LITTLE = 10;
const THE_END = 'the end';

describe('the shared buffer of small reads', () => {
  it('is left by whoever needs its bytes longer', () => {
    const inside = nextInput().subarray(10, 20).fill('a');
    const own = ownBytes(inside, 2, 5);
    inside.fill('b');
    assert.equal(own.toString('latin1'), 'aaa');
  });

  it('is not copied from when the bytes are elsewhere', () => {
    const chunk = Buffer.from('abcdef');
    assert.equal(ownBytes(chunk, 0, 6), chunk);
    const part = ownBytes(chunk, 1, 3);
    chunk.fill('x');
    assert.equal(part.toString('latin1'), 'xx');
  });

  it('is what a connection reads into until it sends much', () => {
    const connection = {};
    assert.equal(isOwnInput(nextInput()), false);
    const own = read(connection, nextInput(), MUCH);
    assert.equal(isOwnInput(own), true);
    const other = read(connection, own, MUCH);
    assert.equal(isOwnInput(other), true);
    assert.notEqual(other, own);
    assert.equal(isOwnInput(read(connection, other, LITTLE)), false);
  });

  it('is what connections read into that send much when many do, until one of those does not any more', () => {
    const connections = Array.from({ length: 300 }, () => ({}));
    const gets = (connection: object): boolean => isOwnInput(read(connection, nextInput(), MUCH));
    const have = connections.filter(gets);
    assert.equal(have.length, 256);
    const [first = {}, second = {}] = have;
    const [last = {}] = connections.slice(-1);
    assert.deepEqual([gets(first), gets(last)], [true, false]);
    giveInputBack(first);
    assert.deepEqual([gets(last), gets(first)], [true, false]);
    read(second, nextInput(), LITTLE);
    assert.deepEqual([gets(first), gets(second)], [true, false]);
    for (const connection of connections) giveInputBack(connection);
  });

  describe('or else a buffer of its own', () => {
    const connection = {};
    const send = (stream: Duplex, from = 0, to = MUCH) => {
      return (bytes: Buffer) => sendInput(stream, bytes, from, to);
    };
    for (const { when, isKept, handle } of [
      { when: 'has been sent on', isKept: true, handle: () => [send(taking())] },
      {
        when: 'has been sent on in two pieces',
        isKept: true,
        handle: () => {
          const stream = taking();
          return [send(stream, 0, 100), send(stream, 100, MUCH)];
        },
      },
      { when: 'waits to be sent', isKept: false, handle: () => [send(corked())] },
      { when: 'has been kept by somebody', isKept: false, handle: () => [] },
      { when: 'has been kept in part', isKept: false, handle: () => [send(taking(), 1, MUCH)] },
      {
        when: 'has been sent to several',
        isKept: false,
        handle: () => [send(taking(), 0, 100), send(taking(), 100, MUCH)],
      },
      {
        when: 'was to be sent on by somebody who is gone',
        isKept: false,
        handle: () => {
          const stream = taking();
          return [send(stream), () => stream.destroy()];
        },
      },
    ])
      it(`is ${isKept ? 'read into again' : 'given away'} when what was read ${when}`, () => {
        const own = read(connection, nextInput(), MUCH);
        const next = read(connection, own, MUCH, ...handle());
        assert.equal(isOwnInput(next), true);
        assert.equal(next === own, isKept);
        giveInputBack(connection);
      });
  });

  for (const { coding, head, wrap } of [
    {
      coding: 'a length',
      head: (length: number) => `Content-Length: ${String(length)}\r\n\r\n`,
      wrap: (text: string) => text,
    },
    {
      coding: 'chunks',
      head: () => 'Transfer-Encoding: chunked\r\n\r\n',
      wrap: (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`,
    },
    { coding: 'the end of the connection', head: () => '\r\n', wrap: (text: string) => text },
  ])
    it(`keeps what a slow client has not taken of a body with ${coding}`, async (t) => {
      const server = await startByteServer(t);
      const { port } = await startProxyTo(t, server.url);
      const slow = await connect(t, port);
      slow.socket.pause();
      slow.send(REQUEST);
      const upstream = await server.accept();
      await upstream.readHead();
      const pieces = Array.from({ length: PIECES }, (_, index) => pieceOf(index));
      const body = pieces.join('');
      upstream.send(`HTTP/1.1 200 OK\r\n${head(body.length)}`);
      // Until the client's side is full, the proxy waits, and so does the server.
      for (const [index, piece] of pieces.entries()) {
        upstream.send(wrap(piece));
        // The proxy runs in this process: it reads piece by piece.
        await turn();
        await turn();
        if (index % 100 === 0) await exchange(t, server, port);
      }
      if (coding === 'chunks') upstream.send('0\r\n\r\n');
      if (coding === 'the end of the connection') upstream.socket.end();
      for (let count = 0; count < 5; count++) await exchange(t, server, port);
      slow.socket.resume();
      const [, received = ''] = (await slow.readToEnd()).split('\r\n\r\n', 2);
      assert.ok(coding === 'a length' ? received === body : unchunked(received) === body);
    });

  it('keeps what a slow server has not taken of a body that brings little at a time', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startProxyTo(t, server.url);
    const upload = await beginUpload(
      t,
      server,
      port,
      Array.from({ length: PIECES }, (_, index) => pieceOf(index)),
    );
    for (const [index, piece] of upload.pieces.entries()) {
      upload.client.send(piece);
      await turn();
      await turn();
      if (index % 100 === 0) await exchange(t, server, port);
    }
    for (let count = 0; count < 5; count++) await exchange(t, server, port);
    await endUpload(upload);
  });

  it('keeps what slow servers have not taken of bodies that bring much at a time', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startProxyTo(t, server.url);
    // More than the kernel keeps for them.
    const pieces = Array.from({ length: 150 }, (_, index) => pieceOf(index, 4 * IN_PLACE_BYTES));
    const uploads: Upload[] = [];
    for (let count = 0; count < 4; count++) uploads.push(await beginUpload(t, server, port, pieces));
    for (const { client } of uploads) for (const piece of pieces) client.send(piece);
    // They take a little now and then: the rest of a write is under way while more is read.
    for (let count = 0; count < 400; count++) {
      for (const { slow } of uploads) if (count % 4 === 3) slow.socket.resume();
      await turn();
      for (const { slow } of uploads) slow.socket.pause();
    }
    await Promise.all(uploads.map(endUpload));
  });

  it('keeps what comes with the head of a 101 until the tunnel has sent it', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startProxyTo(t, server.url);
    const client = await connect(t, port);
    client.send('GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    const upstream = await server.accept();
    await upstream.readHead();
    client.socket.pause();
    upstream.send(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n${pieceOf(1)}`,
    );
    upstream.send(pieceOf(2));
    await exchange(t, server, port);
    upstream.send(pieceOf(3));
    client.socket.resume();
    await client.readHead();
    assert.equal(await client.read(pieceOf(3)), pieceOf(1) + pieceOf(2) + pieceOf(3));
  });
});

/** A read of a connection; returns where the next one goes. */
function read(
  connection: object,
  input: Buffer,
  length: number,
  ...handle: readonly ((bytes: Buffer) => unknown)[]
): Buffer {
  beginRead(input);
  for (const use of handle) use(input.subarray(0, length));
  endRead(connection, length);
  return nextInput();
}

/** Has everything gone at once, as a socket whose kernel has room. */
function taking(): Duplex {
  return new Duplex({
    read: () => undefined,
    write: (_chunk, _encoding, done) => {
      done();
    },
  });
}

function corked(): Duplex {
  const stream = taking();
  stream.cork();
  return stream;
}

/** An upload whose head has arrived at a server that reads no more for now. */
interface Upload {
  readonly client: Peer;
  readonly slow: Peer;
  readonly pieces: readonly string[];
}

async function beginUpload(
  t: TestContext,
  server: ByteServer,
  port: number,
  pieces: readonly string[],
): Promise<Upload> {
  const client = await connect(t, port);
  const length = pieces.reduce((sum, piece) => sum + piece.length, THE_END.length);
  client.send(`PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: ${String(length)}\r\n\r\n`);
  const slow = await server.accept();
  await slow.readHead();
  slow.socket.pause();
  return { client, slow, pieces };
}

/** All of it arrives as it was sent. */
async function endUpload({ client, slow, pieces }: Upload): Promise<void> {
  client.send(THE_END);
  slow.socket.resume();
  assert.ok((await slow.read(THE_END)) === pieces.join('') + THE_END);
  slow.send('HTTP/1.1 204 No Content\r\n\r\n');
  await client.readHead();
}

/** Two of them at once are still read in place; different everywhere. */
function pieceOf(index: number, least = IN_PLACE_BYTES / 4): string {
  const length = least + ((index * 7919) % (IN_PLACE_BYTES / 4));
  return `${String(index).padStart(7, '0')}|`.repeat(Math.ceil(length / 8)).slice(0, length);
}

/** Another exchange, whose answer passes through the same buffer. */
async function exchange(t: TestContext, server: ByteServer, port: number): Promise<void> {
  const client = await connect(t, port);
  client.send(REQUEST);
  const upstream = await server.accept();
  await upstream.readHead();
  upstream.send(`HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9000\r\n\r\n${'-'.repeat(9000)}`);
  await client.readHead();
  await client.read('-'.repeat(9000));
}

/** A body without a length is chunked for an HTTP/1.1 client. */
function unchunked(text: string): string {
  let body = '';
  for (let at = 0; ;) {
    const lineEnd = text.indexOf('\r\n', at);
    const size = Number.parseInt(text.slice(at, lineEnd), 16);
    if (!(size > 0)) return body;
    body += text.slice(lineEnd + 2, lineEnd + 2 + size);
    at = lineEnd + 2 + size + 2;
  }
}
