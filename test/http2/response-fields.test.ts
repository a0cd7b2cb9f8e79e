import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { responseFields } from '../../src/http2/response-fields.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function heapUsed(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

describe('the fields of a response', () => {
  it('are the lines, in lower case, repeated ones in a list', () => {
    assert.deepEqual(
      { ...responseFields(200, 'Content-Type: text/plain\r\nX-A: 1\r\nx-a:  2 \r\nConnection: x\r\n') },
      { ':status': '200', 'content-type': 'text/plain', 'x-a': ['1', '2'] },
    );
  });

  it('keep no head in memory for the names in it, however many a server makes up', () => {
    const filler = 'x'.repeat(500_000);
    const before = heapUsed();
    for (let index = 0; index < 200; index++) {
      const lines = Buffer.from(
        `X-Made-Up-Name-${String(index)}: 1\r\n${'X-Long-'.repeat(20)}${String(index)}: ${filler}\r\n`,
      );
      responseFields(200, lines.toString('latin1'));
    }
    const grown = heapUsed() - before;
    assert.ok(grown < 10_000_000, `${String(grown)} bytes more`);
  });
});
