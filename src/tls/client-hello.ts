// What a TLS client says first, as far as the choice of certificate and options depends on it. The bytes are only looked at: OpenSSL gets
// all of them afterwards and judges them; whatever is unclear here counts as "no name".

const RECORD_HEADER = 5;
const RECORD_HANDSHAKE = 0x16;
const HANDSHAKE_HEADER = 4;
const CLIENT_HELLO = 1;
const EXTENSION_SERVER_NAME = 0;
const NAME_TYPE_HOST = 0;

/** Bytes after which a client must have said its name; today's largest, with post-quantum keys, take 2 KiB. */
export const MAX_HELLO_BYTES = 16_384;

/** `incomplete`: more bytes are needed. The name is in lower case, without a dot at its end; empty when there is none. */
export type ClientHello = 'incomplete' | { readonly serverName: string };

const NO_NAME: ClientHello = { serverName: '' };
const NOTHING = Buffer.alloc(0);

/** Reads the server name off the first bytes of a connection. Source: RFC 8446 §4.1.2, §5.1; RFC 6066 §3. */
export function readClientHello(bytes: Buffer): ClientHello {
  const message = handshakeMessage(bytes);
  if (message === undefined) return bytes.length >= MAX_HELLO_BYTES ? NO_NAME : 'incomplete';
  return { serverName: message.length === 0 ? '' : serverNameOf(message) };
}

/**
 * The ClientHello's body, put together from its records; undefined while it is incomplete, empty when it is something else. Looks at each
 * record once and copies in the end: whoever sends one byte per record, and one byte at a time, must not cost more than its bytes.
 */
function handshakeMessage(bytes: Buffer): Buffer | undefined {
  const pieces: Buffer[] = [];
  const header: number[] = [];
  let length = 0;
  let at = 0;
  while (at + RECORD_HEADER <= bytes.length) {
    const size = bytes.readUInt16BE(at + 3);
    // RFC 8446 §5.1: there are no empty records in a handshake.
    if (bytes[at] !== RECORD_HANDSHAKE || size === 0) return NOTHING;
    const end = at + RECORD_HEADER + size;
    const piece = bytes.subarray(at + RECORD_HEADER, Math.min(end, bytes.length));
    pieces.push(piece);
    length += piece.length;
    if (header.length < HANDSHAKE_HEADER) header.push(...piece.subarray(0, HANDSHAKE_HEADER - header.length));
    if (header[0] !== undefined && header[0] !== CLIENT_HELLO) return NOTHING;
    const [, high = 0, middle = 0, low = 0] = header;
    const needed = HANDSHAKE_HEADER + high * 65_536 + middle * 256 + low;
    if (header.length === HANDSHAKE_HEADER && length >= needed)
      return Buffer.concat(pieces).subarray(HANDSHAKE_HEADER, needed);
    if (end > bytes.length) break;
    at = end;
  }
  return undefined;
}

function serverNameOf(hello: Buffer): string {
  // legacy_version and random, then three lists of varying length.
  let at = 2 + 32;
  at += 1 + (hello[at] ?? 0);
  if (at + 2 > hello.length) return '';
  at += 2 + hello.readUInt16BE(at);
  at += 1 + (hello[at] ?? 0);
  if (at + 2 > hello.length) return '';
  const end = Math.min(hello.length, at + 2 + hello.readUInt16BE(at));
  at += 2;
  while (at + 4 <= end) {
    const type = hello.readUInt16BE(at);
    const length = hello.readUInt16BE(at + 2);
    at += 4;
    if (type === EXTENSION_SERVER_NAME) return hostNameOf(hello.subarray(at, Math.min(end, at + length)));
    at += length;
  }
  return '';
}

function hostNameOf(list: Buffer): string {
  let at = 2;
  while (at + 3 <= list.length) {
    const length = list.readUInt16BE(at + 1);
    const end = at + 3 + length;
    if (list[at] === NAME_TYPE_HOST && end <= list.length)
      return list
        .latin1Slice(at + 3, end)
        .toLowerCase()
        .replace(/\.$/, '');
    at = end;
  }
  return '';
}
