// What a TLS handshake has led to, as the metrics tell it.

import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

/** It is settled once for a connection. */
const known = new WeakMap<Socket, string>();

/** `1.3 TLS_AES_128_GCM_SHA256`: the version and the cipher suite by its IANA name; undefined for plaintext. */
export function handshakeOf(socket: Socket): string | undefined {
  if (!(socket instanceof TLSSocket)) return undefined;
  let text = known.get(socket);
  if (text === undefined) {
    const version = socket.getProtocol()?.replace('TLSv', '') ?? '';
    // TLS 1.0 has no digit after its point in OpenSSL's names.
    const cipher = socket.getCipher() as ReturnType<typeof socket.getCipher> | undefined;
    text = `${version === '1' ? '1.0' : version} ${cipher?.standardName ?? ''}`;
    known.set(socket, text);
  }
  return text;
}
