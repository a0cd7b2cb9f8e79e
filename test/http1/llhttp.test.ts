import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Llhttp, LLHTTP_OK, LLHTTP_PAUSED, LLHTTP_REQUEST, LLHTTP_RESPONSE } from '../../src/http1/llhttp.ts';
import type { LlhttpEvents } from '../../src/http1/llhttp.ts';

/** Every event as a line of text. */
function recorder(text: string): { readonly events: LlhttpEvents; readonly lines: string[] } {
  const lines: string[] = [];
  const note = (what: string) => (start: number, length: number) => {
    lines.push(`${what} ${text.slice(start, start + length)}`);
  };
  return {
    lines,
    events: {
      onUrl: note('url'),
      onStatus: note('status'),
      onHeaderField: note('field'),
      onHeaderValue: note('value'),
      onHeadersComplete: (status) => lines.push(`head ${String(status)}`),
      onBody: note('body'),
    },
  };
}

// The WASM build of the pinned package has the imports, exports and constants that this project relies on.
describe('the WASM build of llhttp', () => {
  it('tells a request by its events, and pauses after the head and after the end', () => {
    const text = 'POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\nGET';
    const parser = new Llhttp(LLHTTP_REQUEST);
    const { events, lines } = recorder(text);
    const bytes = Buffer.from(text, 'latin1');
    assert.equal(parser.execute(events, bytes, 0, bytes.length), LLHTTP_PAUSED);
    const head = parser.consumed();
    assert.equal(text.slice(0, head).endsWith('\r\n\r\n'), true);
    assert.equal(parser.method(), 'POST');
    assert.equal(parser.version(), 11);
    parser.resume();
    const rest = recorder(text.slice(head));
    assert.equal(parser.execute(rest.events, bytes, head, bytes.length), LLHTTP_PAUSED);
    assert.equal(text.slice(head + parser.consumed()), 'GET');
    assert.deepEqual(
      [...lines, ...rest.lines],
      ['url /a', 'field Transfer-Encoding', 'value chunked', 'head 0', 'body ab'],
    );
    parser.free();
  });

  it('tells a response by its events', () => {
    const text = 'HTTP/1.0 404 Not Found\r\nA: b\r\n\r\n';
    const parser = new Llhttp(LLHTTP_RESPONSE);
    const { events, lines } = recorder(text);
    assert.equal(parser.execute(events, Buffer.from(text), 0, text.length), LLHTTP_PAUSED);
    assert.deepEqual(lines, ['status Not Found', 'field A', 'value b', 'head 404']);
    assert.equal(parser.version(), 10);
    parser.free();
  });

  it('is ready for another message after an error', () => {
    const parser = new Llhttp(LLHTTP_REQUEST);
    const { events } = recorder('');
    const bad = Buffer.from('@');
    assert.ok(![LLHTTP_OK, LLHTTP_PAUSED].includes(parser.execute(events, bad, 0, 1)));
    assert.notEqual(parser.reason(), '');
    parser.reset();
    const good = Buffer.from('GET / HTTP/1.1\r\n\r\n');
    assert.equal(parser.execute(events, good, 0, good.length), LLHTTP_PAUSED);
    parser.free();
  });
});
