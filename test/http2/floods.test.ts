import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import type { EntryPointConfiguration } from '../../src/config/static.ts';
import {
  entryPoint,
  router,
  service,
  startDataPlane,
  startProxyTo,
  staticConfiguration,
  table,
} from '../support/data-plane.ts';
import { rememberingLogger } from '../support/hub-store.ts';
import {
  END_HEADERS,
  END_STREAM,
  FRAME,
  FrameClient,
  frame,
  headerBlock,
  requestFields,
  settings,
  word,
} from '../support/http2-frames.ts';
import { startRecorder } from '../support/recorder.ts';
import { connect, startByteServer, until } from '../support/sockets.ts';
import { startTlsProxyTo } from '../support/tls.ts';

const GET = headerBlock(requestFields());
const POST = headerBlock(requestFields({ ':method': 'POST' }));
/** Nobody may say twice how it asks. */
const MALFORMED = headerBlock(requestFields({}, [[':method', 'GET']]));
const PADDED = 8;
const INITIAL_WINDOW = 4;

/** Frames of one turn: fewer than what is too much at once. */
const BURST = 500;
/** Frames that need no answer and are no flood yet in any version of Node. */
const TOLERATED = 9500;
/** More than all buffers between the client and the proxy hold. */
const ENDLESS = 64 * 1024 * 1024;

/** Streams that only one client opens. */
class Streams {
  #last = -1;

