import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { AcceptingServer } from '../../src/entrypoint/accepting-server.ts';
import { bindAddress } from '../../src/entrypoint/listening-socket.ts';
import { adoptSocket, NOBODY } from '../../src/http1/owned-socket.ts';
import { nextInput } from '../../src/http1/shared-input.ts';
import { connect, within } from '../support/sockets.ts';
import { until } from '../support/until.ts';

interface Started {
  readonly server: AcceptingServer;
  readonly port: number;
  /** Whether the one that came was refused, each time when it was full. */
  readonly full: readonly boolean[];
}

async function start(
  t: TestContext,
  onSocket: (socket: Socket) => void,
  maxConnections = 0,
): Promise<Started> {
  const full: boolean[] = [];
  const server = new AcceptingServer({
    maxConnections,
    onSocket,
    onError: assert.ifError,
    onFull: (isRefused) => full.push(isRefused),
  });
  await server.listen(await bindAddress({ host: '127.0.0.1', port: 0 }));
  t.after(() => {
    server.rest();
  });
  return { server, port: server.address?.port ?? 0, full };
}

describe('accepting connections', () => {
  it('makes sockets that read into the shared buffer', async (t) => {
    const read = new Promise<Buffer>((resolve) => {
      void start(t, (socket) => {
        adoptSocket(socket, { ...NOBODY, readsInPlace: true, onData: resolve });
        t.after(() => socket.destroy());
      }).then(async ({ port }) => {
        (await connect(t, port)).send('hello');
      });
    });
    assert.equal((await within(read, 'what was sent')).buffer, nextInput().buffer);
  });

  it('counts what is open, and refuses what is too much', async (t) => {
    const sockets: Socket[] = [];
    const { server, port, full } = await start(
      t,
      (socket) => {
        adoptSocket(socket, NOBODY);
        sockets.push(socket);
      },
      2,
    );
    await connect(t, port);
    await until(() => server.socketCount === 1, 'the first one');
    assert.deepEqual(full, []);
    await connect(t, port);
    await until(() => server.socketCount === 2, 'the second one');
    assert.deepEqual(full, [false]);
    const third = await connect(t, port);
    await third.readToEnd();
    assert.deepEqual(full, [false, true]);
    assert.equal(server.socketCount, 2);
    sockets[0]?.destroy();
    await until(() => server.socketCount === 1, 'the first one to be forgotten');
    await connect(t, port);
    await until(() => server.socketCount === 2, 'the fourth one');
    for (const socket of sockets) socket.destroy();
    await until(() => server.socketCount === 0, 'all to be forgotten');
  });
});
