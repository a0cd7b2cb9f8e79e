// The certificate of our own, for TLS clients where nothing is configured: made once and kept, so that an exception that somebody has
// added to a browser stays good. It is written to disk only when it is needed.

import { X509Certificate } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { errorText } from '../errors.ts';
import type { Logger } from '../log.ts';
import { assertUsablePair } from './certificate-store.ts';
import type { Pair } from './certificate-store.ts';
import { createSelfSignedCertificate } from './self-signed.ts';

const FILE = 'default-certificate.pem';
/** A certificate that ends sooner than this is replaced at the next start. */
const RENEW_MS = 30 * 86_400_000;

/** systemd's StateDirectory, else the place for such files in a home folder. */
export function stateFolder(environment: NodeJS.ProcessEnv): string {
  const { STATE_DIRECTORY, XDG_STATE_HOME } = environment;
  if (STATE_DIRECTORY !== undefined && STATE_DIRECTORY !== '') return STATE_DIRECTORY.split(':')[0] ?? '';
  const base =
    XDG_STATE_HOME === undefined || XDG_STATE_HOME === ''
      ? join(homedir(), '.local', 'state')
      : XDG_STATE_HOME;
  return join(base, 'jupyterhub-traefik-proxy');
}

/** The pair, and whether it is on disk already. */
export class DefaultCertificate {
  readonly pair: Pair;
  readonly #file: string;
  readonly #log: Logger;
  #isKept: boolean;
  #isSaid = false;

  private constructor(pair: Pair, file: string, isKept: boolean, log: Logger) {
    this.pair = pair;
    this.#file = file;
    this.#isKept = isKept;
    this.#log = log;
  }

  /** The one that was kept, or a new one. */
  static async load(folder: string, log: Logger): Promise<DefaultCertificate> {
    const file = join(folder, FILE);
    const kept = readKept(file);
    return new DefaultCertificate(
      kept ?? (await createSelfSignedCertificate()),
      file,
      kept !== undefined,
      log,
    );
  }

  /** Told when clients may be offered it: says so once, and writes the file. */
  offer(): void {
    if (!this.#isSaid) {
      this.#isSaid = true;
      this.#log.warn(
        { file: this.#file },
        'no certificate is configured: TLS clients get a self-signed one, and browsers show a warning (ERR_CERT_AUTHORITY_INVALID, ' +
          'SEC_ERROR_UNKNOWN_ISSUER); set c.JupyterHub.ssl_cert and ssl_key, or tls.stores.default.defaultCertificate in the routes file',
      );
    }
    if (this.#isKept) return;
    this.#isKept = true;
    try {
      mkdirSync(dirname(this.#file), { recursive: true, mode: 0o700 });
      writeFileSync(this.#file, `${this.pair.key}${this.pair.cert}\n`, { mode: 0o600 });
    } catch (error) {
      this.#log.warn(
        { file: this.#file, reason: errorText(error) },
        'the self-signed certificate cannot be kept: the next start makes another one',
      );
    }
  }
}

function readKept(file: string): Pair | undefined {
  try {
    const text = readFileSync(file, 'utf8');
    const key = /-----BEGIN PRIVATE KEY-----[^]*?-----END PRIVATE KEY-----\n/.exec(text)?.[0] ?? '';
    const cert = /-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/.exec(text)?.[0] ?? '';
    const pair = { cert, key };
    assertUsablePair(pair);
    const isLasting = Date.parse(new X509Certificate(cert).validTo) - Date.now() > RENEW_MS;
    return isLasting ? pair : undefined;
  } catch {
    // None yet, or one that nobody can use: a new one takes its place.
    return undefined;
  }
}