  next(): number {
    return (this.#last += 2);
  }
}

function burst(make: () => Buffer): Buffer {
  return Buffer.concat(Array.from({ length: BURST }, make));
}

/** What is sent first, and then again and again. */
interface Flood {
  readonly name: string;
  readonly first?: Buffer;
  readonly make: (streams: Streams) => Buffer;
}

/** Frames that wait to be answered, or that nothing good begins with. */
const FLOODS: readonly (Flood & { readonly takesAnswers: boolean })[] = [
  {
    name: 'pings, and takes no answers (CVE-2019-9512)',
    make: () => frame(FRAME.ping, 0, 0, Buffer.alloc(8)),
    takesAnswers: false,
  },
  {
    name: 'settings, and takes no answers (CVE-2019-9515)',
    make: () => frame(FRAME.settings, 0, 0, settings([INITIAL_WINDOW, 1])),
    takesAnswers: false,
  },
  ...[true, false].map((takesAnswers) => ({
    name: `requests above the limit, and ${takesAnswers ? 'takes' : 'does not take'} the refusals`,
    make: (streams: Streams) => frame(FRAME.headers, END_HEADERS, streams.next(), POST),
    takesAnswers,
  })),
  ...[true, false].map((takesAnswers) => ({
    name: `requests that are malformed, and ${takesAnswers ? 'takes' : 'does not take'} the refusals (CVE-2019-9514)`,
    make: (streams: Streams) => frame(FRAME.headers, END_HEADERS, streams.next(), MALFORMED),
    takesAnswers,
  })),
  {
    name: 'empty pieces of a body (CVE-2019-9518)',
    first: frame(FRAME.headers, END_HEADERS, 1, POST),
    make: () => frame(FRAME.data, 0, 1),
    takesAnswers: true,
  },
  {
    name: 'pieces of a head (CVE-2024-27316)',
    first: frame(FRAME.headers, END_STREAM, 1, GET),
    make: () => frame(FRAME.continuation, 0, 1, headerBlock([['x-a', 'a'.repeat(1000)]])),
    takesAnswers: true,
  },
  {
    name: 'empty pieces of a head',
    first: frame(FRAME.headers, END_STREAM, 1, GET),
    make: () => frame(FRAME.continuation, 0, 1),
    takesAnswers: true,
  },
];

/**
 * Frames that need no answer. `isLimited`: newer versions of Node end the connection behind ten thousand of them at once (nghttp2.h,
 * nghttp2_option_set_glitch_rate_limit).
 */
const MEANINGLESS: readonly (Flood & { readonly isLimited?: boolean })[] = [
  { name: 'room in the connection', make: () => frame(FRAME.window, 0, 0, word(1)) },
  {
    name: 'room in a stream',
    first: frame(FRAME.headers, END_HEADERS, 1, POST),
    make: () => frame(FRAME.window, 0, 1, word(1)),
  },
  {
    name: 'priorities of ever new streams',
    make: (streams) => frame(FRAME.priority, 0, streams.next(), Buffer.from([0, 0, 0, 0, 9])),
    isLimited: true,
  },
  {
    name: 'priorities of one stream',
    first: frame(FRAME.headers, END_HEADERS, 1, POST),
    make: () => frame(FRAME.priority, 0, 1, Buffer.from([0, 0, 0, 0, 9])),
    isLimited: true,
  },
  { name: 'unknown frames', make: () => frame(99, 0, 0), isLimited: true },
  {
    name: 'pieces of a body with nothing but padding',
    first: frame(FRAME.headers, END_HEADERS, 1, POST),
    make: () => frame(FRAME.data, PADDED, 1, Buffer.from([3, 0, 0, 0])),
  },
];

async function start(t: TestContext, url: string, overrides: Partial<EntryPointConfiguration> = {}) {
  const { log, lines } = rememberingLogger();
  const { port } = await startDataPlane(
    t,
    staticConfiguration([entryPoint('web', overrides)]),
    table([router('all', 'PathPrefix(`/`)', 'app')], [service('app', [url])]),
    log,
  );
  return { lines, open: async () => new FrameClient(await connect(t, port('web'))) };
}

/** Sends until the connection is closed, or there were so many bytes; returns how many. */
async function flood({ peer }: FrameClient, { first, make }: Flood, limit: number): Promise<number> {
  const streams = new Streams();
  if (first !== undefined) peer.socket.write(first);
  let sent = 0;
  while (!peer.isClosed && sent < limit) {
    const frames = burst(() => make(streams));
    sent += frames.length;
    peer.socket.write(frames);
    await new Promise((resolve) => setImmediate(resolve));
    if (peer.socket.writableNeedDrain)
      await until(() => peer.isClosed || !peer.socket.writableNeedDrain, 'the proxy to read on');
  }
  return sent;
}

describe('a flood over HTTP/2', () => {
  for (const one of FLOODS)
    it(`ends the connection of a client that sends ${one.name}`, async (t) => {
      const server = await startByteServer(t);
      const { http2 } = entryPoint('web');
      const { lines, open } = await start(t, server.url, { http2: { ...http2, maxConcurrentStreams: 2 } });
      const client = await open();
      if (!one.takesAnswers) {
        client.peer.socket.removeAllListeners('data');
        client.peer.socket.pause();
      }
      await flood(client, one, ENDLESS);
      await client.peer.closed();
      await until(() => lines.length > 0, 'a line of the log');
      assert.deepEqual(
        lines.map(({ code, client: address }) => [code, address]),
        [['JTP_ERR_HTTP2_FLOOD', '127.0.0.1']],
      );
      assert.ok(server.accepted <= 2, `${String(server.accepted)} requests`);
    });

  it('ends a connection that opens and cancels without end (CVE-2023-44487)', async (t) => {
    const server = await startByteServer(t);
    const { lines, open } = await start(t, server.url);
    const client = await open();
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
    assert.deepEqual(
      lines.map(({ code }) => code),
      ['JTP_ERR_HTTP2_RESETS'],
    );
  });

  for (const one of MEANINGLESS)
    it(`of ${one.name} takes no memory, and requests are answered afterwards`, async (t) => {
      const recorder = await startRecorder(t);
      const { lines, open } = await start(t, recorder.url);
      const client = await open();
      const more = { ...one, first: Buffer.alloc(0) };
      for (let frames = 0; frames < TOLERATED; frames += BURST)
        await flood(client, frames === 0 ? one : more, 1);
      client.send(frame(FRAME.headers, END_HEADERS | END_STREAM, 3, GET));
      assert.equal(await client.answer(3), 'status 200');
      await flood(client, more, 1024 * 1024);
      const before = process.memoryUsage().rss;
      const bytes = 8 * 1024 * 1024;
      let sent = await flood(client, more, bytes);
      let last = client;
      while (sent < bytes) {
        assert.ok(one.isLimited, `ended after ${String(sent)} bytes`);
        assert.equal(await last.ending(), 'goaway ENHANCE_YOUR_CALM');
        last = await open();
        sent += await flood(last, one, bytes - sent);
      }
      const grown = process.memoryUsage().rss - before;
      last.send(frame(FRAME.headers, END_HEADERS | END_STREAM, 2 ** 31 - 1, GET));
      let answer = await last.answer(2 ** 31 - 1);
      if (one.isLimited && answer === 'goaway ENHANCE_YOUR_CALM') {
        last = await open();
        last.send(frame(FRAME.headers, END_HEADERS | END_STREAM, 1, GET));
        answer = await last.answer(1);
      }
      assert.equal(answer, 'status 200');
      // Of a frame that stayed, something like its own size would.
      assert.ok(grown < 4 * bytes, `${String(grown)} bytes for ${String(bytes)}`);
      assert.deepEqual(lines, []);
      last.peer.socket.destroy();
      await until(
        () => recorder.connections.every(({ isClosed, requests }) => isClosed || requests.length > 0),
        'the requests of connections that have ended to end',
      );
    });

  for (const one of [...MEANINGLESS, ...FLOODS].filter(
    ({ first, name }) => first === undefined && !name.startsWith('requests'),
  ))
    it(`of ${one.name.replace(/,.*/, '')} does not keep an idle connection open`, async (t) => {
      const { transport } = entryPoint('web');
      const respondingTimeouts = { readTimeoutMs: 600, writeTimeoutMs: 0, idleTimeoutMs: 600 };
      const { open } = await start(t, 'http://127.0.0.1:9', {
        transport: { ...transport, respondingTimeouts },
      });
      const client = await open();
      const streams = new Streams();
      const dripping = setInterval(() => {
        client.send(one.make(streams));
      }, 20);
      t.after(() => {
        clearInterval(dripping);
      });
      assert.equal(await client.ending(), 'goaway NO_ERROR');
    });

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
