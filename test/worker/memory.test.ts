import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import { it } from 'node:test';
import type { TestContext } from 'node:test';
import tls from 'node:tls';
import { startProxyTo } from '../support/data-plane.ts';
import { listenLocally } from '../support/http-servers.ts';
import { assertForgotten } from '../support/in-memory.ts';
import { until } from '../support/sockets.ts';
import { startTlsProxyTo } from '../support/tls.ts';

const CLIENTS = 120;
const AT_ONCE = 10;

const GET = 'GET / HTTP/1.1\r\nHost: h\r\n\r\n';
const UPLOAD = 'POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nbegun';

/** Answers at once, or after the request; `/reset` never, `/half` with half of what it announces. */
async function startServer(t: TestContext): Promise<string> {
  const server = http.createServer((request, response) => {
    if (request.url === '/reset') request.socket.resetAndDestroy();
    else if (request.url === '/half') {
      response.writeHead(200, { 'content-length': '10' });
      response.write('half', () => request.socket.destroy());
    } else if (request.url === '/close') response.writeHead(200, { connection: 'close' }).end('ok');
    else request.resume().on('end', () => response.end('ok'));
  });
  return `http://127.0.0.1:${String(await listenLocally(t, server))}`;
}

async function visit(socket: net.Socket, request: string): Promise<void> {
  const closed = once(socket, 'close');
  socket.on('error', () => undefined);
  socket.write(request);
  // The first bytes, or the end.
  await Promise.race([once(socket, 'data'), closed]).catch(() => undefined);
  socket.destroy();
  await closed;
}

async function visitHttp2(port: number): Promise<void> {
  const session = http2.connect(`https://127.0.0.1:${String(port)}`, { rejectUnauthorized: false });
  session.on('error', () => undefined);
  const paths = ['/', '/close', '/reset', '/half'];
  await Promise.all(
    paths.map(async (path) => {
      const stream = session.request({ ':path': path });
      stream.on('error', () => undefined).resume();
      await once(stream, 'close').catch(() => undefined);
    }),
  );
  // One that is cancelled, and one that the end of the connection meets.
  for (const cancels of [true, false]) {
    const stream = session.request({ ':path': '/slow', ':method': 'POST' });
    stream.on('error', () => undefined);
    await new Promise((resolve) => stream.write('begun', resolve));
    if (cancels) stream.close(http2.constants.NGHTTP2_CANCEL);
  }
  session.destroy();
  await once(session, 'close');
}

async function visitMany(visit: () => Promise<void>): Promise<void> {
  let left = CLIENTS;
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while (left-- > 0) await visit();
    }),
  );
}

for (const [what, request] of [
  ['that are answered', GET],
  ['whose server closes', 'GET /close HTTP/1.1\r\nHost: h\r\n\r\n'],
  ['whose server resets', 'GET /reset HTTP/1.1\r\nHost: h\r\n\r\n'],
  ['whose answer is cut', 'GET /half HTTP/1.1\r\nHost: h\r\n\r\n'],
  ['that send requests ahead', GET.repeat(5)],
  ['that are refused', 'GET / HTTP/1.1\r\n\r\n'],
] as const)
  it(`keeps nothing of clients ${what}`, async (t) => {
    const { plane, port } = await startProxyTo(t, await startServer(t));
    await visitMany(() => visit(net.connect(port, '127.0.0.1'), request));
    await until(() => plane.counts().connections === 0, 'clients to be gone');
    await assertForgotten();
  });

it('keeps nothing of clients that leave in the middle of what they send', async (t) => {
  const { plane, port } = await startProxyTo(t, await startServer(t));
  for (const request of ['', 'GET / HT', UPLOAD])
    await visitMany(async () => {
      const socket = net.connect(port, '127.0.0.1').on('error', () => undefined);
      await new Promise((resolve) => socket.write(request, resolve));
      socket.resetAndDestroy();
    });
  await until(() => plane.counts().connections === 0, 'clients to be gone');
  await assertForgotten();
});

it('keeps nothing of clients over TLS, nor of handshakes that fail', async (t) => {
  const { plane, port } = await startTlsProxyTo(t, await startServer(t));
  const options = { port, host: '127.0.0.1', rejectUnauthorized: false };
  await visitMany(() => visit(tls.connect(options), GET));
  await visitMany(() => visit(net.connect(port, '127.0.0.1'), '\x16\x03\x01\x00\x05hello'));
  await until(() => plane.counts().connections === 0, 'clients to be gone');
  await assertForgotten();
});

it('keeps nothing of HTTP/2 clients', async (t) => {
  const { plane, port } = await startTlsProxyTo(t, await startServer(t));
  await visitMany(() => visitHttp2(port));
  await until(() => plane.counts().connections === 0, 'clients to be gone');
  await assertForgotten();
  assert.equal(plane.counts().tunnels, 0);
});
