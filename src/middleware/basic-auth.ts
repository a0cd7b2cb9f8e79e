// HTTP basic authentication. Source: RFC 7617; Traefik documentation, basicAuth. Slow hashes are checked on a thread of its own, one
// at a time, and what has been verified is remembered under a keyed digest, so that a page with fifty requests costs one check.

import { createHash, createHmac, randomBytes } from 'node:crypto';
import type { BasicAuthConfiguration } from '../config/static.ts';
import { ProxyError } from '../errors.ts';
import { verifyHash } from './hash-pool.ts';
import { isSame } from './is-same.ts';

/** Checks credentials for one middleware. */
export interface BasicAuth {
  readonly kind: 'basicAuth';
  readonly realm: string;
  /** The Authorization header must not reach the server. */
  readonly removeHeader: boolean;
  /** A header in which the server is told the user's name. */
  readonly headerField: string | undefined;
  /** The user's name, or undefined when refused. */
  check(authorization: string | undefined): Promise<string | undefined>;
  /** The same without waiting, for credentials that were accepted before; undefined says nothing. */
  checkCached(authorization: string | undefined): string | undefined;
}

const CACHE_ENTRIES = 1000;

/** Some hashes cost more the longer a password is, and checks wait with theirs; nobody's is this long. */
const MAX_PASSWORD_BYTES = 1024;

/** What a configuration must not smuggle into a head: a line end, above all. */
const CONTROL = /[\u0000-\u001f\u007f]/;
const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;
/** Fields that are the proxy's own to write. */
const OWN_FIELDS =
  /^(?:content-length|transfer-encoding|connection|upgrade|host|te|trailer|keep-alive|expect)$/i;

type Hash = (password: string) => Promise<boolean>;

/** Throws ProxyError JTP_ERR_CONFIG_INVALID for a user that is not `name:hash`, or what would break a head. A hash of an unknown kind fits no password. */
export function createBasicAuth(options: BasicAuthConfiguration): BasicAuth {
  return new HashedBasicAuth(options);
}

class HashedBasicAuth implements BasicAuth {
  readonly kind = 'basicAuth';
  readonly realm: string;
  readonly removeHeader: boolean;
  readonly headerField: string | undefined;
  readonly #users: ReadonlyMap<string, Hash>;
  readonly #cacheKey = randomBytes(32);
  /** Digest of accepted credentials → user name, the oldest first. */
  readonly #accepted = new Map<string, string>();

  constructor(options: BasicAuthConfiguration) {
    this.realm = options.realm ?? 'traefik';
    this.removeHeader = options.removeHeader ?? false;
    this.headerField = options.headerField;
    if (CONTROL.test(this.realm)) throw invalid('the realm has a control character');
    if (
      this.headerField !== undefined &&
      (!HEADER_NAME.test(this.headerField) || OWN_FIELDS.test(this.headerField))
    )
      throw invalid(`headerField "${this.headerField}" cannot be used: expected the name of a header`);
    const users = new Map<string, Hash>();
    for (const user of options.users) {
      const [name = '', hash, ...rest] = user.split(':');
      if (hash === undefined || rest.length > 0 || name === '')
        throw invalid(`error parsing BasicUser: ${redacted(user)}`);
      if (CONTROL.test(name)) throw invalid(`the user ${JSON.stringify(name)} has a control character`);
      users.set(name, hashChecker(hash));
    }
    this.#users = users;
  }

  checkCached(authorization: string | undefined): string | undefined {
    return authorization === undefined ? undefined : this.#accepted.get(this.#digest(authorization));
  }

  async check(authorization: string | undefined): Promise<string | undefined> {
    const credentials = parseCredentials(authorization);
    if (authorization === undefined || credentials === undefined) return undefined;
    const { name, password } = credentials;
    if (Buffer.byteLength(password, 'utf8') > MAX_PASSWORD_BYTES) return undefined;
    const known = this.#users.get(name);
    // An unknown name costs as much as a known one, so that time does not tell them apart.
    const hash = known ?? this.#users.values().next().value;
    if (hash === undefined) return undefined;
    const isRight = await hash(password);
    if (!isRight || known === undefined) return undefined;
    this.#remember(this.#digest(authorization), name);
    return name;
  }

  #digest(authorization: string): string {
    return createHmac('sha256', this.#cacheKey).update(authorization).digest('base64');
  }

  #remember(digest: string, name: string): void {
    if (this.#accepted.size >= CACHE_ENTRIES) {
      const oldest = this.#accepted.keys().next().value;
      if (oldest !== undefined) this.#accepted.delete(oldest);
    }
    this.#accepted.set(digest, name);
  }
}

function invalid(message: string): ProxyError {
  return new ProxyError('JTP_ERR_CONFIG_INVALID', { message });
}

/** RFC 7617 §2; the bytes are UTF-8, as every browser sends them today. */
function parseCredentials(
  authorization: string | undefined,
): { readonly name: string; readonly password: string } | undefined {
  const encoded = /^basic ([A-Za-z0-9+/]+={0,2})$/i.exec(authorization ?? '')?.[1];
  if (encoded === undefined || encoded.length % 4 !== 0) return undefined;
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon < 0 ? undefined : { name: text.slice(0, colon), password: text.slice(colon + 1) };
}

/** An entry that is not `name:hash` may be anything, a password for example. */
function redacted(user: string): string {
  return user.includes(':') ? `${user.split(':')[0] ?? ''}:…` : user;
}

function hashChecker(hash: string): Hash {
  if (/^\$2[abxy]\$[0-9]{2}\$[./A-Za-z0-9]{53}$/.test(hash)) {
    // `$2y$` and `$2x$` are other names of what the library calls `$2b$`.
    const known = hash.replace(/^\$2[xy]\$/, '$2b$');
    return (password) => verifyHash(password, known);
  }
  if (/^\$(?:apr1|1)\$/.test(hash)) return (password) => verifyHash(password, hash);
  if (hash.startsWith('{SHA}'))
    return (password) => {
      const digest = createHash('sha1').update(password, 'utf8').digest('base64');
      return Promise.resolve(isSame(`{SHA}${digest}`, hash));
    };
  // Such a user can never log in; the others can.
  return () => Promise.resolve(false);
}
