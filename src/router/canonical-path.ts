// One form for every way to write the same path, used for matching only; what is forwarded stays as the client wrote it.
//
// Hexadecimal digits in upper case; escaped unreserved characters and `%40` decoded; other escapes, `%2F` among them, kept; bytes that may
// not stand in a path escaped; `//` collapsed; `.` and `..` resolved, escaped ones included, so that no request is routed by a prefix it
// then leaves. Sources: RFC 3986 §6.2.2, Traefik documentation (request path).

const PERCENT = 0x25;
const SLASH = 0x2f;
const DOT = 0x2e;

/** Per byte: 0 plain, 1 needs the slow way, 2 never allowed. */
const CLASSES = new Uint8Array(256);
CLASSES.fill(1);
for (const character of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~!$&'()*+,;=:@[]/.")
  CLASSES[character.charCodeAt(0)] = 0;
for (let byte = 0; byte < 0x20; byte++) CLASSES[byte] = 2;
CLASSES[0x20] = 2;
CLASSES[0x7f] = 2;
CLASSES['#'.charCodeAt(0)] = 2;

/** Nothing to escape, to decode or to write in another case. */
const PLAIN = /^[A-Za-z0-9\-_~!$&'()*+,;=:@[\]/.]*$/;

const UNRESERVED = /^[A-Za-z0-9\-._~@]$/;

/**
 * The canonical form of the path of an origin-form target (one character per byte, query cut off); undefined: answer 400. With
 * `sanitizes` false (Traefik's `sanitizePath`), `//`, `.` and `..` stay.
 */
export function canonicalPath(path: string, sanitizes = true): string | undefined {
  let before = 0;
  let isPlain = true;
  for (let index = 0; index < path.length; index++) {
    const code = path.charCodeAt(index);
    const kind = code > 255 ? 2 : CLASSES[code];
    if (kind === 2) return undefined;
    // A slash or a dot after a slash may be something to resolve.
    if (kind === 1 || (sanitizes && before === SLASH && (code === SLASH || code === DOT))) isPlain = false;
    before = code;
  }
  if (path.charCodeAt(0) !== SLASH) return undefined;
  if (isPlain) return path;
  const escaped = normalizeEscapes(path);
  return escaped === undefined || !sanitizes ? escaped : resolveSegments(escaped);
}

function normalizeEscapes(path: string): string | undefined {
  let text = '';
  for (let index = 0; index < path.length; index++) {
    const code = path.charCodeAt(index);
    if (code !== PERCENT) {
      text += CLASSES[code] === 0 ? path.charAt(index) : escapeByte(code);
      continue;
    }
    const digits = path.slice(index + 1, index + 3);
    if (!/^[0-9A-Fa-f]{2}$/.test(digits)) return undefined;
    const character = String.fromCharCode(Number.parseInt(digits, 16));
    text += UNRESERVED.test(character) ? character : `%${digits.toUpperCase()}`;
    index += 2;
  }
  return text;
}

function escapeByte(byte: number): string {
  return `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
}

/** As Traefik: a slash at the end of the original is kept, and `/a/b/..` is `/a`. */
function resolveSegments(path: string): string {
  const segments: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '' || segment === '.') continue;
    if (segment === '..') segments.pop();
    else segments.push(segment);
  }
  const resolved = `/${segments.join('/')}`;
  return path.endsWith('/') && resolved !== '/' ? `${resolved}/` : resolved;
}

/** The same form for a path in a rule, which people write decoded: `/user/秀樹`, `/a b`. Dots and slashes stay as written. */
export function canonicalRulePath(path: string): string {
  if (PLAIN.test(path)) return path;
  const bytes = Buffer.from(path, 'utf8').toString('latin1');
  let text = '';
  for (let index = 0; index < bytes.length; index++) {
    const code = bytes.charCodeAt(index);
    const digits = bytes.slice(index + 1, index + 3);
    if (code === PERCENT && /^[0-9A-Fa-f]{2}$/.test(digits)) {
      const character = String.fromCharCode(Number.parseInt(digits, 16));
      text += UNRESERVED.test(character) ? character : `%${digits.toUpperCase()}`;
      index += 2;
    } else text += CLASSES[code] === 0 ? bytes.charAt(index) : escapeByte(code);
  }
  return text;
}

/** What regular expressions see: everything decoded but the reserved characters. Source: Traefik documentation (request path). */
export function decodedPath(canonical: string): string {
  const bytes = canonical.replace(/%([0-9A-F]{2})/g, (escape, digits: string) => {
    const character = String.fromCharCode(Number.parseInt(digits, 16));
    return ":/?#[]@!$&'()*+,;=%".includes(character) ? escape : character;
  });
  return Buffer.from(bytes, 'latin1').toString('utf8');
}
