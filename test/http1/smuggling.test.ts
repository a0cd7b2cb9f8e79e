// Requests hidden in requests. Whatever is sent, the server must see exactly the requests that were sent, or none at all: its own strict
// parser reads the raw bytes. Source of the kinds: RFC 9112 §11.2, and what has worked against other proxies.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startProxyTo } from '../support/data-plane.ts';
import { startRecorder } from '../support/recorder.ts';
import { connect } from '../support/sockets.ts';

const EVIL = 'GET /evil HTTP/1.1\r\nHost: evil\r\n\r\n';
const HOST = 'Host: h\r\n';

interface Attack {
  readonly name: string;
  readonly sent: string;
  /** What the server sees, as `METHOD target body`; undefined: nothing, because the request is refused and the connection closed. */
  readonly seen?: readonly string[];
}

function chunk(text: string): string {
  return `${text.length.toString(16)}\r\n${text}\r\n`;
}

/** A POST with these header lines. */
function post(lines: string, body: string): string {
  return `POST / HTTP/1.1\r\n${HOST}${lines}\r\n${body}`;
}

const LAST = '0\r\n\r\n';
const LENGTHS: readonly Attack[] = [
  {
    name: 'CL.TE',
    sent: post(
      `Content-Length: ${String(5 + EVIL.length)}\r\nTransfer-Encoding: chunked\r\n`,
      `${LAST}${EVIL}`,
    ),
  },
  {
    name: 'TE.CL',
    sent: post('Transfer-Encoding: chunked\r\nContent-Length: 4\r\n', `${chunk(EVIL)}${LAST}`),
  },
  {
    name: 'two different lengths',
    sent: post(`Content-Length: 0\r\nContent-Length: ${String(EVIL.length)}\r\n`, EVIL),
  },
  { name: 'two equal lengths', sent: post('Content-Length: 1\r\nContent-Length: 1\r\n', `x${EVIL}`) },
  { name: 'a list of lengths', sent: post(`Content-Length: 0, ${String(EVIL.length)}\r\n`, EVIL) },
  ...[
    '+0',
    '-0',
    '0x0',
    '0 0',
    '0;',
    '"0"',
    '',
    '1e1',
    '\u00b2',
    '0\x0b',
    '18446744073709551616',
    '99999999999999999999999',
  ].map((length) => ({
    name: `Content-Length: ${JSON.stringify(length)}`,
    sent: post(`Content-Length: ${length}\r\n`, EVIL),
  })),
  { name: 'a length with zeros in front', sent: post('Content-Length: 0001\r\n', 'x'), seen: ['POST / x'] },
  { name: 'a length with blanks around', sent: post('Content-Length:\t 1 \r\n', 'x'), seen: ['POST / x'] },
  { name: 'a length with a blank before the colon', sent: post('Content-Length : 1\r\n', 'x') },
  { name: 'a length in a folded line', sent: post('Content-Length:\r\n 1\r\n', 'x') },
  {
    name: 'a length spelt with an underscore beside the real one',
    sent: post(`Content_Length: ${String(EVIL.length)}\r\nContent-Length: 1\r\n`, 'x'),
    seen: ['POST / x'],
  },
];

const CODINGS: readonly Attack[] = [
  ...[
    'Transfer-Encoding: xchunked\r\n',
    'Transfer-Encoding: chunked, identity\r\n',
    'Transfer-Encoding: identity, chunked\r\n',
    'Transfer-Encoding: chunked, chunked\r\n',
    'Transfer-Encoding: chunked,\r\n',
    'Transfer-Encoding: ,chunked\r\n',
    'Transfer-Encoding: "chunked"\r\n',
    "Transfer-Encoding: 'chunked'\r\n",
    'Transfer-Encoding: chunked;q=1\r\n',
    'Transfer-Encoding: chunked\t\r\n',
    'Transfer-Encoding: chunked\x0b\r\n',
    'Transfer-Encoding: chunked\x0c\r\n',
    'Transfer-Encoding: \x0bchunked\r\n',
    'Transfer-Encoding: chun\0ked\r\n',
    'Transfer-Encoding: \xa0chunked\r\n',
    'Transfer-Encoding: gzip\r\n',
    'Transfer-Encoding:\r\n',
    'Transfer-Encoding : chunked\r\n',
    'Transfer-Encoding\t: chunked\r\n',
    ' Transfer-Encoding: chunked\r\n',
    'Transfer-Encoding:\r\n chunked\r\n',
    'Transfer-Encoding: chunked\r\n x\r\n',
    'X: y\nTransfer-Encoding: chunked\r\n',
    'X: y\rTransfer-Encoding: chunked\r\n',
    'Transfer-Encoding\n: chunked\r\n',
    'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n',
    'Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n',
    'Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n',
    'Transfer-Encoding: chunked\r\ntransfer-encoding: identity\r\n',
  ].map((lines) => ({ name: `TE.TE ${JSON.stringify(lines)}`, sent: post(lines, `${LAST}${EVIL}`) })),
  {
    name: 'chunked in capitals',
    sent: post('TRANSFER-ENCODING: CHUNKED\r\n', `${chunk('x')}${LAST}`),
    seen: ['POST / x'],
  },
  {
    name: 'chunked after a tab',
    sent: post('Transfer-Encoding:\tchunked\r\n', `${chunk('x')}${LAST}`),
    seen: ['POST / x'],
  },
  {
    name: 'a coding in HTTP/1.0',
    sent: `POST / HTTP/1.0\r\n${HOST}Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n${LAST}${EVIL}`,
  },
  {
    name: 'a coding spelt with an underscore beside a length',
    sent: post('Transfer_Encoding: chunked\r\nContent-Length: 1\r\n', 'x'),
    seen: ['POST / x'],
  },
];

