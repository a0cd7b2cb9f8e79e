import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { childrenOf, createHub, isAlive, until } from '../support/hub.ts';
import type { Hub, Kernel } from '../support/hub.ts';

describe('processes that are killed', () => {
  let hub: Hub;
  let server: string;
  let kernel: Kernel;
  before(async () => {
    hub = await createHub();
    await hub.start();
    server = await hub.startServer('zoe');
    kernel = await hub.openKernel(server);
  });
  after(async () => {
    kernel.close();
    await hub.dispose();
  });

  /** Everything works: the hub, the server, and a change of the routes. */
  async function assertHealthy(): Promise<void> {
    await until(
      'the server to be reached',
      async () => (await hub.request('GET', `${server}api/status`)).status === 200,
    );
    await until('the hub to be reached', async () => (await hub.request('GET', '/hub/api/')).status === 200);
    const other = await hub.startServer('other');
    assert.equal((await hub.request('GET', `${other}api/status`)).status, 200);
    await hub.stopServer('other');
  }

  it('keeps the kernel and its WebSocket when the controller dies', async () => {
    const [controller = 0] = childrenOf(hub.supervisorPid, 'jtp controller');
    process.kill(controller, 'SIGKILL');
    assert.equal(await kernel.run('print(1)'), '1\n');
    assert.equal((await hub.request('GET', `${server}api/status`)).status, 200);
    await until('another controller', () =>
      childrenOf(hub.supervisorPid, 'jtp controller').some((id) => id !== controller),
    );
    await assertHealthy();
    assert.equal(await kernel.run('print(2)'), '2\n');
  });

  it('keeps the kernel and its WebSocket when the hub dies, and goes on with the same proxy', async () => {
    const supervisor = hub.supervisorPid;
    await hub.kill();
    assert.equal(await kernel.run('print(3)'), '3\n');
    await until('the route to be in the file', () =>
      hub.rules.includes(`routespec = ${JSON.stringify(server)}`),
    );
    await hub.start();
    assert.equal(hub.supervisorPid, supervisor);
    await assertHealthy();
    assert.equal(await kernel.run('print(4)'), '4\n');
  });

  it('replaces a worker that dies', async () => {
    const [worker = 0] = childrenOf(hub.supervisorPid, 'jtp worker');
    process.kill(worker, 'SIGKILL');
    await until('another worker', () => {
      const workers = childrenOf(hub.supervisorPid, 'jtp worker');
      return workers.length > 0 && !workers.includes(worker);
    });
    await assertHealthy();
    if (kernel.isClosed) kernel = await hub.openKernel(server);
    assert.equal(await kernel.run('print(5)'), '5\n');
  });

  it('starts everything again when the supervisor dies, with the routes of the file', async () => {
    const supervisor = hub.supervisorPid;
    const children = [...childrenOf(supervisor, 'jtp worker'), ...childrenOf(supervisor, 'jtp controller')];
    process.kill(supervisor, 'SIGKILL');
    await until('its children to end', () => !children.some(isAlive));
    await until('another supervisor', () => hub.supervisorPid !== supervisor);
    await assertHealthy();
    kernel = await hub.openKernel(server);
    assert.equal(await kernel.run('print(6)'), '6\n');
  });

  it('survives the death of hub and proxy together', async () => {
    const supervisor = hub.supervisorPid;
    await hub.kill();
    process.kill(supervisor, 'SIGKILL');
    await until('the proxy to end', () => !isAlive(supervisor));
    await hub.start();
    await assertHealthy();
  });
});
