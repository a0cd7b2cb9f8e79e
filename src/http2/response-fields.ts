// Header lines of HTTP/1.1 as the header object that node:http2 takes. Lines that were let through come as text, whatever wrote them.

import type { OutgoingHttpHeaders } from 'node:http2';
import { CONNECTION_FIELDS } from './connection-fields.ts';

type Fields = Record<string, string | string[]>;

/** What node:http2 refuses in a response. */
const REFUSED_FIELDS = new Set([...CONNECTION_FIELDS, 'te']);

const KNOWN_NAMES = 1000;
/** Longer names than anybody's come back less often than they take up room. */
const KNOWN_LENGTH = 64;
/** Name as written → in lower case; empty for one that must not be sent. */
const names = new Map<string, string>();

function fieldName(written: string): string {
  const known = names.get(written);
  if (known !== undefined) return known;
  const lower = written.toLowerCase();
  const name = REFUSED_FIELDS.has(lower) ? '' : lower;
  // A copy: part of a string keeps all of it in memory, here the whole head.
  if (names.size < KNOWN_NAMES && written.length <= KNOWN_LENGTH)
    names.set(Buffer.from(written, 'latin1').toString('latin1'), name);
  return name;
}

/** The fields of complete header lines, in their order; a name that comes several times has its values in a list. */
export function responseFields(status: number, lines: string): OutgoingHttpHeaders {
  const fields = Object.create(null) as Fields;
  fields[':status'] = String(status);
  let at = 0;
  while (at < lines.length) {
    const colon = lines.indexOf(':', at);
    let end = lines.indexOf('\r\n', at);
    if (end < 0) end = lines.length;
    if (colon < 0 || colon >= end) {
      at = end + 2;
      continue;
    }
    addField(fields, fieldName(lines.slice(at, colon)), lines.slice(colon + 1, end).trim());
    at = end + 2;
  }
  return fields;
}

function addField(fields: Fields, name: string, value: string): void {
  if (name === '') return;
  const before = fields[name];
  if (before === undefined) fields[name] = value;
  else if (typeof before === 'string') fields[name] = [before, value];
  else before.push(value);
}

/** What a field counts beside its bytes. Source: RFC 9113 §6.5.2. */
const FIELD_SIZE = 32;
/** A byte of header lines is not more than so much of a head's size: the shortest line has four, and counts 33. */
export const SIZE_PER_BYTE = 9;

/** The size of a head as limits of HTTP/2 count it. */
export function fieldsSize(fields: OutgoingHttpHeaders): number {
  let size = 0;
  for (const [name, value] of Object.entries(fields))
    for (const one of Array.isArray(value) ? value : [String(value)])
      size += name.length + one.length + FIELD_SIZE;
  return size;
}

/** Lists by definition, which node:http2 nevertheless takes only once. Source: RFC 9110 §8.4, §8.5. */
const JOINABLE = new Set(['content-encoding', 'content-language']);

/**
 * node:http2 refuses a second `Date` or `Content-Type`, which servers do send. Of such repetitions the first stands; lists are joined.
 * Cookies and challenges stay apart, they cannot be joined.
 */
export function withoutRepetitions(fields: OutgoingHttpHeaders): OutgoingHttpHeaders {
  const single = Object.create(null) as Fields;
  for (const [name, value] of Object.entries(fields)) {
    if (!Array.isArray(value)) single[name] = String(value);
    else if (name === 'set-cookie' || name === 'www-authenticate') single[name] = value;
    else if (JOINABLE.has(name)) single[name] = value.join(', ');
    else if (SINGLE.has(name)) single[name] = value[0] ?? '';
    else single[name] = value;
  }
  return single;
}

/** Source: Node's documentation of HTTP/2 headers, and its table of fields that stand alone. */
const SINGLE = new Set([
  'access-control-allow-credentials',
  'access-control-max-age',
  'access-control-request-method',
  'age',
  'authorization',
  'content-length',
  'content-location',
  'content-md5',
  'content-range',
  'content-type',
  'date',
  'dnt',
  'etag',
  'expires',
  'from',
  'host',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'last-modified',
  'location',
  'max-forwards',
  'proxy-authorization',
  'range',
  'referer',
  'retry-after',
  'tk',
  'upgrade-insecure-requests',
  'user-agent',
  'x-content-type-options',
]);
