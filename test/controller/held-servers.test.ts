// Ports of a controller while there is none: another program that got one would be told the hub's token.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { Agent, request } from 'undici';
import { CHP_TOKEN, startServingChp } from '../support/chp.ts';
import type { Chp } from '../support/chp.ts';
import { freePorts } from '../support/free-ports.ts';
import { childrenOf, isAlive } from '../support/hub.ts';
import { until } from '../support/until.ts';

/** A call on a connection of its own: those to a controller that was killed are cut. */
async function call(t: TestContext, port: number, method: 'GET' | 'POST', name: string): Promise<number> {
  const dispatcher = new Agent({ pipelining: 0 });
  t.after(() => dispatcher.close());
  const { statusCode, body } = await request(`http://127.0.0.1:${String(port)}${name}`, {
    method,
    dispatcher,
    headers: { authorization: `token ${CHP_TOKEN}` },
    ...(method === 'POST' ? { body: '{"target":"http://127.0.0.1:9"}' } : {}),
  });
  await body.dump();
  return statusCode;
}

/** Kills the controller; resolves when it is gone. */
async function killController({ child: { pid = 0 } }: Chp): Promise<number> {
  const [controller = 0] = childrenOf(pid, 'jtp controller');
  process.kill(controller, 'SIGKILL');
  await until(() => !isAlive(controller), 'the controller to end');
  return controller;
}

/** What comes of binding a port: `EADDRINUSE`, or `bound`. */
function tryToBind(t: TestContext, port: number): Promise<string> {
  return new Promise((resolve) => {
    const server = net.createServer();
    t.after(() => server.close());
    server.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code ?? '');
    });
    server.listen(port, '127.0.0.1', () => {
      resolve('bound');
    });
  });
}

describe('servers of a controller', () => {
  it('keep their ports while there is no controller, and calls wait for the next one', async (t) => {
    const [metricsPort = 0] = await freePorts(1);
    const chp = await startServingChp(t, {
      args: ['--metrics-ip', '127.0.0.1', '--metrics-port', String(metricsPort)],
    });
    for (const name of ['first', 'second']) {
      const before = await killController(chp);
      const bound = [await tryToBind(t, chp.apiPort), await tryToBind(t, metricsPort)];
      const statuses = Promise.all([
        call(t, chp.apiPort, 'POST', `/api/routes/${name}`),
        call(t, chp.apiPort, 'GET', '/api/routes'),
        call(t, metricsPort, 'GET', '/metrics'),
      ]);
      assert.deepEqual(bound, ['EADDRINUSE', 'EADDRINUSE']);
      assert.deepEqual(await statuses, [201, 200, 200]);
      assert.notDeepEqual(childrenOf(chp.child.pid ?? 0, 'jtp controller'), [before]);
    }
    assert.equal(await call(t, chp.apiPort, 'GET', '/api/routes/first'), 200);
  });

  it('keep their Unix socket, too', async (t) => {
    const folder = mkdtempSync(path.join(tmpdir(), 'jtp-held-'));
    t.after(() => {
      rmSync(folder, { recursive: true, force: true });
    });
    const socketPath = path.join(folder, 'api.sock');
    const [port = 0] = await freePorts(1);
    const chp = await startServingChp(t, {
      hasAddresses: false,
      args: ['--ip', '127.0.0.1', '--port', String(port), '--api-socket', socketPath],
    });
    const agent = new Agent({ connect: { socketPath } });
    t.after(() => agent.close());
    await killController(chp);
    const { statusCode } = await request('http://localhost/api/routes', {
      dispatcher: agent,
      headers: { authorization: `token ${CHP_TOKEN}` },
    });
    assert.equal(statusCode, 200);
  });
});
