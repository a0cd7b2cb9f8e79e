// Byte streams that are nearly HTTP/1.1: requests put together from honest and dishonest pieces, then changed byte by byte.

/** A small generator of numbers whose whole sequence follows from its seed (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 up to, not including, `limit`. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let value = this.#state;
    value = Math.imul(value ^ (value >>> 15), value | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return Math.floor((((value ^ (value >>> 14)) >>> 0) / 4294967296) * limit);
  }

  pick<T>(list: readonly T[]): T {
    const item = list[this.below(list.length)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  }

  /** True once in `times`. */
  once(times: number): boolean {
    return this.below(times) === 0;
  }
}

const METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'HEAD', 'PATCH'];
const ODD_METHODS = ['get', 'CONNECT', 'FOO', 'PRI', 'G ET', '', 'GET\t', 'TRACE'];
const TARGETS = ['/', '/a', '/a/b?c=d', '/a%20b', '/%2e%2e/x', '*'];
const ODD_TARGETS = [
  '//',
  '/a b',
  '/\x01',
  '/\xff',
  'a',
  'http://h/x',
  'http://u@h/x',
  'http:///x',
  '/#x',
  '/%',
  '',
  'h:80',
];
const VERSIONS = ['HTTP/1.1'];
const ODD_VERSIONS = [
  'HTTP/1.0',
  'HTTP/0.9',
  'HTTP/2.0',
  'HTTP/1.1 ',
  'http/1.1',
  'HTTP/1.10',
  'HTTP/01.1',
  '',
  'RTSP/1.0',
];
const HEADERS = [
  'X-A: b',
  'X-Empty:',
  'Accept: */*',
  'Cookie: a=b; c=d',
  'Connection: keep-alive',
  'X-Bytes: \x80\xff',
];
const ODD_HEADERS = [
  'Host: evil',
  'Host : evil',
  'Content-Length: 0',
  'Content-Length: 5',
  'Content-Length: +5',
  'Content-Length: 5, 5',
  'Content-Length: 5 ',
  'Content-Length:\t5',
  'Content-Length : 5',
  'Content_Length: 5',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: Chunked ',
  'Transfer-Encoding: chunked\t',
  'Transfer-Encoding:chunked',
  'Transfer-Encoding : chunked',
  'Transfer-Encoding: x, chunked',
  'Transfer-Encoding: chunked, x',
  'Transfer-Encoding: identity',
  'Transfer-Encoding:',
  'Transfer_Encoding: chunked',
  ' folded: x',
  '\tfolded',
  'no colon',
  ': no name',
  'X-A : b',
  'X-\0: b',
  'X-A: \0',
  'X-A: a\rb',
  'X-A: a\nTransfer-Encoding: chunked',
  'Connection: close',
  'Connection: Content-Length, Transfer-Encoding, Host',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Expect: 100-continue',
  'Expect: x',
  'TE: trailers',
  'Trailer: X-T',
  'Keep-Alive: x',
];
const ENDS = ['\r\n'];
const ODD_ENDS = ['\n', '\r', '\r\r\n', '\n\r', '\r\n ', ''];
const CONTENT = [
  '',
  'x',
  'hello',
  'GET /evil HTTP/1.1\r\nHost: evil\r\n\r\n',
  '0\r\n\r\n',
  '\r\n\r\n',
  'a'.repeat(300),
];
const ODD_SIZES = [
  '+1',
  '0x1',
  ' 1',
  '1 ',
  '1;',
  '1;x',
  '1;x=y',
  '1;x="\r\n"',
  '01',
  'g',
  '',
  '-1',
  '1\0',
  'ffffffffffffffffff',
  '1;\n',
  '1 ;x',
];
const INTERESTING = [
  '\r',
  '\n',
  '\r\n',
  '\0',
  ' ',
  '\t',
  ':',
  ';',
  ',',
  '0',
  '1',
  '\x0b',
  '\x7f',
  '\x80',
  '"',
  '\\',
  'chunked',
  '\r\n\r\n',
];

/** `usual` most of the time. */
function mostly<T>(random: Random, usual: readonly T[], odd: readonly T[], times: number): T {
  return random.once(times) ? random.pick(odd) : random.pick(usual);
}

function chunkedBody(random: Random): string {
  let text = '';
  for (let count = random.below(3); count > 0; count--) {
    const content = random.pick(CONTENT);
    if (content === '') continue;
    const size = random.once(15) ? random.pick(ODD_SIZES) : content.length.toString(16);
    text += `${size}${mostly(random, ENDS, ODD_ENDS, 50)}${content}${mostly(random, ENDS, ODD_ENDS, 50)}`;
  }
  const last = random.once(25) ? random.pick(ODD_SIZES) : '0';
  const trailers = random.once(5) ? `${mostly(random, HEADERS, ODD_HEADERS, 3)}\r\n` : '';
  return `${text}${last}${mostly(random, ENDS, ODD_ENDS, 50)}${trailers}${mostly(random, ENDS, ODD_ENDS, 50)}`;
}

function request(random: Random): string {
  const end = (): string => mostly(random, ENDS, ODD_ENDS, 150);
  const lines = ['Host: h'];
  for (let count = random.below(4); count > 0; count--) lines.push(mostly(random, HEADERS, ODD_HEADERS, 8));
  let body = '';
  const kind = random.below(4);
  if (kind === 1) {
    body = random.pick(CONTENT);
    lines.push(`Content-Length: ${String(random.once(10) ? random.below(10) : body.length)}`);
  } else if (kind === 2) {
    body = chunkedBody(random);
    lines.push('Transfer-Encoding: chunked');
  }
  if (random.once(4)) lines.sort();
  if (random.once(60)) lines.shift();
  const first = `${mostly(random, METHODS, ODD_METHODS, 40)} ${mostly(random, TARGETS, ODD_TARGETS, 20)} ${mostly(random, VERSIONS, ODD_VERSIONS, 40)}`;
  return `${[first, ...lines].map((line) => `${line}${end()}`).join('')}${end()}${body}`;
}

function mutate(random: Random, text: string): string {
  const at = random.below(text.length + 1);
  switch (random.below(4)) {
    case 0:
      return text.slice(0, at) + random.pick(INTERESTING) + text.slice(at);
    case 1:
      return text.slice(0, at) + text.slice(at + 1 + random.below(3));
    case 2:
      return text.slice(0, at) + random.pick(INTERESTING) + text.slice(at + 1);
    default: {
      const length = random.below(20);
      return text.slice(0, at) + text.slice(at, at + length) + text.slice(at);
    }
  }
}

/** One stream: one to three requests. */
export function generateStream(random: Random): string {
  let text = '';
  for (let count = 1 + random.below(3); count > 0; count--) text += request(random);
  for (let count = random.once(2) ? 1 + random.below(2) : 0; count > 0; count--) text = mutate(random, text);
  return text;
}
