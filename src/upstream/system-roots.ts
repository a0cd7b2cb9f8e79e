// The certificate authorities that this machine trusts, so that a company's own authority, installed for the system, counts here too.

import { existsSync, readFileSync } from 'node:fs';
import tls from 'node:tls';

/** Where systems keep them in one file: Debian and Alpine, Fedora and RHEL, openSUSE, older RHEL. */
const FILES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/pki/tls/cert.pem',
];

let roots: readonly string[] | undefined;

/**
 * PEM texts, read once; `SSL_CERT_FILE` goes first, as for OpenSSL and Go. Node's own list where the system has none. `NODE_EXTRA_CA_CERTS`
 * come on top, as for Node, which says so itself when it cannot read them.
 */
export function systemRoots(): string[] {
  roots ??= readRoots();
  return [...roots];
}

function readRoots(): readonly string[] {
  const file = [process.env['SSL_CERT_FILE'] ?? '', ...FILES].find((path) => path !== '' && existsSync(path));
  const extra = process.env['NODE_EXTRA_CA_CERTS'] ?? '';
  return [
    ...(file === undefined ? tls.rootCertificates : certificatesIn(file)),
    ...(existsSync(extra) ? certificatesIn(extra) : []),
  ];
}

function certificatesIn(file: string): readonly string[] {
  return readFileSync(file, 'utf8').match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
}
