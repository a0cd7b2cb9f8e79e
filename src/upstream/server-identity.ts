// Whether a server's certificate, whose chain has been verified, is the one that a transport asks for: the host's, and one with a wanted
// subject alternative name. Source: Traefik documentation, ServersTransport.

import tls from 'node:tls';
import type { PeerCertificate } from 'node:tls';
import type { TransportOptions } from '../runtime/table-change.ts';

type PeerCertSan = TransportOptions['peerCertSANs'][number];

/**
 * What is wrong with the certificate; undefined: nothing. `name`: the host it has to be for; undefined: there is no host, and so none is
 * looked for. With `insecureSkipVerify` only wanted names count.
 */
export function identityError(
  options: Pick<TransportOptions, 'insecureSkipVerify' | 'peerCertSANs'>,
  name: string | undefined,
  certificate: PeerCertificate,
): Error | undefined {
  const { insecureSkipVerify, peerCertSANs } = options;
  const error =
    insecureSkipVerify || name === undefined ? undefined : tls.checkServerIdentity(name, certificate);
  if (error !== undefined || peerCertSANs.length === 0) return error;
  if (peerCertSANs.some((san) => hasName(certificate, san))) return undefined;
  const wanted = peerCertSANs.map(({ type, value }) => `${type} ${value}`).join(', ');
  return new Error(`the certificate has none of the names in peerCertSANs: ${wanted}`);
}

function hasName(certificate: PeerCertificate, { type, value }: PeerCertSan): boolean {
  if (type === 'DNSName') {
    // Without a subject, whose common name would do for Node where there are no other names.
    return tls.checkServerIdentity(value, { ...certificate, subject: NO_SUBJECT }) === undefined;
  }
  return uris(certificate.subjectaltname ?? '').includes(value.toLowerCase());
}

const NO_SUBJECT = { C: '', ST: '', L: '', O: '', OU: '', CN: '' };

/** In lower case, up to what cannot be read. Node quotes, as JSON, what could be taken for something else: `DNS:a, URI:"spiffe://x/y, DNS:b"`. */
function uris(names: string): readonly string[] {
  const found: string[] = [];
  for (const [, kind, quoted, plain = ''] of names.matchAll(
    /(?:^|, )([^:,"]+):(?:("(?:[^"\\]|\\.)*")|([^,"]*))(?=$|, )/gy,
  ))
    if (kind === 'URI') found.push((quoted === undefined ? plain : String(JSON.parse(quoted))).toLowerCase());
  return found;
}
