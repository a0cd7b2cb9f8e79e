// An unmodified JupyterHub with its own class for configurable-http-proxy, whose command is ours.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { createHub, freePorts, isAlive, PROGRAM, until } from '../support/hub.ts';
import type { Hub } from '../support/hub.ts';

/** A hub whose proxy ends with the test. */
async function startHub(t: TestContext, command: readonly string[]): Promise<Hub> {
  const [apiPort = 0] = await freePorts(1);
  const hub = await createHub(
    [
      'c.JupyterHub.proxy_class = "configurable-http-proxy"',
      `c.ConfigurableHTTPProxy.command = ${JSON.stringify(command)}`,
      `c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:${String(apiPort)}"`,
    ].join('\n'),
  );
  t.after(async () => {
    const pid = proxyPid(hub);
    await hub.dispose();
    if (pid > 0 && isAlive(pid)) process.kill(pid, 'SIGKILL');
  });
  await hub.start();
  return hub;
}

function proxyPid(hub: Hub): number {
  try {
    return Number(readFileSync(path.join(hub.folder, 'jupyterhub-proxy.pid'), 'utf8'));
  } catch {
    // The hub has removed it.
    return 0;
  }
}

describe("JupyterHub's own class for configurable-http-proxy", () => {
  it('runs our command, replaces it when it dies, and takes its place after a kill', async (t) => {
    const hub = await startHub(t, [process.execPath, PROGRAM, 'configurable-http-proxy']);
    const server = await hub.startServer('bob+test@x.org');
    const status = async (): Promise<number> => (await hub.request('GET', `${server}api/status`)).status;
    assert.equal(await status(), 200);
    const kernel = await hub.openKernel(server);
    assert.equal(await kernel.run('print(6 * 7)'), '42\n');
    kernel.close();

    const first = proxyPid(hub);
    process.kill(first, 'SIGKILL');
    await until('another proxy', () => proxyPid(hub) !== first && proxyPid(hub) > 0);
    await until('the server to be reached', async () => (await status()) === 200);

    const second = proxyPid(hub);
    await hub.kill();
    assert.ok(isAlive(second));
    assert.notEqual(await status(), 0);
    await hub.start();
    assert.notEqual(proxyPid(hub), second);
    await until('the server to be reached', async () => (await status()) === 200);

    await hub.stopServer('bob+test@x.org');
    assert.notEqual(await status(), 200);
    const page = await hub.request('GET', '/user/nobody/');
    assert.notEqual(page.status, 502);
  });
});
