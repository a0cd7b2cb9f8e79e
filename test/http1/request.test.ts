import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ProxyError } from '../../src/errors.ts';
import { HttpParser } from '../../src/http1/parser.ts';
import { readRequest } from '../../src/http1/request.ts';
import type { Request } from '../../src/http1/request.ts';
import { LIMITS } from '../support/parsing.ts';

function read(text: string): Request {
  const parser = new HttpParser('request', LIMITS);
  try {
    parser.readHead(Buffer.from(text, 'latin1'), 0);
    return readRequest(parser.head);
  } finally {
    parser.free();
  }
}

const GET = 'GET / HTTP/1.1\r\nHost: h\r\n';

describe('what a head means', () => {
  const cases: readonly { readonly name: string; readonly text: string; readonly want: Partial<Request> }[] =
    [
      {
        name: 'a plain request',
        text: 'GET /a?b HTTP/1.1\r\nHost: h:80\r\n\r\n',
        want: {
          method: 'GET',
          target: '/a?b',
          host: 'h:80',
          replacesHost: false,
          version: 11,
          framing: { name: 'none' },
          keepAlive: true,
          upgrade: undefined,
          hopByHop: undefined,
          expectsContinue: false,
        },
      },
      {
        name: 'the host of an absolute target before Host',
        text: 'GET http://o:1/a?b HTTP/1.1\r\nHost: h\r\n\r\n',
        want: { host: 'o:1', target: '/a?b', replacesHost: true },
      },
      {
        name: 'an absolute target without a path',
        text: 'GET http://o HTTP/1.1\r\nHost: h\r\n\r\n',
        want: { host: 'o', target: '/' },
      },
      {
        name: 'an absolute target with nothing but a query',
        text: 'GET http://o?q HTTP/1.1\r\nHost: h\r\n\r\n',
        want: { host: 'o', target: '/?q' },
      },
      { name: 'the asterisk', text: 'OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n', want: { target: '*' } },
      { name: 'an empty Host', text: 'GET / HTTP/1.1\r\nHost:\r\n\r\n', want: { host: '' } },
      { name: 'an IPv6 host', text: 'GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n', want: { host: '[::1]:80' } },
      {
        name: 'HTTP/1.0 without Host',
        text: 'GET / HTTP/1.0\r\n\r\n',
        want: { host: '', replacesHost: true, keepAlive: false, version: 10 },
      },
      {
        name: 'HTTP/1.0 that wants to stay',
        text: 'GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n',
        want: { keepAlive: true },
      },
      {
        name: 'HTTP/1.0 that wants both',
        text: 'GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n',
        want: { keepAlive: false },
      },
      { name: 'close', text: `${GET}Connection: CLOSE\r\n\r\n`, want: { keepAlive: false } },
      {
        name: 'close in a second Connection',
        text: `${GET}Connection: x\r\nConnection: close\r\n\r\n`,
        want: { keepAlive: false, hopByHop: ['x'] },
      },
      {
        name: 'options of Connection, each once',
        text: `${GET}Connection: A, b ,, a,keep-alive\r\n\r\n`,
        want: { keepAlive: true, hopByHop: ['a', 'b'] },
      },
      {
        name: 'a length',
        text: `${GET}Content-Length: 5\r\n\r\n`,
        want: { framing: { name: 'length', length: 5 } },
      },
      {
        name: 'a length of zero',
        text: `${GET}Content-Length: 0\r\n\r\n`,
        want: { framing: { name: 'none' } },
      },
      {
        name: 'chunks',
        text: `${GET}Transfer-Encoding: Chunked\r\n\r\n`,
        want: { framing: { name: 'chunked' } },
      },
      {
        name: 'an upgrade',
        text: `${GET}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n`,
        want: { upgrade: 'websocket' },
      },
      {
        name: 'an upgrade that Connection does not name',
        text: `${GET}Upgrade: websocket\r\n\r\n`,
        want: { upgrade: undefined },
      },
      {
        name: 'an upgrade with a body',
        text: `${GET}Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\n`,
        want: { upgrade: undefined },
      },
      {
        name: 'an upgrade in HTTP/1.0',
        text: 'GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n',
        want: { upgrade: undefined },
      },
      {
        name: 'an upgrade to cleartext HTTP/2',
        text: `${GET}Connection: upgrade\r\nUpgrade: H2C\r\n\r\n`,
        want: { upgrade: undefined },
      },
      {
        name: 'a choice of upgrades',
        text: `${GET}Connection: upgrade\r\nUpgrade: a, b\r\n\r\n`,
        want: { upgrade: undefined },
      },
      {
        name: 'two upgrades',
        text: `${GET}Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n\r\n`,
        want: { upgrade: undefined },
      },
      {
        name: 'an expectation',
        text: `${GET}Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n`,
        want: { expectsContinue: true, hopByHop: undefined },
      },
      {
        name: 'an expectation without a body',
        text: `${GET}Expect: 100-continue\r\n\r\n`,
        want: { expectsContinue: false },
      },
      {
        name: 'an expectation in HTTP/1.0, which the server must not see',
        text: 'POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n',
        want: { expectsContinue: false, hopByHop: ['expect'] },
      },
    ];
  for (const { name, text, want } of cases)
    it(name, () => {
      const request = read(text);
      const found: Record<string, unknown> = {};
      for (const key of Object.keys(want)) found[key] = request[key as keyof Request];
      assert.deepEqual(found, want);
    });
});

