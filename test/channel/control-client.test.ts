// A worker's end of the private socket, against a server in bytes.

import assert from 'node:assert/strict';
import net from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { ControlClient } from '../../src/channel/control-client.ts';
import type { TableChange } from '../../src/runtime/table-change.ts';
import { router, service, table } from '../support/data-plane.ts';
import { rememberingLogger, temporaryFolder } from '../support/hub-store.ts';
import { ByteServer } from '../support/sockets.ts';
import type { Peer } from '../support/sockets.ts';

interface Link {
  readonly server: ByteServer;
  readonly changes: TableChange[];
  readonly pieces: TableChange[];
  readonly lines: Record<string, unknown>[];
  readonly client: ControlClient;
}

async function startLink(
  t: TestContext,
  apply: (change: TableChange) => void = () => undefined,
): Promise<Link> {
  const path = join(temporaryFolder(t), 'control.sock');
  const sockets = new Set<net.Socket>();
  const listener = net.createServer({ allowHalfOpen: true }, (socket) => sockets.add(socket));
  const server = new ByteServer(listener);
  await new Promise<void>((resolve) => listener.listen(path, resolve));
  const changes: TableChange[] = [];
  const pieces: TableChange[] = [];
  const { log, lines } = rememberingLogger();
  const client = new ControlClient({
    path,
    workerId: 7,
    log,
    onPiece: (change) => {
      pieces.push(change);
    },
    onChange: (change) => {
      apply(change);
      changes.push(change);
    },
  });
  t.after(() => {
    client.stop();
    listener.close();
    for (const socket of sockets) socket.destroy();
  });
  client.start();
  return { server, changes, pieces, lines, client };
}

function send(peer: Peer, ...messages: unknown[]): void {
  for (const message of messages) peer.send(`${JSON.stringify(message)}\n`);
}

const EMPTY = table([], []);

describe('the control client', () => {
  it('says who it is, puts a snapshot together from its parts, and confirms what it has applied', async (t) => {
    const { server, changes, pieces } = await startLink(t);
    const controller = await server.accept();
    assert.match(await controller.read('\n'), /^\{"type":"hello","workerId":7\b.*\}\n$/);
    const routers = [router('a', 'Path(`/a`)', 's'), router('b', 'Path(`/b`)', 's')];
    const services = [service('s', ['http://127.0.0.1:1'])];
    const piece = (index: number): unknown => ({
      type: 'piece',
      isOfSnapshot: true,
      change: {
        ...EMPTY,
        full: false,
        routers: routers.slice(index, index + 1),
        services: index === 0 ? services : [],
      },
    });
    send(controller, piece(0), piece(1));
    assert.equal(await controller.read('"took"}\n{"type":"took"}\n'), '{"type":"took"}\n{"type":"took"}\n');
    assert.equal(pieces.length, 2);
    assert.equal(changes.length, 0);
    send(controller, { type: 'change', change: { ...EMPTY, generation: 4 } });
    assert.match(await controller.read('\n'), /"type":"applied","generation":4/);
    assert.deepEqual(changes[0]?.routers, routers);
    assert.deepEqual(changes[0]?.services, services);

    send(controller, {
      type: 'change',
      change: { ...EMPTY, full: false, generation: 5, removedRouters: ['a'] },
    });
    assert.match(await controller.read('\n'), /"generation":5/);
    assert.deepEqual(changes[1]?.routers, []);
    assert.deepEqual(changes[1]?.removedRouters, ['a']);
  });

  it('takes lines in any pieces', async (t) => {
    const { server, changes } = await startLink(t);
    const controller = await server.accept();
    await controller.read('\n');
    const line = `${JSON.stringify({ type: 'change', change: { ...EMPTY, removedServices: ['ü'] } })}\n`;
    for (const byte of Buffer.from(line, 'utf8').toString('latin1')) controller.send(byte);
    await controller.read('\n');
    assert.deepEqual(changes[0]?.removedServices, ['ü']);
  });

  it('keeps its table while the controller is away, comes back, and forgets half a snapshot', async (t) => {
    const { server, changes } = await startLink(t);
    const first = await server.accept();
    await first.read('\n');
    const change = { ...EMPTY, full: false, routers: [router('old', 'Path(`/`)', 's')] };
    send(first, { type: 'piece', isOfSnapshot: true, change });
    await first.read('took');
    first.socket.destroy();
    const second = await server.accept();
    await second.read('\n');
    send(second, { type: 'change', change: { ...EMPTY, generation: 1 } });
    await second.read('\n');
    assert.equal(changes.length, 1);
    assert.deepEqual(changes[0]?.routers, []);
  });

  for (const { name, text, reason } of [
    { name: 'a line that is no JSON', text: '{\n', reason: /is not JSON/ },
    {
      name: 'a change that it cannot apply',
      text: `${JSON.stringify({ type: 'change', change: EMPTY })}\n`,
      reason: /no way/,
    },
  ])
    it(`logs ${name}, confirms nothing, and begins anew`, async (t) => {
      let isWilling = false;
      const { server, lines } = await startLink(t, () => {
        if (!isWilling) throw new Error('no way');
      });
      const first = await server.accept();
      await first.read('\n');
      first.send(text);
      assert.equal(await first.readToEnd(), '');
      const second = await server.accept();
      await second.read('\n');
      assert.match(String(lines[0]?.['reason']), reason);
      isWilling = true;
      send(second, { type: 'change', change: EMPTY });
      assert.match(await second.read('\n'), /"applied"/);
    });

  it('stays away when it has been stopped', async (t) => {
    const { server, client } = await startLink(t);
    const controller = await server.accept();
    await controller.read('\n');
    client.stop();
    await controller.readToEnd();
    assert.equal(server.accepted, 1);
  });
});
