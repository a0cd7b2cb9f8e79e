import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { isoTime } from '../../src/api/iso-time.ts';

describe('isoTime', () => {
  it('writes what Date writes, whatever was asked before', () => {
    const anyTime = fc.oneof(
      fc.double({ min: -8.64e15, max: 8.64e15, noNaN: true }),
      fc.integer({ min: 0, max: 3 * 86_400_000 }),
      fc.constantFrom(0, -1, 86_399_999, 86_400_000, -86_400_000, 8.64e15, -8.64e15),
    );
    fc.assert(
      fc.property(fc.array(anyTime, { maxLength: 20 }), (times) => {
        for (const time of times) assert.equal(isoTime(time), new Date(time).toISOString());
      }),
    );
  });

  it('refuses what is no time', () => {
    for (const time of [NaN, Infinity, 8.65e15]) assert.throws(() => isoTime(time), RangeError);
    assert.equal(isoTime(0), '1970-01-01T00:00:00.000Z');
  });
});
