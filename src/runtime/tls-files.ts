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
  /** What each pair of files held when it could be used last. Kept up to date here: a pair that breaks stays as it was. */
  readonly lastGood: Map<string, PemPair>;
  /** Mistakes that the log has already. Kept up to date here. */
  readonly complaints: Map<string, string>;
}

/** Reads every pair. One that cannot be used is named in the log; it stays as it was, or is left out if it never could. */
export function readCertificates(sources: TlsSources): TlsCertificates {
  const { configurations, fallbackCertificate } = sources;
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
    if (tls.defaultCertificate !== undefined) defaultCertificate = readPair(tls.defaultCertificate, sources);
  }
  return {
    certificates,
    ...(defaultCertificate === undefined ? {} : { defaultCertificate }),
    ...(fallbackCertificate === undefined ? {} : { fallbackCertificate }),
  };
}

function readPair(pair: CertificateConfiguration, sources: TlsSources): PemPair | undefined {
  const { lastGood, complaints, log } = sources;
  const key = `${pair.certFile}\n${pair.keyFile}`;
  try {
    const read = { cert: readPem(pair.certFile), key: readPem(pair.keyFile) };
    sources.checkCertificate(read);
    lastGood.set(key, read);
    if (complaints.delete(key))
      log.warn({ certFile: shown(pair.certFile) }, 'the certificate can be used again');
    return read;
  } catch (error) {
    const before = lastGood.get(key);
    const reason = errorText(error);
    if (complaints.get(key) !== reason)
      log.error(
        { certFile: shown(pair.certFile), keyFile: shown(pair.keyFile), reason },
        before === undefined
          ? 'the certificate cannot be used'
          : 'the certificate cannot be used, the one before stays',
      );
    complaints.set(key, reason);
    return before;
  }
}

/** A path; a key given as text must not reach a log. */
function shown(pathOrText: string): string {
  return isPem(pathOrText) ? '(text)' : pathOrText;
}

function isPem(pathOrText: string): boolean {
  return pathOrText.includes('-----BEGIN');
}

/** The files that certificates and options name. */
export function namedFiles(
  configurations: Iterable<TlsConfiguration>,
  { entryPoints }: StaticConfiguration,
): readonly string[] {
  const named = new Set<string>();
  const pairs = [...entryPoints.values()].flatMap(({ certificates = [] }) => certificates);
  for (const { certificates, defaultCertificate, options = [] } of configurations) {
    pairs.push(...certificates);
    if (defaultCertificate !== undefined) pairs.push(defaultCertificate);
    for (const [, { clientAuth }] of options) for (const file of clientAuth?.caFiles ?? []) named.add(file);
  }
  for (const { certFile, keyFile } of pairs) named.add(certFile).add(keyFile);
  return [...named].filter((file) => !isPem(file));
}

/** Traefik accepts a path or the text itself. Throws the error of the file system. */
export function readPem(pathOrText: string): string {
  return isPem(pathOrText) ? pathOrText : readFileSync(pathOrText, 'utf8');
}
