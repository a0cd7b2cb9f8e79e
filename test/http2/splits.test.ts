// Whatever pieces the network makes of an exchange, its result is the same.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { startProxyTo } from '../support/data-plane.ts';
import {
  END_HEADERS,
  END_STREAM,
  FRAME,
  FrameClient,
  frame,
  headerBlock,
  PREFACE,
  requestFields,
  settings,
  word,
} from '../support/http2-frames.ts';
import { startRecorder } from '../support/recorder.ts';
import type { Recorder } from '../support/recorder.ts';
import { connect } from '../support/sockets.ts';
import type { Peer } from '../support/sockets.ts';

/** A head in two frames, a body in two with padding, trailers; on the way frames that need no answer, and a second request. */
function sample(): Buffer {
  const head = headerBlock(requestFields({ ':method': 'POST', ':path': '/one?x=1' }, [['cookie', 'a=1']]));
  const padded = Buffer.concat([Buffer.from([3]), Buffer.from('bo'), Buffer.alloc(3)]);
  return Buffer.concat([
    Buffer.from(PREFACE, 'latin1'),
    frame(FRAME.settings, 0, 0, settings([3, 100])),
    frame(FRAME.headers, 0, 1, head.subarray(0, 20)),
    frame(FRAME.continuation, END_HEADERS, 1, head.subarray(20)),
    frame(FRAME.priority, 0, 3, Buffer.concat([word(0), Buffer.from([16])])),
    frame(FRAME.data, 8, 1, padded),
    frame(FRAME.window, 0, 0, word(1000)),
    frame(FRAME.data, 0, 1, Buffer.from('dy')),
    frame(FRAME.headers, END_HEADERS | END_STREAM, 3, headerBlock(requestFields({ ':path': '/two' }))),
    frame(FRAME.headers, END_HEADERS | END_STREAM, 1, headerBlock([['x-sum', '7']])),
  ]);
}

interface Result {
  readonly requests: readonly string[];
  readonly answers: readonly string[];
}

/** Sends the sample in the given pieces and waits for both answers. */
async function exchange(
  t: TestContext,
  port: number,
  recorder: Recorder,
  pieces: readonly Buffer[],
): Promise<Result> {
  const before = recorder.arrived.length;
  const peer = await connect(t, port);
  for (const piece of pieces) {
    peer.socket.write(piece);
    // The proxy is in this process: what is on the wire has been read two turns later.
    for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
  const answers = await bothAnswers(peer);
  peer.socket.destroy();
  const requests = recorder.arrived
    .slice(before)
    .map(({ method, target, body, headers, trailers }) =>
      [method, target, body, ...headers, ...trailers].join('\n'),
    );
  return { requests: requests.sort(), answers };
}

async function bothAnswers(peer: Peer): Promise<string[]> {
  const client = new FrameClient(peer, { isGreeted: true });
  const bodies = new Map<number, string>();
  for (let open = 2; open > 0;) {
    const { type, flags, stream, payload } = await client.next();
    if (type !== FRAME.data) continue;
    bodies.set(stream, (bodies.get(stream) ?? '') + payload.toString('latin1'));
    if ((flags & END_STREAM) !== 0) open--;
  }
  return [...bodies].map(([stream, body]) => `${String(stream)} ${body}`).sort();
}

describe('an HTTP/2 exchange', () => {
  it('has the same result wherever its bytes are split', async (t) => {
    const recorder = await startRecorder(t);
    const { port } = await startProxyTo(t, recorder.url);
    const bytes = sample();
    const wanted = await exchange(t, port, recorder, [bytes]);
    assert.deepEqual(wanted.answers, ['1 POST /one?x=1', '3 GET /two']);
    assert.match(wanted.requests[1] ?? '', /^POST\n\/one\?x=1\nbody\n[^]*cookie: a=1[^]*\nx-sum: 7$/);
    for (let at = 1; at < bytes.length; at++)
      assert.deepEqual(
        await exchange(t, port, recorder, [bytes.subarray(0, at), bytes.subarray(at)]),
        wanted,
        `split at ${String(at)}`,
      );
    const single = [...bytes].map((byte) => Buffer.from([byte]));
    assert.deepEqual(await exchange(t, port, recorder, single), wanted);
    assert.deepEqual(recorder.problems, []);
  });
});

describe('a request of HTTP/1.1 that begins like the preface of HTTP/2', () => {
  it('is one wherever it is split', async (t) => {
    const recorder = await startRecorder(t);
    const { port } = await startProxyTo(t, recorder.url);
    for (const method of ['POST', 'PUT', 'PROPFIND']) {
      const text = `${method} /plain HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nok`;
      for (const at of [1, 2, 3, 4, 5]) {
        const peer = await connect(t, port);
        peer.send(text.slice(0, at));
        for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
        peer.send(text.slice(at));
        assert.match(await peer.readHead(), /^HTTP\/1\.1 200 /);
        peer.socket.destroy();
      }
    }
    assert.deepEqual(recorder.requests.at(-1), 'PROPFIND /plain ok');
  });
});
