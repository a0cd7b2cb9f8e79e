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

/** PEM texts, read once; `SSL_CERT_FILE` goes first, as for OpenSSL and Go. Node's own list where the system has none. */
export function systemRoots(): string[] {
  roots ??= readRoots();
  return [...roots];
}

function readRoots(): readonly string[] {
  const file = [process.env['SSL_CERT_FILE'] ?? '', ...FILES].find((path) => path !== '' && existsSync(path));
  if (file === undefined) return tls.rootCertificates;
  return readFileSync(file, 'utf8').match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
}
