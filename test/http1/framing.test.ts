import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { responseFraming, responsePersistence } from '../../src/http1/framing.ts';
import type { Framing } from '../../src/http1/framing.ts';
import { HttpParser } from '../../src/http1/parser.ts';
import { LIMITS } from '../support/parsing.ts';

function withHead<T>(text: string, use: (parser: HttpParser) => T): T {
  const parser = new HttpParser('response', LIMITS);
  try {
    parser.readHead(Buffer.from(text, 'latin1'), 0);
    return use(parser);
  } finally {
    parser.free();
  }
}

describe('responseFraming', () => {
  const cases: readonly {
    readonly name: string;
    readonly head: string;
    readonly method?: string;
    readonly want: Framing;
  }[] = [
    { name: 'a length', head: '200 OK\r\nContent-Length: 3', want: { name: 'length', length: 3 } },
    { name: 'a length of zero', head: '200 OK\r\nContent-Length: 0', want: { name: 'none' } },
    { name: 'chunks', head: '200 OK\r\nTransfer-Encoding: chunked', want: { name: 'chunked' } },
    { name: 'nothing', head: '200 OK', want: { name: 'until-close' } },
    { name: 'HEAD', method: 'HEAD', head: '200 OK\r\nContent-Length: 3', want: { name: 'none' } },
    {
      name: 'HEAD with chunks',
      method: 'HEAD',
      head: '200 OK\r\nTransfer-Encoding: chunked',
      want: { name: 'none' },
    },
    { name: '204', head: '204 No Content', want: { name: 'none' } },
    {
      name: '204 that speaks of a body',
      head: '204 No Content\r\nContent-Length: 3',
      want: { name: 'none' },
    },
    { name: '304', head: '304 Not Modified\r\nContent-Length: 3', want: { name: 'none' } },
    { name: '103', head: '103 Early Hints', want: { name: 'none' } },
  ];
  for (const { name, head, method = 'GET', want } of cases)
    it(name, () => {
      const found = withHead(`HTTP/1.1 ${head}\r\n\r\n`, (parser) => responseFraming(parser.head, method));
      assert.deepEqual(found, want);
    });
});

describe('responsePersistence', () => {
  const cases: readonly {
    readonly head: string;
    readonly keepAlive: boolean;
    readonly timeoutMs?: number;
  }[] = [
    { head: 'HTTP/1.1 200 OK', keepAlive: true },
    { head: 'HTTP/1.1 200 OK\r\nConnection: close', keepAlive: false },
    { head: 'HTTP/1.1 200 OK\r\nConnection: x, Close', keepAlive: false },
    { head: 'HTTP/1.1 200 OK\r\nConnection: closed', keepAlive: true },
    { head: 'HTTP/1.0 200 OK', keepAlive: false },
    { head: 'HTTP/1.0 200 OK\r\nConnection: keep-alive', keepAlive: true },
    { head: 'HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5, max=9', keepAlive: true, timeoutMs: 4000 },
    // A server that keeps it for a second keeps it for too short a time.
    { head: 'HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1', keepAlive: false, timeoutMs: 0 },
  ];
  for (const { head, keepAlive, timeoutMs } of cases)
    it(JSON.stringify(head), () => {
      const found = withHead(`${head}\r\n\r\n`, (parser) => responsePersistence(parser.head));
      assert.deepEqual(found, { keepAlive, timeoutMs });
    });
});
