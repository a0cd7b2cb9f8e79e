// HTTP/2 clients: what reaches a server that speaks HTTP/1.1, what comes back, and which heads and frames are refused how.

import { END_STREAM, FRAME, frame, requestFields } from '../support/http2-frames.ts';
import type { Reaction } from './backend.ts';
import { probeFrames, probeHttp2 } from './http2-client.ts';
import type { Http2Attempt, RawAttempt } from './http2-client.ts';
import { PLAIN_STATIC, READY_RULES, routes, services } from './requests.ts';
import { compareSuite } from './suite.ts';
import type { ProbeCase } from './suite.ts';

const STATIC = `${PLAIN_STATIC}
[entryPoints.tls]
address = "127.0.0.1:<tls>"
[entryPoints.tls.http.tls]
`;

const RULES =
  READY_RULES +
  routes({
    plain: ['PathPrefix(`/`)', 'one', 'entryPoints = ["web"]'],
    secure: ['PathPrefix(`/`)', 'one', 'entryPoints = ["tls"]'],
    host: ['Host(`other.example`)', 'two', 'entryPoints = ["tls"]'],
    closed: ['PathPrefix(`/closed`)', 'closed', 'entryPoints = ["tls"]'],
  }) +
  services('one', 'two', 'closed');

/** Requests that a library sends. */
const REQUESTS: Readonly<Record<string, Http2Attempt>> = {
  'a request': {},
  'a request without TLS': { entryPoint: 'web' },
  'a path with a query': { headers: { ':path': '/a%20b//c/?x=1&y=%2f' } },
  'a path with dots': { headers: { ':path': '/a/../b/./c' } },
  'another host': { headers: { ':authority': 'Other.Example:8443' } },
  'a host that has no router': { entryPoint: 'web', headers: { ':path': '/__ready/no' } },
  'OPTIONS *': { headers: { ':method': 'OPTIONS', ':path': '*' } },
  'cookies in crumbs': { headers: { cookie: ['a=1', 'b=2', 'c=3'] } },
  'repeated headers': { headers: { 'x-a': ['1', '2'] } },
  'te: trailers': { headers: { te: 'trailers' } },
  'forged X-Forwarded': {
    headers: {
      'x-forwarded-for': '1.2.3.4',
      'x-forwarded-proto': 'http',
      'x-forwarded-host': 'evil.example',
      'x-forwarded-port': '1',
      'x-real-ip': '1.2.3.4',
    },
  },
  'accept-encoding left out': { headers: { 'accept-encoding': 'gzip, br' } },
  'an empty header': { headers: { 'x-empty': '' } },
  HEAD: { headers: { ':method': 'HEAD' } },
  DELETE: { headers: { ':method': 'DELETE' } },
  'a body with a length': { headers: { ':method': 'POST', 'content-length': '4' }, body: 'body' },
  'a body without a length': { headers: { ':method': 'POST' }, body: 'body' },
  'an empty body': { headers: { ':method': 'POST' }, body: '' },
  'a length of nothing': { headers: { ':method': 'POST', 'content-length': '0' } },
  'no body and no length': { headers: { ':method': 'POST' } },
  'a body of GET': { headers: { ':method': 'GET' }, body: 'body' },
  'a large body': { headers: { ':method': 'POST' }, body: Buffer.alloc(1_000_000, 'x') },
  'trailers of a request': {
    headers: { ':method': 'POST', trailer: 'x-sum' },
    body: 'body',
    trailers: { 'x-sum': '7' },
  },
  'trailers of a request that were not announced': {
    headers: { ':method': 'POST' },
    body: 'body',
    trailers: { 'x-sum': '7' },
  },
  'many headers': {
    headers: Object.fromEntries(Array.from({ length: 300 }, (_, at) => [`x-${String(at)}`, '1'])),
  },
  'a long header': { headers: { 'x-long': 'a'.repeat(60_000) } },
  'headers above the limit': { headers: { 'x-long': 'a'.repeat(1_100_000) } },
};

