// Certificates as PEM texts: the paths of the configuration are read here, so that workers never open a file.

import { readFileSync } from 'node:fs';
import type { CertificateConfiguration, TlsConfiguration } from '../config/dynamic.ts';
import type { StaticConfiguration } from '../config/static.ts';
import { errorText } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { TlsSpec } from './table-change.ts';

/** A certificate and its key in PEM. */
export interface PemPair {
  readonly cert: string;
  readonly key: string;
}

/** The part of a TlsSpec that is about certificates. */
export type TlsCertificates = Pick<TlsSpec, 'certificates' | 'defaultCertificate' | 'fallbackCertificate'>;

/** What `readCertificates` works on. */
export interface TlsSources {
  readonly configurations: readonly TlsConfiguration[];
  readonly static: StaticConfiguration;
  readonly fallbackCertificate: PemPair | undefined;
  readonly checkCertificate: (pair: PemPair) => void;
  readonly log: Logger;
  /** What was in use until now: a default certificate that cannot be read any more stays. */
  readonly before: TlsCertificates;
}

/** Reads every pair; one that cannot be used is left out and named in the log. */
export function readCertificates(sources: TlsSources): TlsCertificates {
  const { configurations, before, fallbackCertificate } = sources;
  const certificates: PemPair[] = [];
  let defaultCertificate: PemPair | undefined;
  for (const { certificates: own = [] } of sources.static.entryPoints.values())
    for (const pair of own) {
      const found = readPair(pair, sources);
      if (found === undefined) continue;
      certificates.push(found);
      // Version 1: the first certificate of an entry point is what nameless clients get.
      defaultCertificate ??= found;
    }
  for (const tls of configurations) {
    for (const pair of tls.certificates) {
      const found = readPair(pair, sources);
      if (found !== undefined) certificates.push(found);
    }
    if (tls.defaultCertificate !== undefined)
      defaultCertificate = readPair(tls.defaultCertificate, sources) ?? before.defaultCertificate;
  }
  return {
    certificates,
    ...(defaultCertificate === undefined ? {} : { defaultCertificate }),
    ...(fallbackCertificate === undefined ? {} : { fallbackCertificate }),
  };
}

function readPair(pair: CertificateConfiguration, sources: TlsSources): PemPair | undefined {
  try {
    const read = { cert: readPem(pair.certFile), key: readPem(pair.keyFile) };
    sources.checkCertificate(read);
    return read;
  } catch (error) {
    sources.log.error(
      { certFile: pair.certFile.slice(0, 200), reason: errorText(error) },
      'the certificate is not used',
    );
    return undefined;
  }
}

/** Traefik accepts a path or the text itself. Throws the error of the file system. */
export function readPem(pathOrText: string): string {
  return pathOrText.includes('-----BEGIN') ? pathOrText : readFileSync(pathOrText, 'utf8');
}
