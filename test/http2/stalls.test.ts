// Clients of HTTP/2 that do not take their answers: a window of 0 that never opens, while the connection is alive and pings are answered.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import type { EntryPointConfiguration } from '../../src/config/static.ts';
import { entryPoint, startProxyTo } from '../support/data-plane.ts';
import {
  END_STREAM,
  FRAME,
  FrameClient,
  frame,
  requestFields,
  settings,
  word,
} from '../support/http2-frames.ts';
import type { Frame } from '../support/http2-frames.ts';
import { connect, startByteServer, within } from '../support/sockets.ts';
import { answerOf, connectHttp2, startTlsProxyTo } from '../support/tls.ts';

type Times = Partial<EntryPointConfiguration['transport']['respondingTimeouts']>;

const INITIAL_WINDOW = 4;
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
/** Enough that a test waits for nothing else. */
const LONG_MS = 600_000;
const SHORT_MS = 600;
/** What a connection takes at first, all streams together. Source: RFC 9113 §6.9.2. */
const CONNECTION_WINDOW = 65_535;

function times(respondingTimeouts: Times): Partial<EntryPointConfiguration> {
  const { transport } = entryPoint('web');
  const long = { readTimeoutMs: LONG_MS, writeTimeoutMs: LONG_MS, idleTimeoutMs: LONG_MS };
  return { transport: { ...transport, respondingTimeouts: { ...long, ...respondingTimeouts } } };
}

/** A client that answers pings, whose streams have windows of so many bytes at first. */
async function start(t: TestContext, respondingTimeouts: Times, window = 0) {
  const server = await startByteServer(t);
  const { port } = await startProxyTo(t, server.url, times(respondingTimeouts));
  const wishes = settings([INITIAL_WINDOW, window]);
  return { server, client: new FrameClient(await connect(t, port), { wishes }) };
}

/** All frames up to the first of this type on this stream. */
function framesTo(client: FrameClient, type: number, stream: number): Promise<readonly Frame[]> {
  return within(readTo(client, type, stream), `a frame of type ${String(type)}`);
}

async function readTo(client: FrameClient, type: number, stream: number): Promise<readonly Frame[]> {
  const frames: Frame[] = [];
  for (;;) {
    const next = await client.next();
    frames.push(next);
    if (next.type === FRAME.ping && (next.flags & 1) === 0)
      client.send(frame(FRAME.ping, 1, 0, next.payload));
    if (next.type === type && next.stream === stream) return frames;
  }
}

function dataBytes(frames: readonly Frame[], stream: number): number {
  return frames
    .filter((one) => one.type === FRAME.data && one.stream === stream)
    .reduce((sum, { payload }) => sum + payload.length, 0);
}

