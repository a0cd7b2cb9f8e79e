// Which header names mean something to a proxy. Names are told apart by length and bytes, without making strings of them, because this
// runs for every header of every message.

export const HeaderKind = {
  other: 0,
  host: 1,
  connection: 2,
  contentLength: 3,
  transferEncoding: 4,
  upgrade: 5,
  te: 6,
  /** Further hop-by-hop fields: never forwarded. Source: RFC 9110 §7.6.1. */
  hopByHop: 7,
  keepAlive: 8,
  expect: 9,
  authorization: 10,
  date: 11,
  forwardedFor: 12,
  realIp: 13,
  forwardedProto: 14,
  forwardedHost: 15,
  forwardedPort: 16,
  forwardedServer: 17,
  /** The rest of the names that only a trusted peer may set. Source: Traefik documentation, forwardedHeaders. */
  forwardedOther: 18,
  trailer: 19,
} as const;

const NAMES: readonly (readonly [string, number])[] = [
  ['host', HeaderKind.host],
  ['connection', HeaderKind.connection],
  ['content-length', HeaderKind.contentLength],
  ['transfer-encoding', HeaderKind.transferEncoding],
  ['upgrade', HeaderKind.upgrade],
  ['te', HeaderKind.te],
  ['keep-alive', HeaderKind.keepAlive],
  ['proxy-connection', HeaderKind.hopByHop],
  ['proxy-authenticate', HeaderKind.hopByHop],
  ['proxy-authorization', HeaderKind.hopByHop],
  // Only ever used to smuggle HTTP/2 past a proxy (RFC 9113 §3.1 removed it).
  ['http2-settings', HeaderKind.hopByHop],
  ['expect', HeaderKind.expect],
  ['authorization', HeaderKind.authorization],
  ['date', HeaderKind.date],
  ['trailer', HeaderKind.trailer],
  ['x-forwarded-for', HeaderKind.forwardedFor],
  ['x-real-ip', HeaderKind.realIp],
  ['x-forwarded-proto', HeaderKind.forwardedProto],
  ['x-forwarded-host', HeaderKind.forwardedHost],
  ['x-forwarded-port', HeaderKind.forwardedPort],
  ['x-forwarded-server', HeaderKind.forwardedServer],
  ['x-forwarded-uri', HeaderKind.forwardedOther],
  ['x-forwarded-method', HeaderKind.forwardedOther],
  ['x-forwarded-prefix', HeaderKind.forwardedOther],
  ['x-forwarded-scheme', HeaderKind.forwardedOther],
  ['x-scheme', HeaderKind.forwardedOther],
  ['x-forwarded-tls-client-cert', HeaderKind.forwardedOther],
  ['x-forwarded-tls-client-cert-info', HeaderKind.forwardedOther],
];

interface Candidate {
  readonly bytes: Uint8Array;
  readonly kind: number;
}

const LONGEST = Math.max(...NAMES.map(([name]) => name.length));
const CANDIDATES: readonly (readonly Candidate[] | undefined)[] = Array.from(
  { length: LONGEST + 1 },
  (_, length) => {
    const fitting = NAMES.filter(([name]) => name.length === length);
    return fitting.length === 0
      ? undefined
      : fitting.map(([name, kind]) => ({ bytes: Buffer.from(name, 'latin1'), kind }));
  },
);

const HYPHEN = 0x2d;
const UNDERSCORE = 0x5f;

/** The kind of the name at `block[at, at + length)`. `X_Forwarded_For` is of the kind that only a
 * trusted peer may send: some targets cannot tell it from `X-Forwarded-For`. */
export function headerKindAt(block: Uint8Array, at: number, length: number): number {
  const candidates = CANDIDATES[length];
  if (candidates === undefined) return HeaderKind.other;
  for (const { bytes, kind } of candidates) {
    if (((block[at] ?? 0) | 0x20) !== bytes[0]) continue;
    const sameness = compareName(block, at, bytes);
    // A look-alike is nothing that we read, but it must not get past us either where the real one may not.
    if (sameness === 'alike') return lookAlikeKind(kind);
    if (sameness === 'same') return kind;
  }
  return HeaderKind.other;
}

function lookAlikeKind(kind: number): number {
  if (kind === HeaderKind.contentLength || kind === HeaderKind.transferEncoding) return HeaderKind.hopByHop;
  return kind >= HeaderKind.forwardedFor && kind <= HeaderKind.forwardedOther
    ? HeaderKind.forwardedOther
    : HeaderKind.other;
}

function compareName(block: Uint8Array, at: number, name: Uint8Array): 'same' | 'alike' | 'other' {
  let isAlike = false;
  // `| 0x20` lowers letters and leaves the digits and the hyphen of header names as they are.
  for (let index = 1; index < name.length; index++) {
    const byte = block[at + index] ?? 0;
    if ((byte | 0x20) === name[index]) continue;
    if (byte !== UNDERSCORE || name[index] !== HYPHEN) return 'other';
    isAlike = true;
  }
  return isAlike ? 'alike' : 'same';
}
