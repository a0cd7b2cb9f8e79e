// How servers are connected to: the static configuration's `serversTransport`, or one of the dynamic configuration's. The TLS context is
// made once, with the first connection that needs it, and shared by all connections of the transport.

import net from 'node:net';
import type { Socket } from 'node:net';
import tls from 'node:tls';
import { connectOwned } from '../http1/owned-socket.ts';
import type { TransportOptions } from '../runtime/table-change.ts';
import { identityError } from './server-identity.ts';
import { systemRoots } from './system-roots.ts';
import type { TargetAddress } from './target-address.ts';

/** Bytes without an answer from the peer's machine: after this long probes are sent. Source: Go's default, which Traefik uses. */
const TCP_KEEP_ALIVE_MS = 30_000;

/** One way to connect. */
export class Transport {
  readonly options: TransportOptions;
  #context: tls.SecureContext | undefined;

  constructor(options: TransportOptions) {
    this.options = options;
  }

  /**
   * A socket on its way to the address; writing may begin at once, Node holds the bytes until it is connected. `session` is what the last
   * TLS connection to the same place was given, to save a full handshake.
   */
  open(address: TargetAddress, session: Buffer | undefined): Socket {
    const { scheme, connect } = address;
    if (scheme === 'http')
      return connectOwned({
        ...connect,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: TCP_KEEP_ALIVE_MS,
        allowHalfOpen: true,
      });
    this.#context ??= createContext(this.options);
    const host = 'host' in connect ? connect.host : undefined;
    const { serverName, insecureSkipVerify, peerCertSANs } = this.options;
    const name = serverName ?? host;
    // `allowHalfOpen` is passed on by Node, but not in its types.
    const options: tls.ConnectionOptions & { allowHalfOpen: boolean } = {
      ...connect,
      allowHalfOpen: true,
      secureContext: this.#context,
      ALPNProtocols: ['http/1.1'],
      // A wanted name is worth nothing in a certificate that anybody could have signed.
      rejectUnauthorized: !insecureSkipVerify || peerCertSANs.length > 0,
      // RFC 6066 §3: an address is no server name.
      ...(name === undefined || net.isIP(name) > 0 ? {} : { servername: name }),
      checkServerIdentity: (_host, certificate) => identityError(this.options, name, certificate),
      ...(session === undefined ? {} : { session }),
    };
    const socket = tls.connect(options);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
    return socket;
  }
}

/** Throws, with OpenSSL's reason, when nobody could connect in this way. */
export function assertUsableTransport(options: TransportOptions): void {
  createContext(options);
}

function createContext(options: TransportOptions): tls.SecureContext {
  const { rootCAs, certificates, minVersion = 'TLSv1.2', maxVersion, ciphers } = options;
  return tls.createSecureContext({
    ca: rootCAs.length === 0 ? systemRoots() : [...rootCAs],
    ...(certificates.length === 0
      ? {}
      : { cert: certificates.map(({ cert }) => cert), key: certificates.map(({ key }) => key) }),
    minVersion,
    ...(maxVersion === undefined ? {} : { maxVersion }),
    ...(ciphers === undefined ? {} : { ciphers }),
  });
}
