// How a connection begins: what was agreed on in the TLS handshake is what is spoken, and whoever does not go on is not waited for.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import type { EntryPointConfiguration } from '../../src/config/static.ts';
import { entryPoint, startProxyTo } from '../support/data-plane.ts';
import {
  END_HEADERS,
  END_STREAM,
  FRAME,
  FrameClient,
  frame,
  headerBlock,
  PREFACE,
  requestFields,
} from '../support/http2-frames.ts';
import { startRecorder } from '../support/recorder.ts';
import { connect } from '../support/sockets.ts';
import { connectTls, startTlsProxyTo } from '../support/tls.ts';

const GET = frame(FRAME.headers, END_HEADERS | END_STREAM, 1, headerBlock(requestFields()));
const OPENING = Buffer.concat([Buffer.from(PREFACE, 'latin1'), frame(FRAME.settings, 0, 0)]);

/** A connection may be idle for ever, but not say nothing. */
function impatient(): Partial<EntryPointConfiguration> {
  const { transport } = entryPoint('web');
  const respondingTimeouts = { readTimeoutMs: 600, writeTimeoutMs: 0, idleTimeoutMs: 0 };
  return { transport: { ...transport, respondingTimeouts } };
}

async function connectAs(t: TestContext, port: number, protocol: string | undefined) {
  if (protocol === undefined) return connect(t, port);
  const { peer } = await connectTls(t, port, { ALPNProtocols: [protocol] });
  return peer;
}

describe('a client that was to begin with the preface of HTTP/2', () => {
  for (const protocol of ['h2', undefined])
    for (const length of [0, 1, 14, 24, OPENING.length - 1]) {
      if (protocol === undefined && length >= PREFACE.length) continue;
      it(`is not waited for after ${String(length)} bytes of it, ${protocol ?? 'without TLS'}`, async (t) => {
        const recorder = await startRecorder(t);
        const { port } = await startTlsProxyTo(t, recorder.url, impatient());
        const peer = await connectAs(t, port, protocol);
        peer.socket.write(OPENING.subarray(0, length));
        await peer.readToEnd();
      });
    }

  it('may be idle after it', async (t) => {
    const recorder = await startRecorder(t);
    const { port } = await startProxyTo(t, recorder.url, impatient());
    const client = new FrameClient(await connect(t, port));
    const silent = await connect(t, port);
    // Accepted later, and given up for its silence: the other one would have been before.
    await silent.readToEnd();
    client.send(GET);
    assert.equal(await client.answer(1), 'status 200');
  });
});

describe('a client that speaks another protocol than was agreed on', () => {
  it('gets no answer to HTTP/1.1 where HTTP/2 was', async (t) => {
    const recorder = await startRecorder(t);
    const { port } = await startTlsProxyTo(t, recorder.url);
    for (const text of ['GET / HTTP/1.1\r\nHost: h\r\n\r\n', 'PRI * HTTP/1.1\r\nHost: h\r\n\r\n', '\0']) {
      const peer = await connectAs(t, port, 'h2');
      const client = new FrameClient(peer, { isGreeted: true });
      peer.send(text);
      assert.equal(await client.ending(), 'goaway INTERNAL_ERROR');
      await peer.readToEnd();
    }
    assert.deepEqual(recorder.requests, []);
  });

  it('gets 505 to HTTP/2 where HTTP/1.1 was', async (t) => {
    const recorder = await startRecorder(t);
    const { port } = await startTlsProxyTo(t, recorder.url);
    const peer = await connectAs(t, port, 'http/1.1');
    peer.socket.write(Buffer.concat([OPENING, GET]));
    assert.match(await peer.readToEnd(), /^HTTP\/1\.1 (?:400|505) [^]*\r\nConnection: close\r\n/);
    assert.deepEqual([recorder.requests, recorder.problems], [[], []]);
  });
});
