// TLS for the tests of the request's journey: what a controller would send, and clients that accept any certificate.

import http2 from 'node:http2';
import type { TestContext } from 'node:test';
import tls from 'node:tls';
import { pino } from 'pino';
import type { TlsOptionsConfiguration } from '../../src/config/dynamic.ts';
import type { EntryPointConfiguration } from '../../src/config/static.ts';
import type { TlsSpec } from '../../src/runtime/table-change.ts';
import { readTlsOptions } from '../../src/runtime/tls-options.ts';
import { createSelfSignedCertificate } from '../../src/tls/self-signed.ts';
import type { DataPlane } from '../../src/worker/data-plane.ts';
import { entryPoint, router, service, startDataPlane, staticConfiguration, table } from './data-plane.ts';
import { Peer, within } from './sockets.ts';

/** `tls.options.<name>` with nothing set but what is given. */
export function tlsOptions(overrides: Partial<TlsOptionsConfiguration> = {}): TlsOptionsConfiguration {
  return {
    cipherSuites: [],
    curvePreferences: [],
    sniStrict: false,
    alpnProtocols: [],
    disableSessionTickets: false,
    ...overrides,
  };
}

/** What workers are told about TLS: these options of provider `file`, and a certificate for everybody. */
export async function tlsSpec(
  options: Readonly<Record<string, TlsOptionsConfiguration>> = {},
  overrides: Partial<TlsSpec> = {},
): Promise<TlsSpec> {
  const states = readTlsOptions(
    new Map([['file', { certificates: [], options: Object.entries(options) }]]),
    new Map(),
    pino({ level: 'silent' }),
  );
  return {
    certificates: [],
    fallbackCertificate: await createSelfSignedCertificate(),
    options: [...states.values()].flatMap(({ spec }) => (spec === undefined ? [] : [spec])),
    refusedHosts: {},
    ticketKey: Buffer.alloc(48, 1).toString('base64'),
    ...overrides,
  };
}

/** A data plane whose entry point `web` sends everything over TLS to one server. */
export async function startTlsProxyTo(
  t: TestContext,
  url: string,
  overrides: Partial<EntryPointConfiguration> = {},
): Promise<{ readonly plane: DataPlane; readonly port: number }> {
  const { plane, port } = await startDataPlane(
    t,
    staticConfiguration([entryPoint('web', overrides)]),
    table([router('all', 'PathPrefix(`/`)', 'app', { tls: true })], [service('app', [url])], {
      tls: await tlsSpec(),
    }),
  );
  return { plane, port: port('web') };
}

/** A TLS client in bytes. Rejects when the handshake fails. */
export async function connectTls(
  t: Pick<TestContext, 'after'>,
  port: number,
  options: tls.ConnectionOptions = {},
): Promise<{ readonly socket: tls.TLSSocket; readonly peer: Peer }> {
  const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
  t.after(() => socket.destroy());
  const peer = new Peer(socket);
  await within(
    new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve);
      socket.once('error', reject);
      socket.once('close', () => {
        reject(new Error('closed during the handshake'));
      });
    }),
    'a TLS handshake',
  );
  return { socket, peer };
}

/** An HTTP/2 client over TLS. */
export async function connectHttp2(
  t: TestContext,
  port: number,
  options: http2.SecureClientSessionOptions = {},
): Promise<http2.ClientHttp2Session> {
  const session: http2.ClientHttp2Session = http2.connect(`https://127.0.0.1:${String(port)}`, {
    rejectUnauthorized: false,
    ...options,
  });
  t.after(() => {
    session.destroy();
  });
  session.on('error', () => undefined);
  await within(
    new Promise<void>((resolve, reject) => {
      session.once('connect', () => {
        resolve();
      });
      session.once('error', reject);
    }),
    'an HTTP/2 connection',
  );
  return session;
}

/** A whole HTTP/2 answer. */
export interface Http2Answer {
  readonly status: number;
  readonly headers: http2.IncomingHttpHeaders;
  readonly body: string;
  readonly trailers: http2.IncomingHttpHeaders;
}

/** Waits for a stream's answer; rejects when the stream is cut. */
export async function answerOf(stream: http2.ClientHttp2Stream): Promise<Http2Answer> {
  let headers: http2.IncomingHttpHeaders = {};
  let trailers: http2.IncomingHttpHeaders = {};
  let body = '';
  stream.on('response', (received) => {
    headers = received;
  });
  stream.on('trailers', (received: http2.IncomingHttpHeaders) => {
    trailers = received;
  });
  stream.on('data', (chunk: Buffer) => {
    body += chunk.toString('latin1');
  });
  await within(
    new Promise<void>((resolve, reject) => {
      stream.once('error', reject);
      stream.once('close', () => {
        if (stream.rstCode === http2.constants.NGHTTP2_NO_ERROR) resolve();
        else reject(new Error(`the stream was cut with code ${String(stream.rstCode)}`));
      });
    }),
    'the end of an HTTP/2 answer',
  );
  return { status: Number(headers[':status']), headers, body, trailers };
}
