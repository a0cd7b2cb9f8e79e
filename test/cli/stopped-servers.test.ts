// The tabs of servers that are stopped or dead: they poll for hours, and the hub hears nothing of it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import http from 'node:http';
import type { Readable } from 'node:stream';
import { it } from 'node:test';
import { Agent, request } from 'undici';
import { temporaryFolder } from '../support/hub-store.ts';
import { closedPort, within } from '../support/sockets.ts';

const PROGRAM = new URL('../../../bin/jupyterhub-traefik-proxy.js', import.meta.url).pathname;
const SERVERS = 300;
const TABS = 500;

it('answers 500 tabs of 300 stopped or dead servers without asking the hub', async (t) => {
  const seen: string[] = [];
  const hubServer = http.createServer(({ url = '' }, response) => {
    seen.push(url);
    response.end('the hub');
  });
  await new Promise<void>((resolve) => hubServer.listen(0, '127.0.0.1', resolve));
  const agent = new Agent({ connections: 16 });
  const address = hubServer.address();
  const hubPort = address !== null && typeof address === 'object' ? address.port : 0;
  const folder = temporaryFolder(t);
  const publicUrl = `http://127.0.0.1:${String(await closedPort())}`;
  const child = spawn(process.execPath, [PROGRAM, 'hub', '--settings', '-', '--ready-fd', '3'], {
    cwd: folder,
    env: { ...process.env, HOME: folder, CONFIGPROXY_AUTH_TOKEN: 'token' },
    stdio: ['pipe', 'ignore', 'ignore', 'pipe'],
  });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  t.after(async () => {
    child.kill('SIGKILL');
    await exited;
    await agent.close();
    hubServer.close();
    hubServer.closeAllConnections();
  });
  child.stdin?.write(
    `${JSON.stringify({ publicUrl, traefikApiUrl: `http://127.0.0.1:${String(await closedPort())}`, workers: 1 })}\n`,
  );
  const line = await within(
    new Promise<string>((resolve) => {
      (child.stdio[3] as Readable).once('data', (chunk: Buffer) => {
        resolve(chunk.toString('utf8'));
      });
    }),
    'the ready line',
  );
  const { apiUrl = '' } = JSON.parse(line) as { apiUrl?: string };
  const change = async (body: unknown): Promise<void> => {
    const answer = await request(`${apiUrl}/api/routespecs`, {
      method: 'POST',
      headers: { authorization: 'token token' },
      body: JSON.stringify(body),
    });
    assert.equal(answer.statusCode, 200, await answer.body.text());
  };
  const specs = Array.from({ length: SERVERS }, (_, index) => `/user/u${String(index)}/`);
  const dead = `http://127.0.0.1:${String(await closedPort())}`;
  await change({
    add: [
      { routespec: '/', target: `http://127.0.0.1:${String(hubPort)}`, data: { hub: true } },
      ...specs.map((routespec) => ({ routespec, target: dead })),
    ],
  });
  // Every second one is stopped, the others have died.
  const stopped = specs.filter((_, index) => index % 2 === 0);
  await change({ remove: stopped });
  const poll = async (spec: string, headers: Record<string, string>): Promise<number> => {
    const answer = await request(`${publicUrl}${spec}api/kernels`, { dispatcher: agent, headers });
    await answer.body.dump();
    return answer.statusCode;
  };
  while ((await poll(stopped.at(-1) ?? '', {})) !== 424);
  const before = seen.length;
  const statuses = await Promise.all(
    Array.from({ length: TABS }, (_, tab) => poll(specs[tab % SERVERS] ?? '', { accept: '*/*' })),
  );
  assert.deepEqual(
    statuses,
    statuses.map((_, tab) => ((tab % SERVERS) % 2 === 0 ? 424 : 502)),
  );
  assert.equal(seen.length, before);
  // A person is shown the hub.
  assert.equal(await poll(stopped[0] ?? '', { accept: 'text/html' }), 200);
  assert.equal(seen.length, before + 1);
});
