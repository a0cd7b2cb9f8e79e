// A server that keeps every byte it is sent, reads requests out of them with a strict parser of its own, and answers each one.

import net from 'node:net';
import type { TestContext } from 'node:test';
import './handles.ts';

/** A request as the server understood it. */
export interface Recorded {
  readonly method: string;
  readonly target: string;
  readonly headers: readonly string[];
  readonly body: string;
  readonly trailers: readonly string[];
}

/** Everything that one connection brought. */
export interface RecordedConnection {
  raw: string;
  readonly requests: Recorded[];
  /** Why the bytes are not requests one after the other; then nothing more of the connection is answered. */
  problem: string | undefined;
  isClosed: boolean;
}

/** A recording server. */
export class Recorder {
  readonly connections: RecordedConnection[] = [];
  /** The requests of all connections, in the order in which they were complete. */
  readonly arrived: Recorded[] = [];
  readonly #server: net.Server;

  constructor(server: net.Server) {
    this.#server = server;
    server.on('connection', (socket) => {
      const connection: RecordedConnection = { raw: '', requests: [], problem: undefined, isClosed: false };
      this.connections.push(connection);
      let rest = '';
      socket.on('error', () => undefined);
      socket.on('close', () => {
        connection.isClosed = true;
      });
      socket.on('data', (chunk) => {
        const text = chunk.toString('latin1');
        connection.raw += text;
        rest += text;
        while (connection.problem === undefined) {
          const parsed = parseRequest(rest);
          if (parsed === undefined) return;
          if ('problem' in parsed) {
            connection.problem = parsed.problem;
            return;
          }
          rest = rest.slice(parsed.length);
          connection.requests.push(parsed.request);
          this.arrived.push(parsed.request);
          const body = `${parsed.request.method} ${parsed.request.target}`;
          const content = parsed.request.method === 'HEAD' ? '' : body;
          socket.write(
            `HTTP/1.1 200 OK\r\nX-Body: ${String(parsed.request.body.length)}\r\nContent-Length: ${String(body.length)}\r\n\r\n${content}`,
            'latin1',
          );
        }
      });
    });
  }

  get url(): string {
    const address = this.#server.address();
    return `http://127.0.0.1:${String(address !== null && typeof address === 'object' ? address.port : 0)}`;
  }

  /** `METHOD target body` of all requests, whatever the connection. */
  get requests(): readonly string[] {
    return this.arrived.map(
      ({ method, target, body }) => `${method} ${target}${body === '' ? '' : ` ${body}`}`,
    );
  }

  get problems(): readonly string[] {
    return this.connections.flatMap(({ problem, raw }) =>
      problem === undefined ? [] : [`${problem}: ${JSON.stringify(raw)}`],
    );
  }
}

/** A recording server on a free port of the loopback interface that ends with the test. */
export async function startRecorder(t: Pick<TestContext, 'after'>): Promise<Recorder> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  const recorder = new Recorder(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return recorder;
}

type ParseResult = { readonly request: Recorded; readonly length: number } | { readonly problem: string };

/** Undefined: more bytes are needed. */
export function parseRequest(text: string): ParseResult | undefined {
  const headEnd = text.indexOf('\r\n\r\n');
  if (headEnd < 0) return undefined;
  const [first = '', ...headers] = text.slice(0, headEnd).split('\r\n');
  if (/[\u0000\r\n]/.test([first, ...headers].join(''))) return { problem: 'control characters' };
  const start = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP\/1\.1$/.exec(first);
  if (start === null) return { problem: `request line ${JSON.stringify(first)}` };
  for (const line of headers)
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+:/.test(line)) return { problem: `header ${JSON.stringify(line)}` };
  const valuesOf = (name: string): string[] =>
    headers
      .filter((line) => line.toLowerCase().startsWith(`${name}:`))
      .map((line) => line.slice(name.length + 1).trim());
  if (valuesOf('host').length !== 1) return { problem: 'not one Host' };
  const lengths = valuesOf('content-length');
  const codings = valuesOf('transfer-encoding');
  if (lengths.length + codings.length > 1) return { problem: 'several lengths' };
  const [method = '', target = ''] = start.slice(1);
  const bodyStart = headEnd + 4;
  if (codings.length > 0) {
    if (codings[0] !== 'chunked') return { problem: `coding ${JSON.stringify(codings[0])}` };
    const body = parseChunks(text.slice(bodyStart));
    if (body === undefined || 'problem' in body) return body;
    return {
      request: { method, target, headers, body: body.content, trailers: body.trailers },
      length: bodyStart + body.length,
    };
  }
  const length = lengths[0] ?? '0';
  if (!/^\d+$/.test(length)) return { problem: `length ${JSON.stringify(length)}` };
  const end = bodyStart + Number(length);
  if (text.length < end) return undefined;
  return {
    request: { method, target, headers, body: text.slice(bodyStart, end), trailers: [] },
    length: end,
  };
}

function parseChunks(
  text: string,
):
  | { readonly content: string; readonly trailers: string[]; readonly length: number }
  | { readonly problem: string }
  | undefined {
  let content = '';
  let at = 0;
  for (;;) {
    const lineEnd = text.indexOf('\r\n', at);
    if (lineEnd < 0) return undefined;
    const size = text.slice(at, lineEnd);
    // What a proxy writes itself has no extensions.
    if (!/^[0-9a-fA-F]{1,8}$/.test(size)) return { problem: `chunk size ${JSON.stringify(size)}` };
    const length = Number.parseInt(size, 16);
    at = lineEnd + 2;
    if (length === 0) break;
    if (text.length < at + length + 2) return undefined;
    content += text.slice(at, at + length);
    if (text.slice(at + length, at + length + 2) !== '\r\n') return { problem: 'chunk data' };
    at += length + 2;
  }
  const trailers: string[] = [];
  for (;;) {
    const lineEnd = text.indexOf('\r\n', at);
    if (lineEnd < 0) return undefined;
    const line = text.slice(at, lineEnd);
    at = lineEnd + 2;
    if (line === '') return { content, trailers, length: at };
    trailers.push(line);
  }
}