const CHUNKS: readonly Attack[] = [
  ...[
    '+0',
    '-0',
    '0x0',
    ' 0',
    '0 ',
    '0\t',
    '0 ;x',
    '',
    ';',
    'g',
    '0,0',
    '00000000000000000',
    '100000000'.repeat(2),
    '0;\0',
    '0;x\n',
    '0;a="b',
  ].map((size) => ({
    name: `a chunk size of ${JSON.stringify(size)}`,
    sent: post('Transfer-Encoding: chunked\r\n', `${size}\r\n\r\n${EVIL}`),
    // Zeros in front change nothing.
    ...(size === '00000000000000000' ? { seen: ['POST /', 'GET /evil'] } : {}),
  })),
  {
    name: 'a chunk longer than its size',
    sent: post('Transfer-Encoding: chunked\r\n', `1\r\nxx\r\n${LAST}`),
  },
  {
    name: 'a chunk shorter than its size',
    sent: post('Transfer-Encoding: chunked\r\n', `3\r\nx\r\n${LAST}`),
  },
  {
    name: 'a chunk that ends with a line feed alone',
    sent: post('Transfer-Encoding: chunked\r\n', `1\r\nx\n${LAST}`),
  },
  {
    name: 'a chunk size that ends with a line feed alone',
    sent: post('Transfer-Encoding: chunked\r\n', `1\nx\r\n${LAST}`),
  },
  {
    name: 'a last chunk that ends with line feeds alone',
    sent: post('Transfer-Encoding: chunked\r\n', `0\n\n${EVIL}`),
  },
  {
    name: 'a line end hidden in an extension',
    sent: post('Transfer-Encoding: chunked\r\n', `1;a="\r\nx\r\n${LAST}`),
  },
  {
    name: 'a request in an extension',
    sent: post('Transfer-Encoding: chunked\r\n', `1;a="GET /evil HTTP/1.1"\r\nx\r\n${LAST}`),
    seen: ['POST / x'],
  },
  {
    name: 'a request in a chunk',
    sent: post('Transfer-Encoding: chunked\r\n', `${chunk(EVIL)}${LAST}`),
    seen: [`POST / ${EVIL}`],
  },
  {
    name: 'a request after the last chunk',
    sent: post('Transfer-Encoding: chunked\r\n', `${LAST}${EVIL}`),
    seen: ['POST /', 'GET /evil'],
  },
  {
    name: 'a length among the trailers',
    sent: post('Transfer-Encoding: chunked\r\n', `0\r\nContent-Length: 5\r\n\r\n${EVIL}`),
  },
  {
    name: 'a coding among the trailers',
    sent: post('Transfer-Encoding: chunked\r\n', `0\r\nTransfer-Encoding: chunked\r\n\r\n${EVIL}`),
  },
];

/** Methods whose bodies other servers forget to read. CHP forwards a chunked DELETE without its framing. */
const UNUSUAL_BODIES: readonly Attack[] = ['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND'].flatMap(
  (method) => [
    {
      name: `a chunked ${method} with a request in its body`,
      sent: `${method} / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n${chunk(EVIL)}${LAST}`,
      seen: [`${method} / ${EVIL}`],
    },
    {
      name: `CL.0: a ${method} with a length and a request in its body`,
      sent: `${method} / HTTP/1.1\r\n${HOST}Content-Length: ${String(EVIL.length)}\r\n\r\n${EVIL}`,
      seen: [`${method} / ${EVIL}`],
    },
    {
      name: `a ${method} whose Connection takes away the length`,
      sent: `${method} / HTTP/1.1\r\n${HOST}Connection: Content-Length, Transfer-Encoding, Host\r\nContent-Length: ${String(EVIL.length)}\r\n\r\n${EVIL}`,
      seen: [`${method} / ${EVIL}`],
    },
  ],
);

