// One set of TLS options and one certificate as node:tls wants them.

import { constants, createHash } from 'node:crypto';
import type { TlsOptions } from 'node:tls';
import type { TlsOptionsSpec } from '../runtime/table-change.ts';
import type { Pair } from './certificate-store.ts';

/** How long a client may come back with its ticket; the key is changed less often than that. */
export const SESSION_SECONDS = 2 * 3600;

/** Names Node's own limit out of the way: the greeting has a deadline for the handshake. */
const NO_HANDSHAKE_TIMEOUT_MS = 600_000;

/** The options of a TLS server that never listens itself. */
export function serverOptions(spec: TlsOptionsSpec, pair: Pair, ticketKeys: Buffer): TlsOptions {
  const { clientAuth } = spec;
  const isOld = spec.minVersion === 'TLSv1' || spec.minVersion === 'TLSv1.1';
  return {
    cert: pair.cert,
    key: pair.key,
    minVersion: spec.minVersion,
    maxVersion: spec.maxVersion,
    // OpenSSL's default security level allows no signature that TLS 1.1 could use.
    ciphers: isOld ? `${spec.ciphers}:@SECLEVEL=0` : spec.ciphers,
    ...(spec.curves === '' ? {} : { ecdhCurve: spec.curves }),
    honorCipherOrder: true,
    ALPNProtocols: [...spec.alpnProtocols],
    requestCert: clientAuth.type !== 'NoClientCert',
    // OpenSSL asks and Node verifies; what to do about it is decided when the handshake is complete. Where only a verified certificate
    // will do, OpenSSL refuses clients without any itself, with an alert that browsers know how to explain.
    rejectUnauthorized: clientAuth.type === 'RequireAndVerifyClientCert',
    ...(clientAuth.ca.length === 0 ? {} : { ca: [...clientAuth.ca] }),
    ticketKeys,
    sessionTimeout: SESSION_SECONDS,
    // A session of one set of options must not be resumed under another: it could skip the client's certificate.
    sessionIdContext: createHash('sha256').update(JSON.stringify(spec)).digest('hex').slice(0, 32),
    handshakeTimeout: NO_HANDSHAKE_TIMEOUT_MS,
    // Phones without hardware AES put ChaCha20 first and are heard; nobody has a use for renegotiation.
    secureOptions:
      constants.SSL_OP_PRIORITIZE_CHACHA |
      constants.SSL_OP_NO_RENEGOTIATION |
      constants.SSL_OP_CIPHER_SERVER_PREFERENCE |
      (spec.disableSessionTickets ? constants.SSL_OP_NO_TICKET : 0),
  };
}