describe('an answer that a client of HTTP/2 never takes', () => {
  it('is given up after the write time-out, though it is complete, and costs the server nothing meanwhile', async (t) => {
    const { server, client } = await start(t, { writeTimeoutMs: SHORT_MS });
    const stream = client.request(requestFields());
    const upstream = await server.accept();
    await upstream.readHead();
    upstream.send(OK);
    await framesTo(client, FRAME.headers, stream);
    const other = client.request(requestFields({ ':path': '/other' }));
    assert.match(await upstream.readHead(), /^GET \/other /);
    upstream.send('HTTP/1.1 204 No Content\r\n\r\n');
    const frames = await framesTo(client, FRAME.reset, stream);
    assert.equal(dataBytes(frames, stream), 0);
    assert.ok(frames.some((one) => one.type === FRAME.headers && one.stream === other));
  });

  it('is given up after the idle time-out where there is no write time-out, and the connection with it', async (t) => {
    const { server, client } = await start(t, {
      readTimeoutMs: SHORT_MS,
      writeTimeoutMs: 0,
      idleTimeoutMs: SHORT_MS,
    });
    const stream = client.request(requestFields());
    const upstream = await server.accept();
    await upstream.readHead();
    upstream.send(OK);
    await framesTo(client, FRAME.reset, stream);
    await framesTo(client, FRAME.goaway, 0);
    await client.peer.readToEnd();
  });

  it('is given up when the proxy itself has made it', async (t) => {
    const { client } = await start(t, { writeTimeoutMs: SHORT_MS });
    const stream = client.request(requestFields({ ':scheme': 'ftp' }));
    const frames = await framesTo(client, FRAME.reset, stream);
    assert.equal(dataBytes(frames, stream), 0);
  });

  it('is given up when it came before the end of the request', async (t) => {
    const { server, client } = await start(t, { writeTimeoutMs: SHORT_MS, idleTimeoutMs: SHORT_MS });
    const stream = client.request(requestFields({ ':method': 'POST' }), 0);
    client.send(frame(FRAME.data, 0, stream, Buffer.from('some')));
    const upstream = await server.accept();
    await upstream.read('some\r\n');
    upstream.send('HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!');
    await upstream.readToEnd();
    await framesTo(client, FRAME.reset, stream);
    await framesTo(client, FRAME.goaway, 0);
  });

  for (const hasBody of [false, true])
    it(`is freed when the client cancels it, ${hasBody ? 'in the middle of' : 'after'} its request`, async (t) => {
      const { server, client } = await start(t, { idleTimeoutMs: SHORT_MS });
      const fields = requestFields({ ':method': hasBody ? 'POST' : 'GET' });
      const stream = client.request(fields, hasBody ? 0 : END_STREAM);
      const upstream = await server.accept();
      await upstream.readHead();
      upstream.send('HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!');
      await framesTo(client, FRAME.headers, stream);
      client.send(frame(FRAME.reset, 0, stream, word(8)));
      await framesTo(client, FRAME.goaway, 0);
      await client.peer.readToEnd();
    });

  it('is given up when another stream has taken all that the connection takes', async (t) => {
    const { server, client } = await start(
      t,
      { writeTimeoutMs: SHORT_MS, idleTimeoutMs: SHORT_MS },
      CONNECTION_WINDOW * 4,
    );
    const greedy = client.request(requestFields());
    const first = await server.accept();
    await first.readHead();
    const waiting = client.request(requestFields());
    const second = await server.accept();
    await second.readHead();
    first.send(
      `HTTP/1.1 200 OK\r\nContent-Length: ${String(CONNECTION_WINDOW)}\r\n\r\n${'x'.repeat(CONNECTION_WINDOW)}`,
    );
    let taken = 0;
    while (taken < CONNECTION_WINDOW) taken += dataBytes(await framesTo(client, FRAME.data, greedy), greedy);
    second.send(OK);
    const frames = await framesTo(client, FRAME.reset, waiting);
    assert.equal(dataBytes(frames, waiting), 0);
    await framesTo(client, FRAME.goaway, 0);
    await client.peer.readToEnd();
  });

  it('is complete when the client opens its window in time', async (t) => {
    const { server, client } = await start(t, { writeTimeoutMs: LONG_MS, idleTimeoutMs: SHORT_MS });
    const stream = client.request(requestFields());
    const upstream = await server.accept();
    await upstream.readHead();
    upstream.send(OK);
    await framesTo(client, FRAME.headers, stream);
    client.send(frame(FRAME.window, 0, stream, word(1)));
    await framesTo(client, FRAME.data, stream);
    client.send(frame(FRAME.window, 0, stream, word(1)));
    const last = (await framesTo(client, FRAME.data, stream)).at(-1);
    assert.deepEqual([last?.payload.toString(), last?.flags], ['k', END_STREAM]);
    await framesTo(client, FRAME.goaway, 0);
  });
});

