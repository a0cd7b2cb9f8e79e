// What one server may take of a worker's connections when there are not enough for all.

import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import { DataPlane } from '../../src/worker/data-plane.ts';
import { entryPoint, router, service, staticConfiguration, table } from '../support/data-plane.ts';
import { ask } from '../support/requests.ts';
import { startByteServer, until } from '../support/sockets.ts';
import type { ByteServer } from '../support/sockets.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const NAMES = ['greedy', 'modest', 'other'] as const;

/** A worker with eight connections to servers; each server has its name for a path. */
async function start(
  t: TestContext,
): Promise<Record<(typeof NAMES)[number], ByteServer> & { readonly port: number }> {
  const plane = new DataPlane({
    static: staticConfiguration([entryPoint('web')]),
    apiSocket: '/nonexistent/api.sock',
    log: pino({ level: 'silent' }),
    workerId: 1,
    budget: { maxClients: 8, maxIdle: 0 },
  });
  t.after(() => {
    plane.close();
  });
  const [greedy, modest, other] = [
    await startByteServer(t),
    await startByteServer(t),
    await startByteServer(t),
  ];
  const servers = { greedy, modest, other };
  plane.apply(
    table(
      NAMES.map((name) => router(name, `PathPrefix(\`/${name}\`)`, name)),
      NAMES.map((name) => service(name, [servers[name].url])),
    ),
  );
  await plane.listen();
  return { ...servers, port: plane.addresses().get('web')?.port ?? 0 };
}

/** Requests over one HTTP/2 connection, none of them answered yet. */
function beginMany(t: TestContext, port: number, path: string, count: number): () => number {
  const session = http2.connect(`http://127.0.0.1:${String(port)}`);
  t.after(() => {
    session.destroy();
  });
  session.on('error', () => undefined);
  let answered = 0;
  for (let index = 0; index < count; index++) {
    const stream = session.request({ ':path': path });
    stream.on('response', () => answered++);
    stream.on('error', () => undefined);
    stream.resume();
  }
  return () => answered;
}

describe('a server that keeps all its clients waiting', () => {
  it('does not get all connections there are, and its requests wait', async (t) => {
    const { greedy, modest, other, port } = await start(t);
    const answered = beginMany(t, port, '/greedy', 20);
    await until(() => greedy.accepted === 6, 'the connections of the greedy one');
    // One that needs few connections gets the rest of them, …
    beginMany(t, port, '/modest', 2);
    await until(() => modest.accepted === 2, 'the connections of the modest one');
    // … and where there is nothing left, and nothing to wait for, the answer comes at once.
    assert.match(await ask(t, port, 'GET /other HTTP/1.1'), /^HTTP\/1.1 503 [^]*\r\nRetry-After: 1\r\n/);
    assert.equal(other.accepted, 0);
    assert.equal(greedy.accepted, 6);
    const first = await greedy.accept();
    for (let count = 1; count <= 15; count++) {
      await first.readHead();
      first.send(OK);
      await until(() => answered() === count, 'an answer');
    }
    assert.equal(greedy.accepted, 6);
  });
});
