// A deliberately plain reader of HTTP/1.1 messages: it keeps what stood on the wire (names as spelt, values as they are) instead of
// understanding it. Bytes are latin1 strings, so that nothing is lost.

/** One message as it stood on the wire. */
export interface WireMessage {
  readonly startLine: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Without chunk framing. */
  readonly body: string;
  /** How the body was delimited. */
  readonly framing: 'none' | 'length' | 'chunked' | 'close';
  readonly trailers: readonly (readonly [name: string, value: string])[];
  /** False: the connection ended inside the body. */
  readonly isComplete: boolean;
  /** How many characters of the input it took. */
  readonly length: number;
}

/** What the reader must know that does not stand in the message. */
export interface ReadOptions {
  readonly kind: 'request' | 'response';
  /** The other side has ended the connection. */
  readonly isClosed: boolean;
  /** The answer to HEAD has no body whatever its headers say (RFC 9110 §9.3.2). */
  readonly isHeadAnswer?: boolean;
}

/** Reads the first message of `bytes`; undefined while more is needed. */
export function readMessage(bytes: string, options: ReadOptions): WireMessage | undefined {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [startLine = '', ...lines] = bytes.slice(0, end).split('\r\n');
  const headers = lines.map(splitHeader);
  const body = readBody(bytes.slice(end + 4), { startLine, headers }, options);
  if (body === undefined) return undefined;
  return { startLine, headers, ...body, length: end + 4 + body.length };
}

/** All values of one header, name compared without case. */
export function headerValues(message: Pick<WireMessage, 'headers'>, name: string): string[] {
  return message.headers.filter(([other]) => other.toLowerCase() === name).map(([, value]) => value);
}

function splitHeader(line: string): readonly [string, string] {
  const colon = line.indexOf(':');
  return colon < 0 ? [line, ''] : [line.slice(0, colon), line.slice(colon + 1).trim()];
}

type Body = Pick<WireMessage, 'body' | 'framing' | 'trailers' | 'isComplete' | 'length'>;

function readBody(
  rest: string,
  head: Pick<WireMessage, 'startLine' | 'headers'>,
  options: ReadOptions,
): Body | undefined {
  const none: Body = { body: '', framing: 'none', trailers: [], isComplete: true, length: 0 };
  const status = options.kind === 'response' ? head.startLine.split(' ')[1] : undefined;
  if (options.isHeadAnswer === true || status?.startsWith('1') || status === '204' || status === '304')
    return none;
  if (headerValues(head, 'transfer-encoding').join(',').toLowerCase().includes('chunked'))
    return readChunked(rest, options.isClosed);
  const [length] = headerValues(head, 'content-length');
  if (length !== undefined) {
    const wanted = Number(length);
    if (rest.length < wanted && !options.isClosed) return undefined;
    const body = rest.slice(0, wanted);
    return {
      body,
      framing: 'length',
      trailers: [],
      isComplete: body.length === wanted,
      length: body.length,
    };
  }
  if (options.kind === 'request') return none;
  if (!options.isClosed) return undefined;
  return { body: rest, framing: 'close', trailers: [], isComplete: true, length: rest.length };
}

function readChunked(rest: string, isClosed: boolean): Body | undefined {
  const broken = (body: string): Body | undefined =>
    isClosed ? { body, framing: 'chunked', trailers: [], isComplete: false, length: rest.length } : undefined;
  let body = '';
  let at = 0;
  for (;;) {
    const lineEnd = rest.indexOf('\r\n', at);
    if (lineEnd < 0) return broken(body);
    const size = Number.parseInt(rest.slice(at, lineEnd), 16);
    if (Number.isNaN(size)) throw new Error(`bad chunk size ${JSON.stringify(rest.slice(at, lineEnd))}`);
    at = lineEnd + 2;
    if (size === 0) return readTrailers(rest, at, body) ?? broken(body);
    if (rest.length < at + size + 2) return broken(body + rest.slice(at, at + size));
    body += rest.slice(at, at + size);
    at += size + 2;
  }
}

function readTrailers(rest: string, at: number, body: string): Body | undefined {
  const trailers: (readonly [string, string])[] = [];
  for (;;) {
    const lineEnd = rest.indexOf('\r\n', at);
    if (lineEnd < 0) return undefined;
    const line = rest.slice(at, lineEnd);
    at = lineEnd + 2;
    if (line === '') return { body, framing: 'chunked', trailers, isComplete: true, length: at };
    trailers.push(splitHeader(line));
  }
}
