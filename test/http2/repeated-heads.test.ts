// A connection remembers its last head. What the server is sent, and what is refused, must not depend on it: each head is sent on a new
// connection, and after another one.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { entryPoint } from '../support/data-plane.ts';
import { END_STREAM, FRAME, FrameClient, frame, requestFields } from '../support/http2-frames.ts';
import { startRecorder } from '../support/recorder.ts';
import { startTlsProxyTo } from '../support/tls.ts';

type Fields = readonly (readonly [string, string])[];

const MAX_HEAD = 2048;
/** Status 200. Source: RFC 7541 appendix A. */
const OK = 0x88;
/** The table of the answers' heads has shrunk to nothing. Source: RFC 7541 §6.3. */
const TABLE_IS_EMPTY = 0x20;
const FILLER = ['x-fill', 'f'.repeat(1000)] as const;
const BASE = requestFields({ ':path': '/base' }, [['accept', '*/*'], ['cookie', 'a=1'], FILLER]);

/** Heads that are alike but for one thing, and whether they reach the server. */
const HEADS: readonly { readonly name: string; readonly fields: Fields; readonly passes: boolean }[] = [
  { name: 'the same', fields: BASE, passes: true },
  { name: 'another path', fields: changed(':path', '/other?q=%20'), passes: true },
  { name: 'a shorter path', fields: changed(':path', '/'), passes: true },
  { name: 'a path in absolute form', fields: changed(':path', 'http://other.example/x'), passes: false },
  { name: 'no path', fields: changed(':path', ''), passes: false },
  { name: 'an asterisk', fields: changed(':path', '*'), passes: false },
  { name: 'a relative path', fields: changed(':path', 'x/y'), passes: false },
  { name: 'a path with a control character', fields: changed(':path', '/x\x7f'), passes: false },
  {
    name: 'a path that fills the head',
    fields: changed(':path', `/${'p'.repeat(MAX_HEAD - 1080)}`),
    passes: true,
  },
  {
    name: 'a path that is too much for the head',
    fields: changed(':path', `/${'p'.repeat(MAX_HEAD - 1000)}`),
    passes: false,
  },
  { name: 'another authority', fields: changed(':authority', 'other.example'), passes: true },
  { name: 'a malformed authority', fields: changed(':authority', 'hub/x'), passes: false },
  { name: 'another method', fields: changed(':method', 'DELETE'), passes: true },
  { name: 'an unknown method', fields: changed(':method', 'FETCH'), passes: false },
  { name: 'another value', fields: changed('cookie', 'a=2'), passes: true },
  { name: 'another name', fields: BASE.map(([n, v]) => [n === 'accept' ? 'accepx' : n, v]), passes: true },
  { name: 'one more', fields: [...BASE, ['x-more', '1']], passes: true },
  { name: 'one less', fields: BASE.slice(0, -1), passes: true },
  { name: 'another order', fields: [...BASE.slice(0, -2), ...BASE.slice(-2).reverse()], passes: true },
  { name: 'a host that differs', fields: [...BASE, ['host', 'evil']], passes: false },
];

function changed(name: string, value: string): Fields {
  return BASE.map(([before, old]) => [before, before === name ? value : old]);
}

/** A client to whom nothing may be said by reference to an earlier answer. Source: RFC 9113 §6.5.2, SETTINGS_HEADER_TABLE_SIZE. */
async function connectPlain(t: TestContext, port: number): Promise<FrameClient> {
  const client = await FrameClient.connect(t, port);
  client.send(frame(FRAME.settings, 0, 0, Buffer.from([0, 1, 0, 0, 0, 0])));
  return client;
}

/** The bytes that say the status, or that there is none. */
async function outcomeOf(client: FrameClient, stream: number): Promise<string> {
  for (;;) {
    const { type, stream: id, payload } = await client.next();
    if (id !== stream) continue;
    if (type === FRAME.reset) return 'reset';
    if (type !== FRAME.headers) continue;
    const from = payload[0] === TABLE_IS_EMPTY ? 1 : 0;
    return payload.toString('hex', from, from + (payload[from] === OK ? 1 : 4));
  }
}

describe('a head of a connection that has had another one', () => {
  it('becomes what it would have become as the first', async (t) => {
    const server = await startRecorder(t);
    const { http } = entryPoint('web');
    const { port } = await startTlsProxyTo(t, server.url, { http: { ...http, maxHeaderBytes: MAX_HEAD } });
    for (const { name, fields, passes } of HEADS) {
      const fresh = await connectPlain(t, port);
      const outcome = await outcomeOf(fresh, fresh.request(fields));
      const expected = server.arrived.splice(0);
      assert.equal(expected.length, passes ? 1 : 0, name);
      for (const before of [BASE, fields]) {
        const used = await connectPlain(t, port);
        await outcomeOf(used, used.request(before));
        server.arrived.splice(0);
        assert.equal(await outcomeOf(used, used.request(fields)), outcome, `${name}, after another`);
        assert.deepEqual(server.arrived.splice(0), expected, `${name}, after another`);
        used.peer.socket.destroy();
      }
      fresh.peer.socket.destroy();
    }
    assert.deepEqual(server.problems, []);
  });

  it('has a body of its own', async (t) => {
    const server = await startRecorder(t);
    const { port } = await startTlsProxyTo(t, server.url);
    const client = await FrameClient.connect(t, port);
    const fields = requestFields({ ':method': 'POST', ':path': '/' });
    for (const hasBody of [false, true, false, true, true]) {
      const stream = client.request(fields, hasBody ? 0 : END_STREAM);
      if (hasBody) client.send(frame(FRAME.data, END_STREAM, stream, Buffer.from('body')));
      await outcomeOf(client, stream);
    }
    assert.deepEqual(server.requests, ['POST /', 'POST / body', 'POST /', 'POST / body', 'POST / body']);
  });
});
