// Heads of answers larger than clients usually take, and larger than this one says it does.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startByteServer } from '../support/sockets.ts';
import { answerOf, connectHttp2, startTlsProxyTo } from '../support/tls.ts';

/** Fields of so many bytes in all. */
function lines(count: number, each: number): string {
  return Array.from({ length: count }, (_, index) => `X-${String(index)}: ${'v'.repeat(each)}\r\n`).join('');
}

describe('a large head of an answer over HTTP/2', () => {
  for (const [name, head] of [
    ['in several fields', lines(4, 30_000)],
    ['in one field', lines(1, 65_000)],
    ['in many fields', lines(900, 80)],
  ] as const)
    it(`reaches a client that takes it, ${name}`, async (t) => {
      const server = await startByteServer(t);
      const { port } = await startTlsProxyTo(t, server.url);
      const client = await connectHttp2(t, port, {
        settings: { maxHeaderListSize: 1_000_000 },
        maxHeaderListPairs: 2000,
      });
      const answer = answerOf(client.request({ ':path': '/' }));
      const peer = await server.accept();
      await peer.readHead();
      peer.send(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n${head}\r\nok`);
      const { status, headers, body } = await answer;
      assert.deepEqual([status, body], [200, 'ok']);
      assert.equal(headers['x-0']?.length, head.indexOf('\r\n') - 'X-0: '.length);
    });

  it('is 502 for a client that does not take it, and its connection goes on', async (t) => {
    const server = await startByteServer(t);
    const { port } = await startTlsProxyTo(t, server.url);
    const client = await connectHttp2(t, port, { settings: { maxHeaderListSize: 20_000 } });
    const limit =
      20_000 - ':status200'.length - 'content-length2'.length - 'date'.length - 29 - 'x-0'.length - 4 * 32;
    for (const [each, expected] of [
      [limit + 1, 502],
      [limit, 200],
    ] as const) {
      const answer = answerOf(client.request({ ':path': '/' }));
      const peer = await server.accept();
      await peer.readHead();
      peer.send(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n${lines(1, each)}\r\nok`);
      assert.equal((await answer).status, expected);
    }
  });
});
