import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { networkInterfaces } from 'node:os';
import { it } from 'node:test';
import type { TestContext } from 'node:test';
import { Departures } from '../../src/http1/departures.ts';
import { within } from '../support/sockets.ts';

const hasIpv6 = Object.values(networkInterfaces())
  .flat()
  .some((each) => each?.address === '::1');

/** A connection that is not read, and its client. */
async function heldPair(
  t: TestContext,
  listen: string,
  connect: string,
): Promise<{ readonly socket: net.Socket; readonly client: net.Socket }> {
  const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true });
  server.listen(0, listen);
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const client = net.connect({ port: address.port, host: connect, allowHalfOpen: true });
  client.on('error', () => undefined);
  const [socket] = (await once(server, 'connection')) as [net.Socket];
  t.after(() => {
    client.destroy();
    socket.destroy();
    server.close();
  });
  return { socket, client };
}

it('tells of clients that have left, by whatever kind of address, and of no others', async (t) => {
  const departures = new Departures();
  t.after(() => {
    departures.close();
  });
  // The looks alone keep no process alive.
  const alive = setInterval(() => undefined, 1000);
  t.after(() => {
    clearInterval(alive);
  });
  const kinds: readonly (readonly [string, string])[] = [
    ['127.0.0.1', '127.0.0.1'],
    ...(hasIpv6
      ? ([
          ['::1', '::1'],
          ['::', '127.0.0.1'],
          ['::', '::1'],
        ] as const)
      : []),
  ];
  const gone: net.Socket[] = [];
  const stays = await heldPair(t, '127.0.0.1', '127.0.0.1');
  const readAgain = await heldPair(t, '127.0.0.1', '127.0.0.1');
  const watch = (socket: net.Socket): Promise<void> =>
    new Promise((resolve) => {
      departures.watch({
        socket,
        onDeparted: () => {
          gone.push(socket);
          resolve();
        },
      });
    });
  void watch(stays.socket);
  stays.client.write('x'.repeat(1000));
  const held = { socket: readAgain.socket, onDeparted: () => gone.push(readAgain.socket) };
  departures.watch(held);
  departures.forget(held);
  readAgain.client.end('x');
  const left = await Promise.all(
    kinds.map(async ([listen, connect]) => {
      const { socket, client } = await heldPair(t, listen, connect);
      const told = watch(socket);
      client.end('x'.repeat(1000));
      await within(told, `the end of ${connect} on ${listen}`);
      return socket;
    }),
  );
  assert.deepEqual(new Set(gone), new Set(left));
});

it('goes on looking where the kernel has no IPv6, also when nobody was leaving at first', async (t) => {
  const departures = new Departures(['/proc/self/net/tcp', '/proc/self/net/no-such-list']);
  t.after(() => {
    departures.close();
  });
  const alive = setInterval(() => undefined, 1000);
  t.after(() => {
    clearInterval(alive);
  });
  // A look that finds nobody ends with the next one: two clients that leave one after the other.
  const stays = await heldPair(t, '127.0.0.1', '127.0.0.1');
  const looked = new Promise<void>((resolve) => {
    departures.watch({
      get socket() {
        resolve();
        return stays.socket;
      },
      onDeparted: () => undefined,
    });
  });
  await within(looked, 'a look at a client that stays');
  const { socket, client } = await heldPair(t, '127.0.0.1', '127.0.0.1');
  const told = new Promise<void>((resolve) => {
    departures.watch({ socket, onDeparted: resolve });
  });
  client.end('x');
  await within(told, 'the end of a client after that');
});
