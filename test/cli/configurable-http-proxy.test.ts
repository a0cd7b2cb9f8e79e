// The configurable-http-proxy command as a process tree: what JupyterHub and operators rely on.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, symlinkSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { Agent, request } from 'undici';
import { CHP_PROGRAM, CHP_TOKEN, startChp, startServingChp, statusOf } from '../support/chp.ts';
import { listenLocally } from '../support/http-servers.ts';
import { temporaryFolder } from '../support/hub-store.ts';
import { until } from '../support/until.ts';
import { closedPort } from '../support/sockets.ts';

/** A server that answers with the request that it got. */
async function startEcho(t: TestContext): Promise<string> {
  const server = http.createServer((asked, answer) => {
    answer.setHeader('content-type', 'application/json');
    answer.end(JSON.stringify({ url: asked.url, headers: asked.headers }));
  });
  return `http://127.0.0.1:${String(await listenLocally(t, server))}`;
}

function pidsBelow(pid: number): string[] {
  return execFileSync('ps', ['--ppid', String(pid), '-o', 'pid=,args='], { encoding: 'utf8' })
    .trim()
    .split('\n');
}

function childOf(pid: number, title: string): number {
  return Number.parseInt(pidsBelow(pid).find((line) => line.includes(title)) ?? '0', 10);
}

