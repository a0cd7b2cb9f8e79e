// A certificate authority for tests: signs certificates for servers and clients.

import { randomBytes, webcrypto } from 'node:crypto';
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const RSA = {
  name: 'RSASSA-PKCS1-v1_5',
  hash: 'SHA-256',
  modulusLength: 2048,
  publicExponent: new Uint8Array([1, 0, 1]),
};
const DAY_MS = 86_400_000;

/** PEM texts. */
export interface IssuedPair {
  readonly cert: string;
  readonly key: string;
}

/** One authority with its own key. */
export class Authority {
  /** PEM. */
  readonly cert: string;
  readonly #name: string;
  readonly #keys: CryptoKeyPair;

  private constructor(name: string, keys: CryptoKeyPair, cert: string) {
    this.#name = name;
    this.#keys = keys;
    this.cert = cert;
  }

  static async create(name = 'CN=test authority'): Promise<Authority> {
    const keys = await generateKeys();
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      ...common(name),
      keys,
      extensions: [new x509.BasicConstraintsExtension(true, 1, true)],
    });
    return new Authority(name, keys, certificate.toString('pem'));
  }

  /** A certificate for these hosts (names or addresses) and URIs, good for servers and clients. The key is one of ECDSA unless RSA is asked for. */
  async issue(
    hosts: readonly string[],
    commonName = hosts[0] ?? 'nobody',
    keyType: 'ECDSA' | 'RSA' = 'ECDSA',
  ): Promise<IssuedPair> {
    const keys = await (keyType === 'RSA'
      ? webcrypto.subtle.generateKey(RSA, true, ['sign', 'verify'])
      : generateKeys());
    const certificate = await x509.X509CertificateGenerator.create({
      ...common(`CN=${commonName}`),
      subject: `CN=${commonName}`,
      issuer: this.#name,
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      extensions: [
        ...(hosts.length === 0
          ? []
          : [
              new x509.SubjectAlternativeNameExtension(
                hosts.map((value) => ({ type: nameType(value), value })),
              ),
            ]),
        new x509.ExtendedKeyUsageExtension(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']),
      ],
    });
    const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
    const lines = der.match(/.{1,64}/g) ?? [];
    return {
      cert: certificate.toString('pem'),
      key: `-----BEGIN PRIVATE KEY-----\n${lines.join('\n')}\n-----END PRIVATE KEY-----\n`,
    };
  }
}

function nameType(name: string): 'url' | 'ip' | 'dns' {
  if (name.includes('://')) return 'url';
  return /^[0-9.]+$|:/.test(name) ? 'ip' : 'dns';
}

type CryptoKeyPair = webcrypto.CryptoKeyPair;

function generateKeys(): Promise<CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

function common(name: string) {
  const now = Date.now();
  return {
    serialNumber: `00${randomBytes(16).toString('hex')}`,
    name,
    notBefore: new Date(now - DAY_MS),
    notAfter: new Date(now + DAY_MS),
    signingAlgorithm: ALGORITHM,
  };
}
