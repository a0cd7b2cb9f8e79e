// The one buffer that small reads of all connections go into: nothing here is read across a turn of the event loop, so they never meet. Its
// bytes are only good until `onData` returns; whoever wants them longer takes `ownBytes`.
//
// Who sends much at once is given a buffer of its own for the next read, which leaves with the bytes and is written on without a copy. When all
// of them have been sent on and the kernel has taken them, it comes back and is read into again: a long body needs no memory of its own. It
// waits for the next read for as long as the connection says nothing, so only some connections have one: what others send is copied.

import type { Duplex } from 'node:stream';

/** Bytes that one read brings at most. */
const INPUT_BYTES = 65536;

/** Reads up to this size are handed on inside the shared buffer. */
export const IN_PLACE_BYTES = 16384;

/** Connections of a worker that have a buffer of their own waiting, 16 MiB in all. */
const MAX_HOLDERS = 256;

const sharedInput = Buffer.allocUnsafeSlow(INPUT_BYTES);
const holders = new WeakSet();
let holderCount = 0;
let next: Buffer = sharedInput;

/** The buffer for the next read of the connection that `endRead` was called for just now; of a new one, the shared one. */
export function nextInput(): Buffer {
  const planned = next;
  next = sharedInput;
  return planned;
}

/** Of the read that is being handed on: where its bytes are, how many of them were sent on, and by whom. */
let input: Buffer | undefined;
let sentBytes = 0;
let sender: Duplex | 'several' | undefined;

/** To be called before the bytes of a read are handed on. */
export function beginRead(bytesAt: Buffer): void {
  input = bytesAt;
  sentBytes = 0;
  sender = undefined;
}

/** To be called after each read, `length` bytes: chooses where the next one goes. */
export function endRead(connection: object, length: number): void {
  const used = input;
  input = undefined;
  if (length <= IN_PLACE_BYTES) {
    if (holderCount > 0) giveInputBack(connection);
    next = sharedInput;
  } else if (used !== undefined && used !== sharedInput && isFree(length)) next = used;
  else next = holds(connection) ? Buffer.allocUnsafeSlow(INPUT_BYTES) : sharedInput;
}

/** Whether nobody needs the bytes of this read any more. */
function isFree(length: number): boolean {
  return (
    sentBytes === length && typeof sender === 'object' && sender.writableLength === 0 && !sender.destroyed
  );
}

/** Sends bytes on that were just read, or older ones. Returns what the stream does: false when it should be given time. */
export function sendInput(stream: Duplex, chunk: Buffer, start: number, end: number): boolean {
  if (chunk.buffer === input?.buffer && input !== sharedInput) {
    sentBytes += end - start;
    sender = sender === undefined || sender === stream ? stream : 'several';
  }
  return stream.write(ownBytes(chunk, start, end));
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