describe('an upload over HTTP/2', () => {
  it('is answered with 504 when the server stops taking it', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startTlsProxyTo(t, server.url, times({ readTimeoutMs: SHORT_MS }));
    const client = await connectHttp2(t, port);
    const stream = client.request({ ':path': '/', ':method': 'POST' });
    const upstream = await server.accept();
    await upstream.readHead();
    upstream.socket.pause();
    const piece = Buffer.alloc(65_536);
    const pump = (): void => {
      while (!stream.destroyed && stream.write(piece));
    };
    stream.on('drain', pump);
    pump();
    assert.equal((await answerOf(stream)).status, 504);
    upstream.socket.resume();
    await upstream.readToEnd();
  });

  it('is not cut while the server takes it, however slowly', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startTlsProxyTo(t, server.url, times({ readTimeoutMs: 2000 }));
    const client = await connectHttp2(t, port);
    const stream = client.request({ ':path': '/', ':method': 'POST' });
    const answer = answerOf(stream);
    const upstream = await server.accept();
    await upstream.readHead();
    upstream.socket.pause();
    stream.end(Buffer.alloc(24 * 1024 * 1024, 'x'));
    // More at a time than the kernel holds for it: else nothing would move for as long as that lasts.
    for (let round = 0; round < 8; round++) {
      await new Promise((resolve) => setTimeout(resolve, 350));
      upstream.socket.resume();
      await upstream.take(3 * 1024 * 1024);
      upstream.socket.pause();
    }
    upstream.socket.resume();
    await upstream.read('0\r\n\r\n');
    upstream.send(OK);
    assert.equal((await answer).body, 'ok');
  });
});

describe('an answer under way that a client of HTTP/2 does not take', () => {
  /** More than waits anywhere for a client. */
  const MUCH = 'x'.repeat(1024 * 1024);

  it('is cut after the write time-out, and its server freed', async (t) => {
    const { server, client } = await start(t, { writeTimeoutMs: SHORT_MS });
    const stream = client.request(requestFields());
    const upstream = await server.accept();
    await upstream.readHead();
    upstream.send(`HTTP/1.1 200 OK\r\n\r\n${MUCH}`);
    await framesTo(client, FRAME.reset, stream);
    await upstream.readToEnd();
  });

  it('is cut even if the client goes on sending', async (t) => {
    const { server, client } = await start(t, { writeTimeoutMs: SHORT_MS });
    const stream = client.request(requestFields({ ':method': 'POST' }), 0);
    const dripping = setInterval(() => {
      client.send(frame(FRAME.data, 0, stream, Buffer.from('x')));
    }, 50);
    t.after(() => {
      clearInterval(dripping);
    });
    const upstream = await server.accept();
    await upstream.readHead();
    upstream.send(`HTTP/1.1 200 OK\r\n\r\n${MUCH}`);
    await framesTo(client, FRAME.reset, stream);
    await upstream.readToEnd();
  });

  it('is cut even if the client has sent the end of its request', async (t) => {
    const { server, client } = await start(t, { writeTimeoutMs: SHORT_MS });
    const stream = client.request(requestFields({ ':method': 'POST' }), 0);
    const upstream = await server.accept();
    await upstream.readHead();
    upstream.send(`HTTP/1.1 200 OK\r\n\r\n${MUCH}`);
    await framesTo(client, FRAME.headers, stream);
    client.send(frame(FRAME.data, END_STREAM, stream, Buffer.from('end')));
    await framesTo(client, FRAME.reset, stream);
    await upstream.readToEnd();
  });

  it('leaves the limit on stalls of the request in place once it is taken', async (t) => {
    const { server, client } = await start(t, { readTimeoutMs: 1500 });
    const stream = client.request(requestFields({ ':method': 'POST' }), 0);
    const upstream = await server.accept();
    await upstream.readHead();
    upstream.send(`HTTP/1.1 200 OK\r\n\r\n${MUCH}`);
    await framesTo(client, FRAME.headers, stream);
    client.send(
      frame(FRAME.window, 0, 0, word(MUCH.length * 2)),
      frame(FRAME.window, 0, stream, word(MUCH.length * 2)),
    );
    let taken = 0;
    while (taken < MUCH.length) taken += dataBytes(await framesTo(client, FRAME.data, stream), stream);
    await framesTo(client, FRAME.reset, stream);
    await upstream.readToEnd();
  });
});