/** Answers of a server to `GET /`. */
const ANSWERS: Readonly<Record<string, Reaction>> = {
  'an answer in chunks with trailers': {
    answer:
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n',
  },
  'trailers of an answer that were not announced': {
    answer: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n',
  },
  'an answer until the end': { answer: 'HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n\r\nabc', then: 'end' },
  'an answer without a body': { answer: 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n' },
  '204': { answer: 'HTTP/1.1 204 No Content\r\n\r\n' },
  '304': { answer: 'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 5\r\n\r\n' },
  '418': { answer: "HTTP/1.1 418 I'm a teapot\r\nContent-Length: 2\r\n\r\nno" },
  '103 and 200': {
    answer: 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
  },
  'headers of the connection': {
    answer:
      'HTTP/1.1 200 OK\r\nConnection: keep-alive, x-hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nProxy-Connection: x\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nok',
  },
  'several cookies': {
    answer:
      'HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSET-COOKIE: b=2\r\nX-Same: 1\r\nx-same: 2\r\nContent-Length: 2\r\n\r\nok',
  },
  'an answer that is cut': { answer: 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf', then: 'end' },
  'an answer in chunks that is cut': {
    answer: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n',
    then: 'end',
  },
  'no answer': { answer: '', then: 'end' },
  'a reset': { then: 'reset' },
  'an answer that is none': { answer: 'garbage\r\n\r\n', then: 'end' },
  'a 101 that nobody asked for': {
    answer: 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n',
  },
  'a large answer': { answer: `HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n${'x'.repeat(1_000_000)}` },
  'a status without a phrase': { answer: 'HTTP/1.1 299\r\nContent-Length: 2\r\n\r\nok' },
};

const POST = { ':method': 'POST' };

function body(...pieces: readonly string[]): (stream: number) => readonly Buffer[] {
  return (stream) =>
    pieces.map((piece, at) =>
      frame(FRAME.data, at === pieces.length - 1 ? END_STREAM : 0, stream, Buffer.from(piece)),
    );
}

function without(name: string): RawAttempt['fields'] {
  return requestFields().filter(([known]) => known !== name);
}

/** Heads and bodies that no library sends. */
const FRAMES: Readonly<Record<string, RawAttempt>> = {
  'a head in frames': { fields: requestFields() },
  'host beside authority': { fields: requestFields({}, [['host', 'hub']]) },
  'another host beside authority': { fields: requestFields({}, [['host', 'other.example']]) },
  'host without authority': { fields: [...without(':authority'), ['host', 'other.example']] },
  'neither host nor authority': { fields: without(':authority') },
  'an authority that is none': { fields: requestFields({ ':authority': 'a/b' }) },
  'an authority with a user': { fields: requestFields({ ':authority': 'me@hub' }) },
  'no method': { fields: without(':method') },
  'no path': { fields: without(':path') },
  'no scheme': { fields: without(':scheme') },
  'an empty path': { fields: requestFields({ ':path': '' }) },
  'a path without a slash': { fields: requestFields({ ':path': 'a' }) },
  'a path that is a URL': { fields: requestFields({ ':path': 'http://other.example/' }) },
  'a path with a space': { fields: requestFields({ ':path': '/a b' }) },
  'a path with a fragment': { fields: requestFields({ ':path': '/a#b' }) },
  'another scheme': { fields: requestFields({ ':scheme': 'http' }) },
  'a scheme that is none': { fields: requestFields({ ':scheme': 'ftp' }) },
  'two paths': { fields: [...requestFields(), [':path', '/b']] },
  'a pseudo-header after a header': { fields: [['x-a', '1'], ...requestFields()] },
  'an unknown pseudo-header': { fields: requestFields({ ':x': '1' }) },
  ':status in a request': { fields: requestFields({ ':status': '200' }) },
  'an upper-case name': { fields: requestFields({}, [['X-A', '1']]) },
  'an empty name': { fields: requestFields({}, [['', '1']]) },
  'a line end in a value': { fields: requestFields({}, [['x-a', '1\r\nx-b: 2']]) },
  'a NUL in a value': { fields: requestFields({}, [['x-a', '1\0']]) },
  'spaces around a value': { fields: requestFields({}, [['x-a', ' 1 ']]) },
  'a space in a name': { fields: requestFields({}, [['x a', '1']]) },
  'connection: close': { fields: requestFields({}, [['connection', 'close']]) },
  'keep-alive': { fields: requestFields({}, [['keep-alive', '1']]) },
  'proxy-connection': { fields: requestFields({}, [['proxy-connection', 'close']]) },
  'transfer-encoding': { fields: requestFields(POST, [['transfer-encoding', 'chunked']]) },
  upgrade: { fields: requestFields({}, [['upgrade', 'websocket']]) },
  'te: gzip': { fields: requestFields({}, [['te', 'gzip']]) },
  'an unknown method': { fields: requestFields({ ':method': 'FETCH' }) },
  'a method that is none': { fields: requestFields({ ':method': 'G T' }) },
  CONNECT: {
    fields: [
      [':method', 'CONNECT'],
      [':authority', 'other.example:443'],
    ],
  },
  'a WebSocket': {
    fields: requestFields({ ':method': 'CONNECT', ':protocol': 'websocket' }, [
      ['sec-websocket-version', '13'],
    ]),
    frames: () => [],
  },
  'another protocol': { fields: requestFields({ ':method': 'CONNECT', ':protocol': 'x' }), frames: () => [] },
  ':protocol without CONNECT': { fields: requestFields({ ':protocol': 'websocket' }) },
  'a body as announced': { fields: requestFields(POST, [['content-length', '4']]), frames: body('bo', 'dy') },
  'a body shorter than announced': {
    fields: requestFields(POST, [['content-length', '5']]),
    frames: body('body'),
  },
  'a body longer than announced': {
    fields: requestFields(POST, [['content-length', '3']]),
    frames: body('body'),
  },
  'a length without a body': { fields: requestFields(POST, [['content-length', '5']]) },
  'two equal lengths': {
    fields: requestFields(POST, [
      ['content-length', '4'],
      ['content-length', '4'],
    ]),
    frames: body('body'),
  },
  'two different lengths': {
    fields: requestFields(POST, [
      ['content-length', '4'],
      ['content-length', '5'],
    ]),
    frames: body('body'),
  },
  'a length that is no number': {
    fields: requestFields(POST, [['content-length', '4x']]),
    frames: body('body'),
  },
};

compareSuite({
  name: 'http2',
  setup: {
    entryPoints: ['web', 'tls'],
    backends: ['ready', 'one', 'two'],
    closedPorts: ['closed'],
    files: { 'traefik.toml': STATIC, 'rules.toml': RULES },
    ready: { entryPoint: 'web', target: '/__ready' },
  },
  cases: [
    ...Object.entries(REQUESTS).map(([name, attempt]): ProbeCase => ({
      name,
      probe: (peer) => probeHttp2(peer, attempt),
    })),
    ...Object.entries(ANSWERS).map(([name, reaction]): ProbeCase => ({
      name,
      reaction,
      probe: (peer) => probeHttp2(peer, {}),
    })),
    {
      name: 'trailers that were not announced, for a client that takes them',
      reaction: ANSWERS['trailers of an answer that were not announced'] ?? {},
      probe: (peer) => probeHttp2(peer, { headers: { te: 'trailers' } }),
    },
    {
      name: 'a server that cannot be reached',
      probe: (peer) => probeHttp2(peer, { headers: { ':path': '/closed' } }),
    },
    ...Object.entries(FRAMES).map(([name, attempt]): ProbeCase => ({
      name,
      probe: (peer) => probeFrames(peer, attempt),
    })),
  ],
});
