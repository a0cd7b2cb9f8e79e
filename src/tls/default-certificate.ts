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

/** The pair, when there is one, and whether it is on disk already. */
export class DefaultCertificate {
  readonly #file: string;
  readonly #log: Logger;
  #pair: Pair | undefined;
  #making: Promise<Pair> | undefined;
  #isKept: boolean;
  #isSaid = false;

  /** Reads the one that was kept. */
  constructor(folder: string, log: Logger) {
    this.#file = join(folder, FILE);
    this.#log = log;
    this.#pair = readKept(this.#file);
    this.#isKept = this.#pair !== undefined;
  }

  /** Undefined until `make` has resolved where none was kept. */
  get pair(): Pair | undefined {
    return this.#pair;
  }

  /** Makes one where there is none. That takes a good part of a start, and most programs never offer it. */
  async make(): Promise<Pair> {
    if (this.#pair !== undefined) return this.#pair;
    this.#making ??= import('./self-signed.ts').then((module) => module.createSelfSignedCertificate());
    this.#pair = await this.#making;
    return this.#pair;
  }

  /** Told when clients are offered it: says so once, and writes the file. */
  async offer(): Promise<void> {
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
    const { key, cert } = await this.make();
    try {
      mkdirSync(dirname(this.#file), { recursive: true, mode: 0o700 });
      writeFileSync(this.#file, `${key}${cert}\n`, { mode: 0o600 });
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
