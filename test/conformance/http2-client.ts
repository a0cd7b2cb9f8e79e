// HTTP/2 in conformance cases: requests that a library sends, with everything that comes back, and heads and frames that none would send.

import http2 from 'node:http2';
import type { ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2';
import { shareHandles } from '../support/handles.ts';
import { END_STREAM, FrameClient } from '../support/http2-frames.ts';
import type { Observation } from './observation.ts';
import type { Peer } from './peer.ts';

// The servers of a set live as long as its suite.
shareHandles();

/** One request. */
export interface Http2Attempt {
  /** Default `tls`; without TLS where it is `web`. */
  readonly entryPoint?: string;
  readonly headers?: http2.OutgoingHttpHeaders;
  /** Sent as it is; absent: the head ends the request. */
  readonly body?: string | Buffer;
  readonly trailers?: http2.OutgoingHttpHeaders;
}

const DEADLINE_MS = 5000;
/** Longer bodies are compared by their length. */
const SHOWN_LENGTH = 1000;

/** Sends a request. Fields: `outcome` (`answered`, `reset <code>`, `refused <why>`, `timeout`), `interimN …`, `status`, `header …`, `body`, `trailer …`. */
export function probeHttp2(peer: Peer, attempt: Http2Attempt): Promise<Observation> {
  const { entryPoint = 'tls', headers = {}, body, trailers } = attempt;
  const scheme = entryPoint === 'web' ? 'http' : 'https';
  const seen = new Map<string, string>();
  const session = http2.connect(`${scheme}://127.0.0.1:${String(peer.port(entryPoint))}`, {
    rejectUnauthorized: false,
    maxSendHeaderBlockLength: 4_000_000,
  });
  return new Promise((resolve) => {
    const finish = (outcome: string): void => {
      clearTimeout(timer);
      session.destroy();
      seen.set('outcome', outcome);
      resolve(seen);
    };
    const timer = setTimeout(finish, DEADLINE_MS, 'timeout');
    session.on('error', (error: Error) => {
      finish(`refused ${codeOf(error)}`);
    });
    session.once('goaway', (code) => {
      if (code !== http2.constants.NGHTTP2_NO_ERROR) seen.set('goaway', String(code));
    });
    const stream = session.request(
      {
        ':path': '/',
        ':authority': 'localhost',
        'user-agent': 'conformance',
        'accept-encoding': 'identity',
        ...headers,
      },
      {
        endStream: body === undefined && trailers === undefined,
        waitForTrailers: trailers !== undefined,
      },
    );
    stream.on('wantTrailers', () => {
      stream.sendTrailers(trailers ?? {});
    });
    addAnswer(peer, stream, seen);
    stream.on('error', () => undefined);
    stream.on('close', () => {
      finish(stream.rstCode === 0 ? 'answered' : `reset ${String(stream.rstCode)}`);
    });
    if (body !== undefined || trailers !== undefined) stream.end(body ?? '');
  });
}

function addAnswer(peer: Peer, stream: ClientHttp2Stream, seen: Map<string, string>): void {
  let interim = 0;
  let body = '';
  const set = (field: string, value: string): void => {
    seen.set(peer.normalise(field), peer.normalise(value));
  };
  stream.on('headers', (headers) => {
    addHeaders(`interim${String(++interim)} header`, headers, set);
  });
  stream.on('response', (headers) => {
    addHeaders('header', headers, set);
  });
  stream.on('trailers', (headers: IncomingHttpHeaders) => {
    addHeaders('trailer', headers, set);
  });
  stream.on('data', (chunk: Buffer) => {
    body += chunk.toString('latin1');
    set('body', body.length > SHOWN_LENGTH ? `${String(body.length)} bytes` : body);
  });
}

function addHeaders(
  prefix: string,
  headers: IncomingHttpHeaders,
  set: (field: string, value: string) => void,
): void {
  for (const [name, value] of Object.entries(headers)) {
    const text = Array.isArray(value) ? value.join(' ⏎ ') : String(value);
    set(`${prefix} ${name}`, name === 'date' ? '(present)' : text);
  }
}

function codeOf(error: NodeJS.ErrnoException): string {
  return error.code ?? error.message;
}

/** A request in frames: one head, then whatever `frames` makes for its stream. */
export interface RawAttempt {
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** Absent: the head ends the request. */
  readonly frames?: (stream: number) => readonly Buffer[];
}

/** Sends a head that no library would. Field `outcome`: `status N`, `reset <code>`, `goaway <code>`, `closed`. */
export async function probeFrames(peer: Peer, attempt: RawAttempt): Promise<Observation> {
  const endings: (() => void)[] = [];
  const t = {
    after: (ending: () => void): void => {
      endings.push(ending);
    },
  };
  try {
    const client = await FrameClient.connect(t, peer.port('tls'));
    // Go's HTTP client adds `gzip` to requests that say nothing.
    const fields = [...attempt.fields, ['accept-encoding', 'identity'] as const];
    const stream = client.request(fields, attempt.frames === undefined ? END_STREAM : 0);
    if (attempt.frames !== undefined) client.send(...attempt.frames(stream));
    return new Map([['outcome', await outcomeOf(client, stream)]]);
  } finally {
    for (const ending of endings) ending();
  }
}

/** Like an answer that the client has to wait for, an end of the connection is one. */
async function outcomeOf(client: FrameClient, stream: number): Promise<string> {
  try {
    return await client.answer(stream);
  } catch {
    return 'closed';
  }
}
