// The one buffer that small reads of all servers' connections go into: nothing here is read across a turn of the event loop, so they never
// meet. Its bytes are only good until `onData` returns; whoever wants them longer takes `ownBytes`.

/** Bytes that one read brings at most. */
export const INPUT_BYTES = 65536;

/** Reads up to this size are handed on inside the shared buffer. */
export const IN_PLACE_BYTES = 16384;

export const sharedInput = Buffer.allocUnsafeSlow(INPUT_BYTES);

/** The same bytes, outside the shared buffer. */
export function ownBytes(chunk: Buffer, start: number, end: number): Buffer {
  const bytes = start === 0 && end === chunk.length ? chunk : chunk.subarray(start, end);
  return chunk.buffer === sharedInput.buffer ? Buffer.from(bytes) : bytes;
}