const HEADS: readonly Attack[] = [
  { name: 'two hosts', sent: `GET / HTTP/1.1\r\nHost: h\r\nHost: evil\r\n\r\n${EVIL}` },
  {
    name: 'two hosts, one of them with a blank before the colon',
    sent: `GET / HTTP/1.1\r\nHost: h\r\nHost : evil\r\n\r\n${EVIL}`,
  },
  {
    name: 'two hosts, one of them folded',
    sent: `GET / HTTP/1.1\r\nX: y\r\n Host: evil\r\nHost: h\r\n\r\n${EVIL}`,
  },
  { name: 'a host with a line feed', sent: `GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n${EVIL}` },
  { name: 'no host', sent: `GET / HTTP/1.1\r\n\r\n${EVIL}` },
  {
    name: 'an absolute target beside another host',
    sent: `GET http://other/a HTTP/1.1\r\n${HOST}\r\n`,
    seen: ['GET /a'],
  },
  { name: 'a line feed alone after the request line', sent: `GET / HTTP/1.1\n${HOST}\r\n${EVIL}` },
  { name: 'line feeds alone', sent: `GET / HTTP/1.1\n${HOST.replace('\r', '')}\n${EVIL}` },
  { name: 'a carriage return alone', sent: `GET / HTTP/1.1\r\n${HOST}X: y\rZ: w\r\n\r\n${EVIL}` },
  { name: 'a NUL in a header', sent: `GET / HTTP/1.1\r\n${HOST}X: \0\r\n\r\n${EVIL}` },
  { name: 'a NUL in the target', sent: `GET /\0 HTTP/1.1\r\n${HOST}\r\n${EVIL}` },
  { name: 'two spaces', sent: `GET  / HTTP/1.1\r\n${HOST}\r\n${EVIL}` },
  { name: 'a version twice', sent: `GET / HTTP/1.1 HTTP/1.1\r\n${HOST}\r\n${EVIL}` },
  {
    name: 'a request line in the target',
    sent: `GET /%20HTTP/1.1%0d%0aHost:%20evil%0d%0a%0d%0aGET%20/evil HTTP/1.1\r\n${HOST}\r\n`,
    seen: ['GET /%20HTTP/1.1%0d%0aHost:%20evil%0d%0a%0d%0aGET%20/evil'],
  },
  { name: 'HTTP/0.9', sent: `GET /\r\n${EVIL}` },
  { name: 'half a preface of HTTP/2', sent: `PRI * HTTP/2.0\r\n\r\n${EVIL}` },
  { name: 'CONNECT', sent: `CONNECT evil:80 HTTP/1.1\r\nHost: evil:80\r\n\r\n${EVIL}` },
  {
    name: 'an expectation nobody knows',
    sent: post('Expect: 100-continue, x\r\nContent-Length: 1\r\n', `x${EVIL}`),
  },
  {
    name: 'trailers that would be headers',
    sent: post(
      'Transfer-Encoding: chunked\r\n',
      '0\r\nHost: trailing\r\nX-Forwarded-For: trailing\r\nAuthorization: trailing\r\nX-Ok: 1\r\n\r\n',
    ),
    seen: ['POST /'],
  },
  {
    name: 'an upgrade with a body',
    sent: `GET / HTTP/1.1\r\n${HOST}Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: ${String(EVIL.length)}\r\n\r\n${EVIL}`,
    seen: [`GET / ${EVIL}`],
  },
  {
    name: 'an upgrade that the server does not take, with a request behind it',
    sent: `GET / HTTP/1.1\r\n${HOST}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\nGET /two HTTP/1.1\r\n${HOST}\r\n`,
    seen: ['GET /', 'GET /two'],
  },
  {
    name: 'an upgrade to cleartext HTTP/2',
    sent: `GET / HTTP/1.1\r\n${HOST}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n`,
    seen: ['GET /'],
  },
];

const GROUPS = {
  lengths: LENGTHS,
  codings: CODINGS,
  chunks: CHUNKS,
  'bodies where none are expected': UNUSUAL_BODIES,
  heads: HEADS,
};

for (const [group, attacks] of Object.entries(GROUPS))
  describe(`smuggling: ${group}`, () => {
    for (const { name, sent, seen } of attacks)
      it(name, async (t) => {
        const recorder = await startRecorder(t);
        const { port } = await startProxyTo(t, recorder.url);
        const attacker = await connect(t, port);
        attacker.send(sent);
        if (seen === undefined) {
          // Refused: one answer, with nothing behind it.
          const answer = await attacker.readToEnd();
          assert.match(answer, /^HTTP\/1.1 (?:400|417|431|501|505) .*\r\n[^]*Connection: close\r\n/);
          assert.equal(answer.split('HTTP/1.1 ').length, 2);
        } else {
          for (const request of seen) {
            const head = await attacker.readHead();
            assert.match(head, /^HTTP\/1.1 200 /);
            const [method = '', target = ''] = request.split(' ');
            if (method !== 'HEAD') await attacker.read(`${method} ${target}`);
          }
        }
        // Somebody else's request, over the connection that the attacker's left behind.
        const victim = await connect(t, port);
        victim.send('GET /victim HTTP/1.1\r\nHost: victim\r\n\r\n');
        assert.match(await victim.readHead(), /^HTTP\/1.1 200 /);
        assert.equal(await victim.read('GET /victim'), 'GET /victim');
        assert.deepEqual(recorder.problems, []);
        const complete = recorder.requests.filter((request) => request !== 'GET /victim');
        assert.deepEqual(complete, seen ?? []);
        const text = recorder.connections.map(({ raw }) => raw).join('');
        assert.doesNotMatch(text, /trailing/, 'nothing of the trailers');
        assert.doesNotMatch(text, /^(?:transfer|content)_/im, 'no look-alikes');
      });
  });
