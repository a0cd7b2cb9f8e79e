// An HTTP/2 client in frames, for what no library would send: header lists as they are given, in literals without compression.

import http2 from 'node:http2';
import type { TestContext } from 'node:test';
import type { Peer } from './sockets.ts';
import { connectTls } from './tls.ts';

/** How a client begins. */
export const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

/** Frame types and flags. Source: RFC 9113 §6. */
export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  push: 5,
  ping: 6,
  goaway: 7,
  window: 8,
  continuation: 9,
} as const;
export const END_STREAM = 1;
export const END_HEADERS = 4;
const ACK = 1;

/** One received frame. */
export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Buffer = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** RFC 7541 §5.1, with a prefix of seven bits. */
function lengthBytes(length: number): number[] {
  if (length < 127) return [length];
  const bytes = [127];
  let rest = length - 127;
  while (rest >= 128) {
    bytes.push((rest & 127) | 128);
    rest >>= 7;
  }
  return [...bytes, rest];
}

/** A 32-bit number, as most frames have one. */
export function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** The payload of SETTINGS. */
export function settings(...pairs: readonly (readonly [id: number, value: number])[]): Buffer {
  return Buffer.concat(pairs.map(([id, value]) => Buffer.concat([Buffer.from([0, id]), word(value)])));
}

/** A header block of literals that are not indexed. Source: RFC 7541 §6.2.2. */
export function headerBlock(fields: readonly (readonly [name: string, value: string])[]): Buffer {
  return Buffer.concat(
    fields.flatMap(([name, value]) => [
      Buffer.from([0, ...lengthBytes(name.length)]),
      Buffer.from(name, 'latin1'),
      Buffer.from(lengthBytes(value.length)),
      Buffer.from(value, 'latin1'),
    ]),
  );
}

/** What every request needs. */
export function requestFields(
  overrides: Readonly<Record<string, string>> = {},
  more: readonly (readonly [string, string])[] = [],
): readonly (readonly [string, string])[] {
  const pseudo = { ':method': 'GET', ':scheme': 'https', ':authority': 'hub', ':path': '/', ...overrides };
  return [...Object.entries(pseudo), ...more];
}

const NO_WISHES: Buffer = Buffer.alloc(0);

/** A connection that is ready for streams. */
export class FrameClient {
  readonly peer: Peer;
  #stream = -1;

  /** `isGreeted`: the peer has sent the preface. Else `wishes` is the payload of the settings that come with it. */
  constructor(peer: Peer, { isGreeted = false, wishes = NO_WISHES } = {}) {
    this.peer = peer;
    if (!isGreeted) this.send(Buffer.from(PREFACE, 'latin1'), frame(FRAME.settings, 0, 0, wishes));
  }

  static async connect(t: Pick<TestContext, 'after'>, port: number): Promise<FrameClient> {
    const { peer } = await connectTls(t, port, { ALPNProtocols: ['h2'] });
    return new FrameClient(peer);
  }

  send(...frames: readonly Buffer[]): void {
    this.peer.socket.write(Buffer.concat(frames));
  }

  /** Begins a request; returns its stream. */
  request(fields: readonly (readonly [string, string])[], flags = END_STREAM): number {
    this.#stream += 2;
    this.send(frame(FRAME.headers, END_HEADERS | flags, this.#stream, headerBlock(fields)));
    return this.#stream;
  }

  /** The next frame; settings are acknowledged on the way. */
  async next(): Promise<Frame> {
    for (;;) {
      const head = Buffer.from(await this.peer.take(9), 'latin1');
      const payload = Buffer.from(await this.peer.take(head.readUIntBE(0, 3)), 'latin1');
      const found = { type: head[3] ?? 0, flags: head[4] ?? 0, stream: head.readUInt32BE(5), payload };
      if (found.type !== FRAME.settings) return found;
      if ((found.flags & ACK) === 0) this.send(frame(FRAME.settings, ACK, 0));
    }
  }

  /** How the connection ends: `goaway N`, or `closed` without a word. */
  async ending(): Promise<string> {
    try {
      const { payload } = await this.nextOf(FRAME.goaway);
      return `goaway ${codeName(payload.readUInt32BE(4))}`;
    } catch (error) {
      if (this.peer.isClosed) return 'closed';
      throw error;
    }
  }

  /** The next frame of a type. */
  async nextOf(type: number): Promise<Frame> {
    for (;;) {
      const found = await this.next();
      if (found.type === type) return found;
    }
  }

  /** What became of a stream: `reset N`, `headers`, or `goaway N` for the whole connection. */
  async outcome(stream: number): Promise<string> {
    const found = await this.answer(stream);
    return found.startsWith('status ') ? 'headers' : found;
  }

  /** The same with `status N`, for the first answer on a connection. */
  async answer(stream: number): Promise<string> {
    for (;;) {
      const { type, stream: id, payload } = await this.next();
      if (type === FRAME.goaway) return `goaway ${codeName(payload.readUInt32BE(4))}`;
      if (id !== stream) continue;
      if (type === FRAME.reset) return `reset ${codeName(payload.readUInt32BE(0))}`;
      if (type === FRAME.headers) return `status ${statusOf(payload)}`;
    }
  }
}

/** Digits in HPACK's Huffman code: five bits for the first three, six for the others. Source: RFC 7541, appendix B. */
const DIGITS: ReadonlyMap<string, string> = new Map([
  ['00000', '0'],
  ['00001', '1'],
  ['00010', '2'],
  ...[3, 4, 5, 6, 7, 8, 9].map(
    (digit) => [(22 + digit).toString(2).padStart(6, '0'), String(digit)] as const,
  ),
]);

/** Statuses of the static table, from index 8 on. Source: RFC 7541, appendix A. */
const STATUSES = ['200', '204', '206', '304', '400', '404', '500'];

/** The status in the first block of headers that a server sends on a connection; a later one may refer to what we have not kept. */
export function statusOf(block: Buffer): string {
  let at = 0;
  // RFC 7541 §6.3: sizes of the table come first.
  while (((block[at] ?? 0) & 0xe0) === 0x20) at++;
  const first = block[at] ?? 0;
  if (first >= 0x88 && first <= 0x8e) return STATUSES[first - 0x88] ?? '';
  const length = block[at + 1] ?? 0;
  const value = block.subarray(at + 2, at + 2 + (length & 0x7f));
  if ((length & 0x80) === 0) return value.toString('latin1');
  const bits = [...value].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  let text = '';
  for (let from = 0; text.length < 3 && from < bits.length;) {
    const size = DIGITS.has(bits.slice(from, from + 5)) ? 5 : 6;
    text += DIGITS.get(bits.slice(from, from + size)) ?? '?';
    from += size;
  }
  return text;
}

function codeName(code: number): string {
  const name = Object.entries(http2.constants).find(
    ([key, value]) =>
      value === code &&
      /^NGHTTP2_(?:NO_ERROR|PROTOCOL_ERROR|INTERNAL_ERROR|FLOW_CONTROL_ERROR|STREAM_CLOSED|FRAME_SIZE_ERROR|REFUSED_STREAM|CANCEL|COMPRESSION_ERROR|ENHANCE_YOUR_CALM)$/.test(
        key,
      ),
  );
  return name === undefined ? String(code) : name[0].slice('NGHTTP2_'.length);
}
