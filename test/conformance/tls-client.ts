// One TLS connection of a conformance case: the handshake as the client sees it, and the answer to a request over it.

import { X509Certificate } from 'node:crypto';
import tls from 'node:tls';
import { readMessage } from './http-message.ts';
import type { Observation } from './observation.ts';
import type { Peer } from './peer.ts';
import { request } from './requests.ts';

/** A connection and one request. */
export interface TlsAttempt {
  /** Default `tls`. */
  readonly entryPoint?: string;
  /** Absent: the client names nobody. */
  readonly serverName?: string;
  /** Host of the request; default: the server name. */
  readonly host?: string;
  readonly client?: tls.ConnectionOptions;
}

const DEADLINE_MS = 5000;

/**
 * Connects and sends `GET /`. Fields: `handshake` (`ok`, the name of an alert, `closed`), `version`, `cipher`, `group`, `alpn`, `certificate`
 * (by `names`, from fingerprints), `refusal` (what ended the connection after the handshake), `status`, `body`. With HTTP/2 agreed on,
 * nothing is sent.
 */
export function probeTls(
  peer: Peer,
  attempt: TlsAttempt,
  names: ReadonlyMap<string, string>,
): Promise<Observation> {
  const { entryPoint = 'tls', serverName, host = serverName ?? 'localhost', client = {} } = attempt;
  const seen = new Map<string, string>();
  return new Promise((resolve) => {
    const socket = tls.connect({
      host: '127.0.0.1',
      port: peer.port(entryPoint),
      rejectUnauthorized: false,
      ...(serverName === undefined ? {} : { servername: serverName }),
      ...client,
    });
    let bytes = '';
    const timer = setTimeout(() => {
      seen.set('outcome', 'timeout');
      finish();
    }, DEADLINE_MS);
    const finish = (): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(seen);
    };
    const read = (isClosed: boolean): boolean => {
      const message = readMessage(bytes, { kind: 'response', isClosed });
      if (message === undefined) return false;
      seen.set('status', message.startLine.split(' ')[1] ?? '');
      seen.set('body', message.body);
      return true;
    };
    socket.once('secureConnect', () => {
      addHandshake(socket, names, seen);
      if (socket.alpnProtocol === 'h2') finish();
      else socket.write(request('/', { host }));
    });
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.toString('latin1');
      if (read(false)) finish();
    });
    let isOver = false;
    const fail = (reason: string): void => {
      if (isOver) return;
      isOver = true;
      // With TLS 1.3, a client hears of a refusal after its own side of the handshake is complete.
      if (!seen.has('status') && !read(true))
        seen.set(seen.has('handshake') ? 'refusal' : 'handshake', reason);
      finish();
    };
    socket.on('end', () => {
      fail('closed');
    });
    socket.on('error', (error: Error) => {
      fail(reasonOf(error));
    });
  });
}

function addHandshake(
  socket: tls.TLSSocket,
  names: ReadonlyMap<string, string>,
  seen: Map<string, string>,
): void {
  seen.set('handshake', 'ok');
  seen.set('version', socket.getProtocol() ?? '');
  seen.set('cipher', socket.getCipher().standardName);
  const group = socket.getEphemeralKeyInfo();
  if (group !== null && 'name' in group) seen.set('group', String(group.name));
  seen.set('alpn', socket.alpnProtocol === false ? 'none' : (socket.alpnProtocol ?? 'none'));
  const { fingerprint256 } = socket.getPeerCertificate();
  seen.set('certificate', names.get(fingerprint256) ?? 'of its own');
}

/** The alert where there is one: `ERR_SSL_TLSV1_UNRECOGNIZED_NAME` is `unrecognized name`. */
function reasonOf(error: NodeJS.ErrnoException): string {
  const { code = error.message } = error;
  const alert = /^ERR_SSL_(?:TLSV1_ALERT_|TLSV1_|TLSV13_ALERT_|SSLV3_ALERT_)(.+)$/.exec(code)?.[1];
  if (alert !== undefined) return alert.toLowerCase().replaceAll('_', ' ');
  return code === 'ECONNRESET' || code === 'EPIPE' ? 'closed' : code;
}

/** The SHA-256 fingerprint of a certificate in PEM, as `getPeerCertificate` writes it. */
export function fingerprintOf(pem: string): string {
  return new X509Certificate(pem).fingerprint256;
}
