// The one buffer that small reads of all connections go into: nothing here is read across a turn of the event loop, so they never meet. Its
// bytes are only good until `onData` returns; whoever wants them longer takes `ownBytes`.
//
// Who sends much at once is given a buffer of its own for the next read, which leaves with the bytes and is written on without a copy. It waits
// for that read for as long as the connection says nothing, so only some connections have one: what others send is copied.

/** Bytes that one read brings at most. */
const INPUT_BYTES = 65536;

/** Reads up to this size are handed on inside the shared buffer. */
export const IN_PLACE_BYTES = 16384;

/** Connections of a worker that have a buffer of their own waiting, 16 MiB in all. */
const MAX_HOLDERS = 256;

const sharedInput = Buffer.allocUnsafeSlow(INPUT_BYTES);
const holders = new WeakSet();
let holderCount = 0;
let next = sharedInput;

/** The buffer for the next read of the connection that `planNextInput` was called for just now; of a new one, the shared one. */
export function nextInput(): Buffer {
  const planned = next;
  next = sharedInput;
  return planned;
}

/** To be called after each read: `isLarge` when it brought more than IN_PLACE_BYTES. */
export function planNextInput(connection: object, isLarge: boolean): void {
  next = isLarge && holds(connection) ? Buffer.allocUnsafeSlow(INPUT_BYTES) : sharedInput;
  if (!isLarge && holderCount > 0) giveInputBack(connection);
}

/** Whether a connection has a buffer of its own, or may have one from now on. */
function holds(connection: object): boolean {
  if (holders.has(connection)) return true;
  if (holderCount >= MAX_HOLDERS) return false;
  holders.add(connection);
  holderCount++;
  return true;
}

/** A connection that is closed, or sends little, holds nothing any more. */
export function giveInputBack(connection: object): void {
  if (holders.delete(connection)) holderCount--;
}

/** Whether the bytes that were read into a buffer belong to whoever is given them. */
export function isOwnInput(input: Buffer): boolean {
  return input !== sharedInput;
}

/** The same bytes, outside the shared buffer. */
export function ownBytes(chunk: Buffer, start: number, end: number): Buffer {
  const bytes = start === 0 && end === chunk.length ? chunk : chunk.subarray(start, end);
  return chunk.buffer === sharedInput.buffer ? Buffer.from(bytes) : bytes;
}
