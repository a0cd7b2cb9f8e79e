// JupyterHub with its own class for configurable-http-proxy, whose command is ours, in the less usual arrangements.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import tls from 'node:tls';
import { createHub, freePorts, PROGRAM } from '../support/hub.ts';
import type { Hub, HubPlace } from '../support/hub.ts';

const COMMAND = JSON.stringify([process.execPath, PROGRAM, 'configurable-http-proxy', '--workers', '1']);

async function startHub(t: TestContext, config: readonly string[], place: HubPlace): Promise<Hub> {
  const hub = await createHub(
    [
      'import os',
      'c.JupyterHub.proxy_class = "configurable-http-proxy"',
      `c.ConfigurableHTTPProxy.command = ${COMMAND}`,
      ...config,
    ].join('\n'),
    place,
  );
  t.after(() => hub.dispose());
  await hub.start();
  return hub;
}

/** Page, API and WebSocket of a user's server, and what becomes of them when it stops. */
async function useServer(hub: Hub, user: string): Promise<void> {
  const server = await hub.startServer(user);
  assert.equal((await hub.request('GET', `${server}api/status`)).status, 200);
  const kernel = await hub.openKernel(server);
  assert.equal(await kernel.run('print(6 * 7)'), '42\n');
  kernel.close();
  await hub.stopServer(user);
  assert.notEqual((await hub.request('GET', `${server}api/status`)).status, 200);
}

describe("JupyterHub's own class for configurable-http-proxy", () => {
  it('runs us with the public side, the API and the hub on Unix sockets, below a base URL', async (t) => {
    // JupyterHub's client writes the path in small letters.
    const folder = path.join(tmpdir(), `jtp-e2e-${randomBytes(6).toString('hex')}`);
    mkdirSync(folder, { mode: 0o700 });
    t.after(() => {
      rmSync(folder, { recursive: true });
    });
    const urlOf = (name: string): string => `http+unix://${encodeURIComponent(path.join(folder, name))}`;
    const hub = await startHub(
      t,
      [
        `c.ConfigurableHTTPProxy.api_url = "${urlOf('api.sock')}"`,
        `c.JupyterHub.hub_bind_url = "${urlOf('hub.sock')}"`,
        `c.JupyterHub.bind_url = "${urlOf('public.sock')}/@/space%20word/"`,
      ],
      { socket: path.join(folder, 'public.sock'), base: '/@/space%20word' },
    );
    await useServer(hub, 'bob+test@x.org');
    assert.match(hub.log, /Proxying http\+unix:\/\/%2F\S+public\.sock to/);
  });

  it("runs us with the hub's certificates on every connection, and a host for every user", async (t) => {
    const [port = 0, apiPort = 0, hubPort = 0] = await freePorts(3);
    const host = `hub.test:${String(port)}`;
    const hub = await startHub(
      t,
      [
        'c.JupyterHub.internal_ssl = True',
        'c.JupyterHub.internal_certs_location = os.path.abspath("certificates")',
        `c.JupyterHub.subdomain_host = "http://${host}"`,
        `c.JupyterHub.bind_url = "http://127.0.0.1:${String(port)}"`,
        `c.JupyterHub.hub_bind_url = "https://127.0.0.1:${String(hubPort)}"`,
        `c.ConfigurableHTTPProxy.api_url = "https://127.0.0.1:${String(apiPort)}"`,
      ],
      { port, host },
    );
    await useServer(hub, 'bob');
    assert.match(hub.log, /Adding user bob to proxy bob\.hub\.test\/user\/bob\/ => https:/);
    for (const closed of [apiPort, hubPort]) assert.equal(await letsInStrangers(closed), false);
    assert.equal((await hub.request('GET', `http://other.test:${String(port)}/hub/api/`)).status, 200);
  });
});

/** Whether a client without a certificate gets an answer. */
function letsInStrangers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = tls.connect({ host: '127.0.0.1', port, rejectUnauthorized: false });
    socket.on('secureConnect', () => {
      socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    });
    socket.on('data', () => {
      resolve(true);
    });
    for (const end of ['error', 'close'] as const)
      socket.on(end, () => {
        socket.destroy();
        resolve(false);
      });
  });
}
