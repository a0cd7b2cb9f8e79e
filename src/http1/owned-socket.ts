// One owner per socket (or stream that behaves like one). The five listeners are attached once and forward to whoever owns the socket at
// the moment, so passing a socket on (from a client connection to a tunnel, say) is one assignment and can leave no listener behind.

import net from 'node:net';
import type { NetConnectOpts, OnReadOpts, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { beginRead, endRead, giveInputBack, IN_PLACE_BYTES, isOwnInput, nextInput } from './shared-input.ts';

/** Whoever reads from and writes to a socket. */
export interface SocketOwner {
  /** True: whoever is given the bytes of `onData` copies what is still needed when it returns (see `shared-input.ts`). */
  readonly readsInPlace?: boolean;
  onData(chunk: Buffer): void;
  /** The write buffer is empty again after a `write` that returned false. */
  onDrain(): void;
  /** The peer has sent its FIN. */
  onEnd(): void;
  /** `onClose` follows. */
  onError(error: Error): void;
  onClose(): void;
  /** Outgoing sockets only: the connection (for TLS: the handshake) is complete. */
  onConnect?(): void;
  /** No byte has moved, either way, for as long as `limitSilence` said. */
  onSilence?(): void;
}

/** What may wait to be sent before whoever it comes from is stopped; stopping and starting for each read costs more than the bytes. */
export const WRITE_BYTES = 131072;

const OWNER = Symbol('owner');
type OwnedSocket = Duplex & { [OWNER]?: SocketOwner | undefined };

function socketOnData(this: OwnedSocket, chunk: Buffer): void {
  this[OWNER]?.onData(chunk);
}
function socketOnDrain(this: OwnedSocket): void {
  this[OWNER]?.onDrain();
}
function socketOnEnd(this: OwnedSocket): void {
  this[OWNER]?.onEnd();
}
function socketOnError(this: OwnedSocket, error: Error): void {
  this[OWNER]?.onError(error);
}
function socketOnClose(this: OwnedSocket): void {
  const owner = this[OWNER];
  // Deleting the property would turn the whole object into a slow one.
  this[OWNER] = undefined;
  giveInputBack(this);
  owner?.onClose();
}
function socketOnConnect(this: OwnedSocket): void {
  this[OWNER]?.onConnect?.();
}

/** Makes `owner` the owner of a socket. Reading starts at once where it had none before. */
export function adoptSocket(socket: Duplex, owner: SocketOwner): void {
  const owned: OwnedSocket = socket;
  const isAdopted = owned[OWNER] !== undefined;
  owned[OWNER] = owner;
  if (isAdopted) return;
  socket.on('data', socketOnData);
  socket.on('drain', socketOnDrain);
  socket.on('end', socketOnEnd);
  socket.on('error', socketOnError);
  socket.on('close', socketOnClose);
}

/**
 * The same for a stream that nothing is read from: each listener costs a stream that carries one small answer more than the answer's bytes.
 * Its owner hears of room for more only after `awaitRoom`.
 */
export function adoptOutput(stream: Duplex, owner: SocketOwner): void {
  const owned: OwnedSocket = stream;
  owned[OWNER] = owner;
  stream.on('error', socketOnError);
  stream.on('close', socketOnClose);
}

/** Lets the owner of an output hear when its write buffer is empty again; nothing changes where it does already. */
export function awaitRoom(stream: Duplex): void {
  if (stream.listenerCount('drain', socketOnDrain) === 0) stream.on('drain', socketOnDrain);
}

/** The same for an outgoing socket; `event` is `connect` or, for TLS, `secureConnect`. */
export function adoptOutgoingSocket(
  socket: Duplex,
  owner: SocketOwner,
  event: 'connect' | 'secureConnect',
): void {
  adoptSocket(socket, owner);
  socket.once(event, socketOnConnect);
}

/**
 * A socket that reads without a new buffer for each read, which costs more than all that is done with a small request or answer
 * (`bench/small-get.ts`); `make` passes the option on to Node.
 */
export function readInPlace(make: (onread: OnReadOpts) => Socket): Socket {
  const socket: OwnedSocket & Socket = make({
    // Node asks before the first read and after each.
    buffer: nextInput,
    callback: (length, input) => {
      receive(socket, input as Buffer, length);
      return true;
    },
  });
  return socket;
}

/** Hands a read on. What is large is handed on with its buffer, so that it can be written on without a copy. */
function receive(socket: OwnedSocket, input: Buffer, length: number): void {
  const owner = socket[OWNER];
  beginRead(input);
  if (owner !== undefined) {
    const bytes = input.subarray(0, length);
    const isOwners = length > IN_PLACE_BYTES ? isOwnInput(input) : owner.readsInPlace === true;
    owner.onData(isOwners ? bytes : Buffer.from(bytes));
  }
  endRead(socket, length);
}

/** Connects to a server over plain TCP, or a Unix socket. */
export function connectOwned(options: NetConnectOpts): Socket {
  // The types leave out what sockets take as streams.
  const streamOptions: object = { writableHighWaterMark: WRITE_BYTES };
  return readInPlace((onread) => net.connect({ ...options, ...streamOptions, onread }));
}

function socketOnTimeout(this: OwnedSocket): void {
  this[OWNER]?.onSilence?.();
}

/**
 * From now on the owner hears (`onSilence`) when no byte has moved for so long, read or taken by the kernel, parts of a write included; 0 =
 * never. Node sees the parts, and nobody else can, so this is a timer of its own and no deadline of the sweep.
 */
export function limitSilence(socket: Socket, milliseconds: number): void {
  if (socket.listenerCount('timeout', socketOnTimeout) === 0) socket.on('timeout', socketOnTimeout);
  socket.setTimeout(milliseconds);
}

/** Gives the owner bytes that its predecessor has read too many of. */
export function deliverTo(socket: Duplex, bytes: Buffer): void {
  (socket as OwnedSocket)[OWNER]?.onData(bytes);
}

/** From now on `owner` hears of everything; the former owner hears of nothing more. */
export function passSocket(socket: Duplex, owner: SocketOwner): void {
  const owned: OwnedSocket = socket;
  owned[OWNER] = owner;
}

/** For sockets whose bytes and errors are somebody else's matter: what has no owner would end the process with its errors. */
export const NOBODY: SocketOwner = {
  onData: ignore,
  onDrain: ignore,
  onEnd: ignore,
  onError: ignore,
  onClose: ignore,
};

function ignore(): void {
  // Nobody wants to know.
}

/** Leaves what comes to another kind of reader (TLS, HTTP/2), which takes it off the handle; the owner hears of the rest. */
export function leaveReading(socket: Duplex): void {
  socket.off('data', socketOnData);
  socket.pause();
}
