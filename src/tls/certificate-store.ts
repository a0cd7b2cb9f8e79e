// Which certificate a connection gets: by the server name of the handshake, exact before wildcard, else the default one. Source: Traefik
// documentation, TLS certificates stores. Contexts are made once per certificate and kept over updates that do not change them.

import { X509Certificate } from 'node:crypto';
import tls from 'node:tls';
import { errorText, ProxyError } from '../errors.ts';
import type { TlsSpec } from '../runtime/table-change.ts';

interface Pair {
  readonly cert: string;
  readonly key: string;
}

/** The certificates of one worker. */
export class CertificateStore {
  #contexts = new Map<string, tls.SecureContext>();
  #byName = new Map<string, tls.SecureContext>();
  #default: tls.SecureContext | undefined;

  /** Replaces all certificates. Throws ProxyError JTP_ERR_TLS_CERTIFICATE, with everything as before, when a pair cannot be used. */
  update(spec: TlsSpec): void {
    const contexts = new Map<string, tls.SecureContext>();
    const contextOf = (pair: Pair): tls.SecureContext => {
      const id = `${pair.cert}\n${pair.key}`;
      const context = this.#contexts.get(id) ?? contexts.get(id) ?? createContext(pair);
      contexts.set(id, context);
      return context;
    };
    const byName = new Map<string, tls.SecureContext>();
    for (const pair of spec.certificates) {
      const context = contextOf(pair);
      for (const name of certificateNames(pair.cert)) if (!byName.has(name)) byName.set(name, context);
    }
    const fallback = spec.defaultCertificate ?? spec.fallbackCertificate;
    this.#default = fallback === undefined ? undefined : contextOf(fallback);
    this.#byName = byName;
    this.#contexts = contexts;
  }

  /** Throws ProxyError JTP_ERR_TLS_CERTIFICATE when there is nothing to offer. */
  contextFor(serverName: string | undefined): tls.SecureContext {
    const name = (serverName ?? '').toLowerCase().replace(/\.$/, '');
    const wildcard = `*.${name.slice(name.indexOf('.') + 1)}`;
    const context = this.#byName.get(name) ?? this.#byName.get(wildcard) ?? this.#default;
    if (context === undefined)
      throw new ProxyError('JTP_ERR_TLS_CERTIFICATE', { message: 'there is no certificate to offer' });
    return context;
  }
}

/** Checks that a pair can be used; throws ProxyError JTP_ERR_TLS_CERTIFICATE. */
export function assertUsablePair(pair: Pair): void {
  createContext(pair);
  certificateNames(pair.cert);
}

function createContext(pair: Pair): tls.SecureContext {
  try {
    return tls.createSecureContext({ cert: pair.cert, key: pair.key, minVersion: 'TLSv1.2' });
  } catch (cause) {
    throw new ProxyError('JTP_ERR_TLS_CERTIFICATE', {
      message: `the certificate cannot be used: ${errorText(cause)}`,
      cause,
    });
  }
}

/** The host names a certificate stands for, in lower case: its DNS and IP subject alternative names, or else its common name. */
function certificateNames(pem: string): readonly string[] {
  const certificate = new X509Certificate(pem);
  const names = [...(certificate.subjectAltName ?? '').matchAll(/(?:DNS|IP Address):([^,\s"]+)/g)].map(
    (match) => (match[1] ?? '').toLowerCase(),
  );
  if (names.length > 0) return names;
  const common = /^CN=(.+)$/m.exec(certificate.subject)?.[1];
  return common === undefined ? [] : [common.toLowerCase()];
}
