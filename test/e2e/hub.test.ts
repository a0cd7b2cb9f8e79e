import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { statSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fetch } from 'undici';
import WebSocket from 'ws';
import { createHub, isAlive, until } from '../support/hub.ts';
import type { Hub } from '../support/hub.ts';

// JupyterHub itself refuses a name with a slash; how such a routespec is routed is tested beside the route store.
const NAMES = ['zoe', '秀樹', 'has@', '~tilde', 'a b', 'bob+test@x.org'];

describe('a JupyterHub that starts the proxy', () => {
  let hub: Hub;
  before(async () => {
    hub = await createHub();
    await hub.start();
  });
  after(() => hub.dispose());

  it('keeps its files to itself', () => {
    for (const name of ['rules.toml', 'traefik.toml', 'jupyterhub-traefik-proxy.json'])
      assert.equal(statSync(path.join(hub.folder, name)).mode & 0o777, 0o600, name);
  });

  it('lets a student log in through the form', async () => {
    const page = await fetch(`${hub.url}/hub/login`);
    const cookie = page.headers
      .getSetCookie()
      .map((line) => line.split(';')[0])
      .join('; ');
    const form = await page.text();
    assert.equal(page.status, 200, form);
    const xsrf = /name="_xsrf" value="([^"]+)"/.exec(form)?.[1] ?? '';
    assert.notEqual(xsrf, '', form);
    const answer = await fetch(`${hub.url}/hub/login?next=%2Fhub%2Fhome`, {
      method: 'POST',
      redirect: 'manual',
      headers: { cookie, 'content-type': 'application/x-www-form-urlencoded', origin: hub.url },
      body: new URLSearchParams({ username: 'zoe', password: 'jupyter', _xsrf: xsrf }).toString(),
    });
    assert.equal(answer.status, 302);
    assert.equal(answer.headers.get('location'), '/hub/home');
  });

  for (const name of NAMES)
    it(`routes user ${JSON.stringify(name)} to a server and forgets it when that stops`, async () => {
      const server = await hub.startServer(name);
      const { status, text } = await hub.request('GET', `${server}api/status`);
      assert.equal(status, 200, text);
      const entry = `routespec = ${JSON.stringify(server)}`;
      await until('the route to be in the file', () => hub.rules.includes(entry));
      await hub.stopServer(name);
      await until('the route to leave the file', () => !hub.rules.includes(entry));
      const gone = await hub.request('GET', `${server}api/status`);
      assert.notEqual(gone.status, 200);
    });

  it('runs code in a kernel over its WebSocket', async (t) => {
    const server = await hub.startServer('zoe');
    const kernel = await hub.openKernel(server);
    t.after(() => {
      kernel.close();
    });
    assert.equal(await kernel.run('print(6 * 7)'), '42\n');
  });

  it('opens a terminal', async (t) => {
    const server = await hub.startServer('zoe');
    const terminal = await hub.json('POST', `${server}api/terminals`);
    const socket = new WebSocket(
      `${hub.url.replace('http', 'ws')}${server}terminals/websocket/${String(terminal['name'])}`,
      { headers: { authorization: 'token a-token-of-the-tests' } },
    );
    t.after(() => {
      socket.terminate();
    });
    let shown = '';
    socket.on('message', (data) => {
      shown += (data as Buffer).toString('utf8');
    });
    await new Promise((resolve, reject) => {
      socket.once('open', resolve);
      socket.once('error', reject);
    });
    socket.send(JSON.stringify(['stdin', 'echo $((40+2))-in-the-shell\r']));
    await until('the shell', () => shown.includes('42-in-the-shell'));
  });

  it('takes and gives 100 MB unchanged', async () => {
    const server = await hub.startServer('zoe');
    const content = randomBytes(75 * 1024 * 1024).toString('base64');
    assert.ok(content.length >= 100 * 1024 * 1024);
    await hub.json('PUT', `${server}api/contents/large.txt`, { type: 'file', format: 'text', content });
    const { status, text } = await hub.request('GET', `${server}files/large.txt`);
    assert.equal(status, 200);
    const digest = (value: string): string => createHash('sha256').update(value).digest('hex');
    assert.equal(digest(text), digest(content));
  });

  it('routes a named server beside the default one', async () => {
    await hub.startServer('zoe');
    const named = await hub.startServer('zoe', 'lab2');
    assert.equal(named, '/user/zoe/lab2/');
    assert.equal((await hub.request('GET', `${named}api/status`)).status, 200);
    await hub.stopServer('zoe', 'lab2');
    assert.equal((await hub.request('GET', '/user/zoe/api/status')).status, 200);
  });

  it('leaves nothing running when it stops', async () => {
    const pid = hub.supervisorPid;
    assert.ok(isAlive(pid));
    await hub.stop();
    assert.ok(!isAlive(pid));
    assert.doesNotMatch(hub.log, /Traceback/);
  });
});
