// Which certificate a connection gets: by the server name of the handshake, else the default one. Source: Traefik documentation, TLS
// certificates stores, and its behaviour where certificates overlap.

import { X509Certificate } from 'node:crypto';
import { isIPv6 } from 'node:net';
import tls from 'node:tls';
import { errorText, ProxyError } from '../errors.ts';

/** A certificate and its key, in PEM. */
export interface Pair {
  readonly cert: string;
  readonly key: string;
}

interface Named {
  /** All names of the certificate: of two certificates for one name, the one whose list is last in the alphabet is used. */
  readonly names: string;
  readonly pair: Pair;
}

/** The certificates of one worker. */
export class CertificateStore {
  #byName = new Map<string, Named>();
  #default: Pair | undefined;

  /** Replaces all certificates. Throws ProxyError JTP_ERR_TLS_CERTIFICATE, with everything as before, when one cannot be read. */
  update(certificates: readonly Pair[], fallback: Pair | undefined): void {
    const byName = new Map<string, Named>();
    for (const pair of certificates) {
      const list = certificateNames(pair.cert);
      const names = [...list].sort().join(',');
      for (const name of list) {
        const known = byName.get(name);
        if (known === undefined || names > known.names) byName.set(name, { names, pair });
      }
    }
    this.#default = fallback;
    this.#byName = byName;
  }

  /** The certificate that stands for a name (or address): exactly, or with one label in place of `*`. */
  find(name: string): Pair | undefined {
    const exact = this.#byName.get(name);
    const dot = name.indexOf('.');
    const wildcard = dot < 0 ? undefined : this.#byName.get(`*${name.slice(dot)}`);
    if (exact === undefined) return wildcard?.pair;
    if (wildcard === undefined || exact.names >= wildcard.names) return exact.pair;
    return wildcard.pair;
  }

  /** What everybody else gets; undefined when there is nothing to offer. */
  get default(): Pair | undefined {
    return this.#default;
  }
}

/** Checks that a pair can be used; throws ProxyError JTP_ERR_TLS_CERTIFICATE. */
export function assertUsablePair(pair: Pair): void {
  try {
    tls.createSecureContext({ cert: pair.cert, key: pair.key });
  } catch (cause) {
    throw certificateError(cause);
  }
  certificateNames(pair.cert);
}

function certificateError(cause: unknown): ProxyError {
  return new ProxyError('JTP_ERR_TLS_CERTIFICATE', {
    message: `the certificate cannot be used: ${errorText(cause)}`,
    cause,
  });
}

/** The names a certificate stands for, in lower case: its common name, its DNS names and its addresses. */
export function certificateNames(pem: string): readonly string[] {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(pem);
  } catch (cause) {
    throw certificateError(cause);
  }
  const names = new Set<string>();
  const common = /^CN=(.+)$/m.exec(certificate.subject)?.[1];
  if (common !== undefined) names.add(common.toLowerCase());
  for (const match of (certificate.subjectAltName ?? '').matchAll(/(?:DNS|IP Address):([^,\s"]+)/g))
    names.add(canonicalAddress((match[1] ?? '').toLowerCase()));
  return [...names];
}

/** An address as names are compared: IPv6 in its short form, `::ffff:10.0.0.1` as `10.0.0.1`; anything else as it is. */
export function canonicalAddress(text: string): string {
  const mapped = /^::ffff:([0-9.]+)$/i.exec(text)?.[1];
  if (mapped !== undefined) return mapped;
  if (!isIPv6(text)) return text;
  return new URL(`http://[${text}]/`).hostname.slice(1, -1);
}
