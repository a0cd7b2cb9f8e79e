import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { lastChunk } from '../../src/http1/response-writer.ts';

describe('lastChunk', () => {
  const cases: readonly {
    readonly name: string;
    readonly trailers: readonly (readonly [string, string])[];
    readonly want: string;
  }[] = [
    { name: 'is short without trailers', trailers: [], want: '0\r\n\r\n' },
    {
      name: 'passes trailers in their order',
      trailers: [
        ['X-B', ' 1 '],
        ['x-a', ''],
      ],
      want: '0\r\nX-B: 1\r\nx-a: \r\n\r\n',
    },
    ...[
      'Content-Length',
      'transfer-encoding',
      'Host',
      'Connection',
      'Upgrade',
      'Trailer',
      'TE',
      'Authorization',
      'Cookie',
      'Set-Cookie',
      'Content-Type',
      'Proxy-Authenticate',
      'X-Forwarded-For',
      'X-Real-Ip',
    ].map((name) => ({ name: `leaves out ${name}`, trailers: [[name, 'x']] as const, want: '0\r\n\r\n' })),
  ];
  for (const { name, trailers, want } of cases)
    it(name, () => {
      assert.equal(lastChunk(trailers), want);
    });
});