describe('what is refused', () => {
  const names = (count: number): string =>
    Array.from({ length: count }, (_, at) => `x${String(at)}`).join(', ');
  const cases: readonly {
    readonly name: string;
    readonly text: string;
    readonly code: string;
    readonly status: number;
  }[] = [
    { name: 'no Host', text: 'GET / HTTP/1.1\r\n\r\n', code: 'JTP_ERR_HTTP_HOST', status: 400 },
    {
      name: 'an absolute target without a host',
      text: 'GET http:///a HTTP/1.1\r\nHost: h\r\n\r\n',
      code: 'JTP_ERR_HTTP_TARGET',
      status: 400,
    },
    { name: 'two Hosts', text: `${GET}Host: h\r\n\r\n`, code: 'JTP_ERR_HTTP_HOST', status: 400 },
    {
      name: 'a list of hosts',
      text: 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n',
      code: 'JTP_ERR_HTTP_HOST',
      status: 400,
    },
    {
      name: 'a host with a path',
      text: 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n',
      code: 'JTP_ERR_HTTP_HOST',
      status: 400,
    },
    {
      name: 'a host with a user',
      text: 'GET / HTTP/1.1\r\nHost: a@b\r\n\r\n',
      code: 'JTP_ERR_HTTP_HOST',
      status: 400,
    },
    {
      name: 'a host with a word for a port',
      text: 'GET / HTTP/1.1\r\nHost: a:b\r\n\r\n',
      code: 'JTP_ERR_HTTP_HOST',
      status: 400,
    },
    {
      name: 'a host with two ports',
      text: 'GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n',
      code: 'JTP_ERR_HTTP_HOST',
      status: 400,
    },
    {
      name: 'a host beyond ASCII',
      text: 'GET / HTTP/1.1\r\nHost: \xe7\r\n\r\n',
      code: 'JTP_ERR_HTTP_HOST',
      status: 400,
    },
    {
      name: 'a backslash in a host',
      text: 'GET / HTTP/1.1\r\nHost: a\\b\r\n\r\n',
      code: 'JTP_ERR_HTTP_HOST',
      status: 400,
    },
    {
      name: 'the asterisk with GET',
      text: 'GET * HTTP/1.1\r\nHost: h\r\n\r\n',
      code: 'JTP_ERR_HTTP_TARGET',
      status: 400,
    },
    {
      name: 'another scheme',
      text: 'GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n',
      code: 'JTP_ERR_HTTP_TARGET',
      status: 400,
    },
    {
      name: 'a user in an absolute target',
      text: 'GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n',
      code: 'JTP_ERR_HTTP_TARGET',
      status: 400,
    },
    {
      name: 'CONNECT',
      text: 'CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n',
      code: 'JTP_ERR_HTTP_METHOD',
      status: 501,
    },
    { name: 'HTTP/0.9', text: 'GET / HTTP/0.9\r\n\r\n', code: 'JTP_ERR_HTTP_VERSION', status: 505 },
    {
      name: 'HTTP/2.0',
      text: 'GET / HTTP/2.0\r\nHost: h\r\n\r\n',
      code: 'JTP_ERR_HTTP_VERSION',
      status: 505,
    },
    {
      name: 'another expectation',
      text: `${GET}Expect: tea\r\n\r\n`,
      code: 'JTP_ERR_HTTP_EXPECTATION',
      status: 417,
    },
    {
      name: '51 connection options',
      text: `${GET}Connection: ${names(51)}\r\n\r\n`,
      code: 'JTP_ERR_HTTP_HEADER_OVERFLOW',
      status: 431,
    },
    {
      name: '51 connection options in two headers',
      text: `${GET}Connection: ${names(50)}\r\nConnection: y\r\n\r\n`,
      code: 'JTP_ERR_HTTP_HEADER_OVERFLOW',
      status: 431,
    },
    // Comparing each of them with each header would take minutes.
    {
      name: 'nothing but commas',
      text: `${GET}Connection: ${','.repeat(30_000)}\r\n\r\n`,
      code: 'JTP_ERR_HTTP_HEADER_OVERFLOW',
      status: 431,
    },
  ];
  for (const { name, text, code, status } of cases)
    it(name, () => {
      assert.throws(
        () => read(text),
        (error: unknown) => {
          assert.ok(error instanceof ProxyError);
          assert.equal(error.code, code);
          assert.equal(error.status, status);
          return true;
        },
      );
    });

  it('takes 50 connection options', () => {
    assert.equal(read(`${GET}Connection: ${names(50)}\r\n\r\n`).hopByHop?.length, 50);
  });
});
