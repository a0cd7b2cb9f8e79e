import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { closeFrame, FrameReader } from '../../src/tunnel/frames.ts';
import { frame } from '../support/web-socket.ts';

const long = 'x'.repeat(300);
const veryLong = 'y'.repeat(70_000);

const streams: readonly {
  name: string;
  bytes: string;
  data: number;
  control: number;
  hasClosed?: boolean;
  isLost?: boolean;
}[] = [
  { name: 'a short text', bytes: frame(1, 'hello'), data: 1, control: 0 },
  { name: 'an empty frame', bytes: frame(2, ''), data: 1, control: 0 },
  { name: 'masked frames', bytes: frame(1, 'a', { isMasked: true }).repeat(3), data: 3, control: 0 },
  { name: 'a length of two bytes', bytes: frame(2, long) + frame(9, ''), data: 1, control: 1 },
  {
    name: 'a length of two bytes with a mask',
    bytes: frame(2, long, { isMasked: true }) + frame(10, 'p', { isMasked: true }),
    data: 1,
    control: 1,
  },
  {
    name: 'a continuation around a ping',
    bytes: frame(1, 'a') + frame(9, 'p') + frame(0, 'b'),
    data: 2,
    control: 1,
  },
  { name: 'a close', bytes: frame(1, 'bye') + frame(8, '\x03\xe8'), data: 1, control: 0, hasClosed: true },
  { name: 'an unknown opcode', bytes: frame(1, 'a') + frame(3, 'b'), data: 1, control: 0, isLost: true },
  { name: 'a ping that is too long', bytes: frame(9, long), data: 0, control: 0, isLost: true },
  {
    name: 'a length beyond all reason',
    bytes: '\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff',
    data: 0,
    control: 0,
    isLost: true,
  },
];

describe('FrameReader', () => {
  for (const { name, bytes, data, control, hasClosed = false, isLost = false } of streams)
    it(`counts ${name}, however it is split`, () => {
      const buffer = Buffer.from(bytes, 'latin1');
      for (let at = 0; at <= buffer.length; at++) {
        const reader = new FrameReader();
        reader.read(buffer.subarray(0, at));
        reader.read(buffer.subarray(at));
        const found = [reader.dataFrames, reader.controlFrames, reader.hasClosed, reader.isLost];
        assert.deepEqual(found, [data, control, hasClosed, isLost], `split at ${String(at)}`);
        assert.equal(reader.isBetweenFrames, !isLost, `split at ${String(at)}`);
      }
    });

  it('counts frames that arrive byte by byte', () => {
    const reader = new FrameReader();
    const bytes = Buffer.from(
      frame(2, long, { isMasked: true }) + frame(9, 'ping') + frame(2, veryLong),
      'latin1',
    );
    for (const byte of bytes) reader.read(Buffer.from([byte]));
    assert.deepEqual([reader.dataFrames, reader.controlFrames], [2, 1]);
    assert.equal(reader.isBetweenFrames, true);
  });

  it('says whether data was among what passed', () => {
    const reader = new FrameReader();
    assert.equal(reader.read(Buffer.from(frame(9, 'p'), 'latin1')), false);
    const text = Buffer.from(frame(1, 'text'), 'latin1');
    assert.equal(reader.read(text.subarray(0, 4)), true);
    assert.equal(reader.read(text.subarray(4)), true);
    assert.equal(reader.read(Buffer.from(frame(10, ''), 'latin1')), false);
  });

  it('finds the first place between two frames', () => {
    const two = Buffer.from(frame(1, 'abc') + frame(1, 'def'), 'latin1');
    for (let at = 1; at < 5; at++) {
      const reader = new FrameReader();
      reader.read(two.subarray(0, at));
      assert.equal(reader.isBetweenFrames, false);
      reader.read(two.subarray(at), true);
      assert.equal(reader.boundary, 5 - at);
      assert.equal(reader.isBetweenFrames, true);
      assert.equal(reader.dataFrames, 1);
    }
  });

  it('finds no such place in the middle of a frame', () => {
    const reader = new FrameReader();
    const bytes = Buffer.from(frame(1, 'abcdef'), 'latin1');
    reader.read(bytes.subarray(0, 2));
    reader.read(bytes.subarray(2, 4), true);
    assert.equal(reader.boundary, -1);
  });
});

describe('closeFrame', () => {
  it('is plain for clients', () => {
    assert.deepEqual(closeFrame(1001, false), Buffer.from([0x88, 2, 0x03, 0xe9]));
  });

  it('is masked for servers', () => {
    const bytes = closeFrame(1001, true);
    assert.equal(bytes.length, 8);
    assert.deepEqual(bytes.subarray(0, 2), Buffer.from([0x88, 0x82]));
    const [m0 = 0, m1 = 0, , , p0 = 0, p1 = 0] = bytes.subarray(2);
    assert.deepEqual([p0 ^ m0, p1 ^ m1], [0x03, 0xe9]);
  });
});
