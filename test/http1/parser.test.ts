import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { HttpParser } from '../../src/http1/parser.ts';
import { LIMITS, parse } from '../support/parsing.ts';

const REQUESTS: readonly { readonly name: string; readonly text: string }[] = [
  { name: 'a GET', text: 'GET /a?b=c HTTP/1.1\r\nHost: h\r\nX-A:  1 \r\nx-a: 2\r\nEmpty:\r\n\r\n' },
  { name: 'a request without headers', text: 'GET / HTTP/1.0\r\n\r\n' },
  { name: 'empty lines first', text: '\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n' },
  {
    name: 'bytes beyond ASCII in a value',
    text: 'GET / HTTP/1.1\r\nHost: h\r\nX: \xe7\xa7\x80\x80\xff\r\n\r\n',
  },
  { name: 'a length', text: 'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello' },
  {
    name: 'chunks with extensions and trailers',
    text: 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b;c="d"\r\nhello\r\n1\r\n \r\n05\r\nworld\r\n0;x\r\nX-T: 1\r\nX-Empty:\r\nX-U:  2 \r\n\r\n',
  },
  {
    name: 'pipelined requests',
    text: 'GET /1 HTTP/1.1\r\nHost: h\r\n\r\nPOST /2 HTTP/1.1\r\nContent-Length: 1\r\n\r\nxPUT /3 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\ny\r\n0\r\n\r\nDELETE /4 HTTP/1.1\r\n\r\n',
  },
  { name: 'an unknown method', text: 'FOO / HTTP/1.1\r\nHost: h\r\n\r\n' },
  { name: 'an unknown method that begins like a known one', text: 'GETS / HTTP/1.1\r\nHost: h\r\n\r\n' },
  { name: 'a lower-case method', text: 'get / HTTP/1.1\r\nHost: h\r\n\r\n' },
  { name: 'a bad header after a good one', text: 'GET / HTTP/1.1\r\nHost: h\r\nX : 1\r\n\r\n' },
  {
    name: 'a bad chunk size after a good one',
    text: 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nx\r\n',
  },
  {
    name: 'a chunk extension far too long, with a body after it',
    text: `POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;${'a'.repeat(17_000)}\r\nx\r\n1f4\r\n${'y'.repeat(500)}\r\n0\r\n\r\n`,
  },
  { name: 'a target with a fragment', text: 'GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n' },
];