describe('configurable-http-proxy', () => {
  it('serves what it is told over its API, and ends orderly', async (t) => {
    const folder = temporaryFolder(t);
    const pidFile = join(folder, 'proxy.pid');
    const target = await startEcho(t);
    const chp = await startServingChp(t, {
      args: ['--pid-file', pidFile, '--default-target', target, '--no-include-prefix'],
    });
    await chp.says(new RegExp(`^\\d{4}-.*Z \\[ConfigProxy\\] info: Route added / -> ${target}$`, 'm'));
    // It is there before it says anything.
    await until(() => existsSync(pidFile) && readFileSync(pidFile, 'utf8') !== '', 'the pid file');
    assert.equal(readFileSync(pidFile, 'utf8'), String(chp.child.pid));
    assert.equal((await chp.call('POST', '/api/routes/user/%E7%A7%80', { target, user: 'x' })).status, 201);
    const { body } = await request(`http://127.0.0.1:${String(chp.port)}/user/%E7%A7%80/tree?a`);
    const asked = (await body.json()) as { url: string; headers: Record<string, string> };
    assert.equal(asked.url, '/tree?a');
    assert.equal(asked.headers['x-forwarded-host'], `127.0.0.1:${String(chp.port)}`);
    assert.equal((await chp.call('DELETE', '/api/routes/user/%E7%A7%80')).status, 204);
    chp.child.kill('SIGTERM');
    assert.equal(await chp.exited, 0);
    assert.equal(existsSync(pidFile), false);
  });

  it('says that the default route is there when it can be asked for', async (t) => {
    const target = await startEcho(t);
    const chp = await startChp(t, { args: ['--default-target', target] });
    await chp.says(/Route added \//);
    assert.equal(await statusOf(chp, '/'), 200);
  });

  it('keeps its routes when the controller dies', async (t) => {
    const target = await startEcho(t);
    const chp = await startServingChp(t, { args: ['--default-target', target] });
    await chp.call('POST', '/api/routes/a', { target, mine: true });
    await chp.call('DELETE', '/api/routes/');
    process.kill(childOf(chp.child.pid ?? 0, 'jtp controller'), 'SIGKILL');
    await chp.says(/Proxy API at[^]*Proxy API at/);
    const { text } = await chp.call('GET', '/api/routes');
    assert.deepEqual(Object.keys(JSON.parse(text) as object), ['/a']);
    assert.match(text, /"mine":true/);
    assert.equal(await statusOf(chp, '/a/x'), 200);
    assert.equal(await statusOf(chp, '/'), 404);
  });

  it('keeps its routes in a file over a kill of everything', async (t) => {
    const folder = temporaryFolder(t);
    const target = await startEcho(t);
    const args = ['--storage-backend', 'routes.toml'];
    const before = await startServingChp(t, { args, cwd: folder });
    assert.equal((await before.call('POST', '/api/routes/user/zoe', { target, user: 'zoe' })).status, 201);
    before.child.kill('SIGKILL');
    await before.exited;
    const after = await startServingChp(t, { args, cwd: folder });
    assert.equal(await statusOf(after, '/user/zoe/'), 200);
    const { text } = await after.call('GET', '/api/routes/user/zoe');
    assert.match(text, /"user":"zoe"/);
  });

  it('listens on Unix sockets, takes over dead ones, and removes them', async (t) => {
    const folder = temporaryFolder(t);
    const target = await startEcho(t);
    const sockets = ['public.sock', 'api.sock'].map((name) => join(folder, name));
    const [publicSocket = '', apiSocket = ''] = sockets;
    const args = ['--socket', publicSocket, '--api-socket', apiSocket, '--default-target', target];
    const killed = await startServingChp(t, { args, hasAddresses: false });
    killed.child.kill('SIGKILL');
    await killed.exited;
    const chp = await startServingChp(t, { args, hasAddresses: false });
    const call = async (socketPath: string, path: string): Promise<number> => {
      const dispatcher = new Agent({ connect: { socketPath } });
      t.after(() => dispatcher.destroy());
      const { statusCode, body } = await request(`http://localhost${path}`, {
        dispatcher,
        headers: { authorization: `token ${CHP_TOKEN}` },
      });
      await body.dump();
      return statusCode;
    };
    assert.equal(await call(publicSocket, '/x'), 200);
    assert.equal(await call(apiSocket, '/api/routes'), 200);
    const second = await startChp(t, { args, hasAddresses: false });
    assert.equal(await second.ended, 1);
    assert.match(second.output(), /another program listens there/);
    chp.child.kill('SIGTERM');
    assert.equal(await chp.exited, 0);
    assert.deepEqual(
      sockets.map((path) => existsSync(path)),
      [false, false],
    );
  });

  it('asks the error target once for a page, and not for a script', async (t) => {
    const asked: string[] = [];
    const pages = http.createServer((asking, answer) => {
      asked.push(asking.url ?? '');
      answer.writeHead(200, { 'content-type': 'text/html; charset=utf-8' });
      answer.end('<h1>sorry</h1>');
    });
    await new Promise<void>((resolve) => pages.listen(0, '127.0.0.1', resolve));
    t.after(() => {
      pages.closeAllConnections();
      pages.close();
    });
    const address = pages.address();
    const port = address !== null && typeof address === 'object' ? address.port : 0;
    const chp = await startServingChp(t, {
      args: ['--error-target', `http://127.0.0.1:${String(port)}/hub/error`],
    });
    await chp.call('POST', '/api/routes/dead', { target: `http://127.0.0.1:${String(await closedPort())}` });
    const get = async (path: string, accept: string): Promise<string> => {
      const { statusCode, headers, body } = await request(`http://127.0.0.1:${String(chp.port)}${path}`, {
        headers: { accept },
      });
      return `${String(statusCode)} ${String(headers['content-type'])} ${await body.text()}`;
    };
    const page = '503 text/html; charset=utf-8 <h1>sorry</h1>';
    assert.deepEqual(
      await Promise.all(Array.from({ length: 9 }, () => get('/dead/a?b=c', 'text/html'))),
      Array(9).fill(page),
    );
    assert.equal(await get('/none', 'text/html'), '404 text/html; charset=utf-8 <h1>sorry</h1>');
    assert.match(await get('/dead/api/status', '*/*'), /^503 application\/json /);
    assert.deepEqual(asked, ['/hub/error/503?url=%2Fdead%2Fa%3Fb%3Dc', '/hub/error/404?url=%2Fnone']);
  });

  it('ends when an address is taken', async (t) => {
    const server = net.createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    const address = server.address();
    const port = String(address !== null && typeof address === 'object' ? address.port : 0);
    for (const flags of [
      ['--port', port, '--api-port', String(await closedPort())],
      ['--port', String(await closedPort()), '--api-port', port],
    ]) {
      const chp = await startChp(t, { args: ['--ip', '127.0.0.1', ...flags], hasAddresses: false });
      assert.equal(await chp.ended, 1);
      assert.match(chp.output(), /^configurable-http-proxy: .*(?:another program|in use)/m);
    }
  });

  it('is the command that its link is called after', (t) => {
    const link = join(temporaryFolder(t), 'configurable-http-proxy');
    symlinkSync(CHP_PROGRAM.replace('configurable-http-proxy.js', 'jupyterhub-traefik-proxy.js'), link);
    assert.match(execFileSync(process.execPath, [link, '--help'], { encoding: 'utf8' }), /--error-target/);
  });
});