const RESPONSES: readonly { readonly name: string; readonly text: string }[] = [
  { name: 'a length', text: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\r\n\r\nok' },
  { name: 'no reason', text: 'HTTP/1.1 204\r\nX: y\r\n\r\nHTTP/1.1 204 \r\n\r\n' },
  {
    name: 'interim responses',
    text: 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
  },
  {
    name: 'chunks',
    text: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: u\r\n\r\nHTTP/1.1 304 Not Modified\r\n\r\n',
  },
  { name: 'a body until the end', text: 'HTTP/1.0 200 OK\r\nA: b\r\n\r\nhello world' },
  { name: 'a control character in the reason', text: 'HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n' },
];

describe('any split of a message gives the same result', () => {
  for (const [kind, samples] of [
    ['request', REQUESTS],
    ['response', RESPONSES],
  ] as const)
    for (const { name, text } of samples)
      it(`${kind}: ${name}`, () => {
        const whole = parse(kind, text);
        // Long ones are cut where it matters: around their ends.
        const places = Array.from({ length: text.length }, (_, at) => at).filter(
          (at) => at < 300 || at > text.length - 600,
        );
        for (const at of places) assert.deepEqual(parse(kind, text, [at]), whole, `cut at ${String(at)}`);
        assert.deepEqual(parse(kind, text, places), whole, 'byte by byte');
      });

  it('holds for random messages and random splits', () => {
    const token = fc.stringMatching(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,12}$/);
    const value = fc.stringMatching(/^[\x21-\x7e\x80-\xff]([\x20-\x7e\t\x80-\xff]{0,20}[\x21-\x7e])?$/);
    const header = fc.tuple(
      token.filter((name) => !/^(?:content-length|transfer-encoding|connection|upgrade)$/i.test(name)),
      value,
    );
    const chunk = fc.stringMatching(/^[\x00-\xff]{1,40}$/);
    const message = fc.record({
      method: fc.constantFrom('GET', 'POST', 'DELETE', 'OPTIONS', 'PROPFIND'),
      target: fc.stringMatching(/^\/[a-zA-Z0-9/_.~%?&=-]{0,30}$/),
      headers: fc.array(header, { maxLength: 6 }),
      body: fc.oneof(
        fc.constant(undefined),
        fc.record({ length: fc.constant(true), chunks: fc.array(chunk, { maxLength: 1 }) }),
        fc.record({ length: fc.constant(false), chunks: fc.array(chunk, { maxLength: 5 }) }),
      ),
    });
    fc.assert(
      fc.property(
        fc.array(message, { minLength: 1, maxLength: 3 }),
        fc.array(fc.nat(), { maxLength: 12 }),
        (messages, seeds) => {
          const text = messages
            .map(({ method, target, headers, body }) => {
              const lines = headers.map(([name, field]) => `${name}: ${field}\r\n`).join('');
              const start = `${method} ${target} HTTP/1.1\r\nHost: h\r\n${lines}`;
              if (body === undefined) return `${start}\r\n`;
              const content = body.chunks.join('');
              if (body.length) return `${start}Content-Length: ${String(content.length)}\r\n\r\n${content}`;
              const chunks = body.chunks.map((part) => `${part.length.toString(16)}\r\n${part}\r\n`);
              return `${start}Transfer-Encoding: chunked\r\n\r\n${chunks.join('')}0\r\n\r\n`;
            })
            .join('');
          const whole = parse('request', text);
          assert.equal(whole.error, undefined);
          assert.deepEqual(
            whole.messages.map(({ first, body, isComplete }) => ({ first, body, isComplete })),
            messages.map(({ method, target, body }) => ({
              first: `${method} ${target} 11`,
              body: body?.chunks.join('') ?? '',
              isComplete: true,
            })),
          );
          const cuts = seeds.map((seed) => seed % text.length);
          assert.deepEqual(parse('request', text, cuts), whole);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('what is refused', () => {
  const requests: readonly { readonly name: string; readonly text: string; readonly error?: string }[] = [
    { name: 'two spaces before the target', text: 'GET  / HTTP/1.1\r\nHost: h\r\n\r\n' },
    { name: 'two spaces after the target', text: 'GET /  HTTP/1.1\r\nHost: h\r\n\r\n' },
    { name: 'a tab after the target', text: 'GET /\tHTTP/1.1\r\nHost: h\r\n\r\n' },
    { name: 'a space after the version', text: 'GET / HTTP/1.1 \r\nHost: h\r\n\r\n' },
    { name: 'a lone line feed before the request', text: '\nGET / HTTP/1.1\r\nHost: h\r\n\r\n' },
    { name: 'a lone carriage return before the request', text: '\rGET / HTTP/1.1\r\nHost: h\r\n\r\n' },
    { name: 'a lone line feed after an empty line', text: '\r\n\nGET / HTTP/1.1\r\nHost: h\r\n\r\n' },
    { name: 'a line feed alone after the request line', text: 'GET / HTTP/1.1\nHost: h\r\n\r\n' },
    { name: 'a line feed alone after a header', text: 'GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n' },
    { name: 'a line feed alone at the end', text: 'GET / HTTP/1.1\r\nHost: h\r\n\n' },
    { name: 'a carriage return alone in a value', text: 'GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n' },
    { name: 'two carriage returns at the end', text: 'GET / HTTP/1.1\r\nHost: h\r\n\r\r\n' },
    { name: 'a folded header', text: 'GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n' },
    { name: 'a header that is folded from its first line', text: 'GET / HTTP/1.1\r\nX:\r\n b\r\n\r\n' },
    { name: 'a blank before the first header', text: 'GET / HTTP/1.1\r\n X: a\r\n\r\n' },
    { name: 'a blank before the colon', text: 'GET / HTTP/1.1\r\nX : a\r\n\r\n' },
    { name: 'a tab before the colon', text: 'GET / HTTP/1.1\r\nX\t: a\r\n\r\n' },
    { name: 'a header without a name', text: 'GET / HTTP/1.1\r\n: a\r\n\r\n' },
    { name: 'a line without a colon', text: 'GET / HTTP/1.1\r\nX\r\n\r\n' },
    { name: 'a NUL in a value', text: 'GET / HTTP/1.1\r\nX: a\0b\r\n\r\n' },
    { name: 'a vertical tab in a value', text: 'GET / HTTP/1.1\r\nX: a\x0bb\r\n\r\n' },
    { name: 'DEL in a value', text: 'GET / HTTP/1.1\r\nX: a\x7f\r\n\r\n' },
    { name: 'a NUL in a name', text: 'GET / HTTP/1.1\r\nX\0: a\r\n\r\n' },
    { name: 'a target beyond ASCII', text: 'GET /\xe7 HTTP/1.1\r\n\r\n' },
    { name: 'no version', text: 'GET /\r\n\r\n' },
    { name: 'version 1.2', text: 'GET / HTTP/1.2\r\n\r\n' },
    { name: 'a version in lower case', text: 'GET / http/1.1\r\n\r\n' },
    { name: 'RTSP', text: 'DESCRIBE / RTSP/1.0\r\n\r\n' },
    { name: 'ICE', text: 'SOURCE / ICE/1.0\r\n\r\n' },
    { name: 'the preface of HTTP/2', text: 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' },
    { name: 'a TLS handshake', text: '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' },
    { name: 'a method nobody knows', text: 'BREW / HTTP/1.1\r\n\r\n', error: 'JTP_ERR_HTTP_METHOD' },
    {
      name: 'a length and a coding',
      text: 'POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
    },
    {
      name: 'a coding and a length',
      text: 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n',
    },
    { name: 'two equal lengths', text: 'POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n' },
    { name: 'a list of lengths', text: 'POST / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n' },
    { name: 'an empty length', text: 'POST / HTTP/1.1\r\nContent-Length:\r\n\r\n' },
    { name: 'a negative length', text: 'POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n' },
    {
      name: 'a length beyond 2^53',
      text: 'POST / HTTP/1.1\r\nContent-Length: 9007199254740993\r\n\r\n',
      error: 'JTP_ERR_HTTP_FRAMING',
    },
    { name: 'a coding with a tab', text: 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\t\r\n\r\n' },
    { name: 'a coding with a comma', text: 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked,\r\n\r\n' },
    { name: 'chunked twice', text: 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked, chunked\r\n\r\n' },
    { name: 'chunked and then another', text: 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n' },
    { name: 'identity', text: 'POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n' },
    { name: 'an unknown coding', text: 'POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n' },
    {
      name: 'a coding in HTTP/1.0',
      text: 'POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n',
      error: 'JTP_ERR_HTTP_FRAMING',
    },
  ];
  for (const { name, text, error } of requests)
    it(`request: ${name}`, () => {
      const parsed = parse('request', text);
      assert.deepEqual(parsed.messages, []);
      if (error === undefined) assert.match(parsed.error ?? 'none', /^JTP_ERR_HTTP_(?:PARSE|FRAMING)$/);
      else assert.equal(parsed.error, error);
    });

  const chunks: readonly { readonly name: string; readonly text: string }[] = [
    { name: 'a sign', text: '+1\r\na\r\n0\r\n\r\n' },
    { name: 'a hexadecimal prefix', text: '0x1\r\na\r\n0\r\n\r\n' },
    { name: 'a blank after the size', text: '1 \r\na\r\n0\r\n\r\n' },
    { name: 'a blank before the size', text: ' 1\r\na\r\n0\r\n\r\n' },
    { name: 'a blank before the semicolon', text: '1 ;x\r\na\r\n0\r\n\r\n' },
    { name: 'a size beyond 64 bits', text: '10000000000000001\r\na\r\n0\r\n\r\n' },
    { name: 'no size', text: '\r\na\r\n0\r\n\r\n' },
    { name: 'a size that ends with a line feed alone', text: '1\na\r\n0\r\n\r\n' },
    { name: 'an extension that ends with a line feed alone', text: '1;x\na\r\n0\r\n\r\n' },
    { name: 'a carriage return in an extension', text: '1;x\ry\r\na\r\n0\r\n\r\n' },
    { name: 'a NUL in an extension', text: '1;\0\r\na\r\n0\r\n\r\n' },
    { name: 'data longer than its size', text: '1\r\nab\r\n0\r\n\r\n' },
    { name: 'data that ends with a line feed alone', text: '1\r\na\n0\r\n\r\n' },
    { name: 'two carriage returns after the data', text: '1\r\na\r\r\n0\r\n\r\n' },
    { name: 'a folded trailer', text: '0\r\nX: a\r\n b\r\n\r\n' },
    { name: 'a trailer with a blank before the colon', text: '0\r\nX : a\r\n\r\n' },
    { name: 'a length among the trailers', text: '0\r\nContent-Length: 5\r\n\r\n' },
    { name: 'a coding among the trailers', text: '0\r\nTransfer-Encoding: chunked\r\n\r\n' },
    { name: 'a last line that ends with a line feed alone', text: '0\r\n\n' },
  ];
  for (const { name, text } of chunks)
    for (const kind of ['request', 'response'] as const)
      it(`chunks of a ${kind}: ${name}`, () => {
        const first = kind === 'request' ? 'POST / HTTP/1.1' : 'HTTP/1.1 200 OK';
        const parsed = parse(kind, `${first}\r\nTransfer-Encoding: chunked\r\n\r\n${text}`);
        assert.equal(parsed.error, 'JTP_ERR_HTTP_PARSE');
        assert.equal(parsed.messages[0]?.isComplete, false);
      });

  const responses: readonly { readonly name: string; readonly text: string }[] = [
    { name: 'a status below 100', text: 'HTTP/1.1 099 Odd\r\n\r\n' },
    { name: 'a status of two digits', text: 'HTTP/1.1 20 OK\r\n\r\n' },
    { name: 'a status of four digits', text: 'HTTP/1.1 2000 OK\r\n\r\n' },
    { name: 'two spaces before the status', text: 'HTTP/1.1  200 OK\r\n\r\n' },
    { name: 'a control character in the reason', text: 'HTTP/1.1 200 O\x1bK\r\n\r\n' },
    { name: 'a NUL in the reason', text: 'HTTP/1.1 200 O\0K\r\n\r\n' },
    { name: 'a carriage return in the reason', text: 'HTTP/1.1 200 O\rK\r\n\r\n' },
    { name: 'line feeds alone', text: 'HTTP/1.1 200 OK\nX: y\n\n' },
    { name: 'RTSP', text: 'RTSP/1.0 200 OK\r\n\r\n' },
    { name: 'ICY', text: 'ICY 200 OK\r\n\r\n' },
    { name: 'a coding with a tab', text: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\t\r\n\r\n' },
    { name: 'a coding beside chunked', text: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n' },
    { name: 'two lengths', text: 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n' },
    { name: 'a folded header', text: 'HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n' },
  ];
  for (const { name, text } of responses)
    it(`response: ${name}`, () => {
      const parsed = parse('response', text);
      assert.deepEqual(parsed.messages, []);
      assert.match(parsed.error ?? 'none', /^JTP_ERR_HTTP_(?:PARSE|FRAMING)$/);
    });
});

describe('limits', () => {
  const limits = { maxHeadBytes: 200, maxHeaders: 3, maxTargetBytes: 20, maxChunkOverheadBytes: 100 };
  const start = 'GET / HTTP/1.1\r\n';
  const chunked = 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n';
  const filled = (bytes: number): string => `${start}X: ${'a'.repeat(bytes - start.length - 7)}\r\n\r\n`;
  const cases: readonly {
    readonly name: string;
    readonly fits: string;
    readonly exceeds: string;
    readonly error: string;
  }[] = [
    { name: 'header bytes', fits: filled(200), exceeds: filled(201), error: 'JTP_ERR_HTTP_HEADER_OVERFLOW' },
    {
      name: 'headers',
      fits: `${start}A:\r\nB:\r\nC:\r\n\r\n`,
      exceeds: `${start}A:\r\nB:\r\nC:\r\nD:\r\n\r\n`,
      error: 'JTP_ERR_HTTP_HEADER_OVERFLOW',
    },
    {
      name: 'bytes of the target',
      fits: `GET /${'a'.repeat(19)} HTTP/1.1\r\n\r\n`,
      exceeds: `GET /${'a'.repeat(20)} HTTP/1.1\r\n\r\n`,
      error: 'JTP_ERR_HTTP_URI_OVERFLOW',
    },
    {
      // Beside the extension: two sizes and four line ends, and the last line; one byte of body allows eight more.
      name: 'chunk extensions',
      fits: `${chunked}1;${'a'.repeat(96)}\r\nx\r\n0\r\n\r\n`,
      exceeds: `${chunked}1;${'a'.repeat(97)}\r\nx\r\n0\r\n\r\n`,
      error: 'JTP_ERR_HTTP_CHUNK_OVERFLOW',
    },
    {
      name: 'trailers',
      fits: `${chunked}0\r\nA: b\r\nB: c\r\nC: d\r\n\r\n`,
      exceeds: `${chunked}0\r\nA: b\r\nB: c\r\nC: d\r\nD: e\r\n\r\n`,
      error: 'JTP_ERR_HTTP_HEADER_OVERFLOW',
    },
    {
      name: 'bytes of trailers, however long the body was',
      fits: `${chunked}64\r\n${'b'.repeat(100)}\r\n0\r\nA: ${'c'.repeat(199)}\r\n\r\n`,
      exceeds: `${chunked}64\r\n${'b'.repeat(100)}\r\n0\r\nA: ${'c'.repeat(200)}\r\n\r\n`,
      error: 'JTP_ERR_HTTP_HEADER_OVERFLOW',
    },
  ];
  for (const { name, fits, exceeds, error } of cases)
    it(`${name}: at the limit and one over it, whole and byte by byte`, () => {
      for (const cuts of [[], Array.from({ length: exceeds.length }, (_, at) => at)]) {
        const atLimit = parse('request', fits, cuts, limits);
        assert.equal(atLimit.error, undefined);
        assert.equal(atLimit.messages[0]?.isComplete, true);
        const over = parse('request', exceeds, cuts, limits);
        assert.equal(over.error, error);
        assert.notEqual(over.messages[0]?.isComplete, true);
      }
    });

  it('takes a body in chunks of one byte', () => {
    const body = '1\r\nx\r\n'.repeat(20_000);
    const parsed = parse('request', `${chunked}${body}0\r\n\r\n`, [70_000], limits);
    assert.equal(parsed.error, undefined);
    assert.equal(parsed.messages[0]?.body, 'x'.repeat(20_000));
  });

  it('stops counting at one header too many', () => {
    const parser = new HttpParser('request', LIMITS);
    assert.throws(() => parser.readHead(Buffer.from(`${start}${'a:\r\n'.repeat(10_000)}`), 0), {
      code: 'JTP_ERR_HTTP_HEADER_OVERFLOW',
    });
    assert.equal(parser.head.count, LIMITS.maxHeaders + 1);
    parser.free();
  });
});

describe('memory', () => {
  it('refuses large heads that never end when there are too many of them, and no small one', () => {
    const limits = { ...LIMITS, maxHeadBytes: 1024 * 1024 };
    const large = Buffer.from(`GET / HTTP/1.1\r\nX: ${'a'.repeat(1024 * 1024 - 100)}`);
    const parsers: HttpParser[] = [];
    const open = (bytes: Buffer): void => {
      const parser = new HttpParser('request', limits);
      parsers.push(parser);
      parser.readHead(bytes, 0);
    };
    assert.throws(
      () => {
        for (let count = 0; count < 200; count++) open(large);
      },
      { code: 'JTP_ERR_HTTP_HEADER_OVERFLOW', message: 'too many large header sections at once' },
    );
    assert.equal(parsers.length, 129);
    for (let count = 0; count < 100; count++) open(Buffer.from('GET / HTTP/1.1\r\nX: y'));
    for (const parser of parsers) parser.free();
    // Given back, the memory can be used again.
    open(large);
    parsers.at(-1)?.free();
  });
});

describe('readChunks', () => {
  it('moves the pieces of one read together', () => {
    const parser = new HttpParser('request', LIMITS);
    const bytes = Buffer.from(
      'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\nGET',
    );
    const head = parser.readHead(bytes, 0);
    const end = parser.readChunks(bytes, head);
    const [from = 0, to = 0, ...more] = parser.pieces;
    assert.deepEqual(more, []);
    assert.equal(bytes.latin1Slice(from, to), 'abcdef');
    assert.equal(bytes.latin1Slice(end, bytes.length), 'GET');
    assert.equal(parser.head.lines(0, 1), 'Transfer-Encoding: chunked\r\n');
    parser.free();
  });
});
