// The Littlest JupyterHub, step by step as examples/tljh tells it: only paths, ports and the way of starting differ.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createHub, PROGRAM, ROOT, until } from '../support/hub.ts';
import type { Hub } from '../support/hub.ts';

const EXAMPLE = path.join(ROOT, 'examples', 'tljh');

/** As root the file could be written whatever its mode says: what systemd does with ProtectSystem is done with a namespace. */
const canProtect = spawnSync('unshare', ['--mount', 'true']).status === 0;

function adapt(name: string, hub: Hub): string {
  return readFileSync(path.join(EXAMPLE, name), 'utf8')
    .replaceAll('/opt/tljh/state', path.join(hub.folder, 'state'))
    .replace('":80"', `"127.0.0.1:${String(hub.publicPort)}"`)
    .replace('127.0.0.1:8099', `127.0.0.1:${String(hub.apiPort)}`);
}

describe('The Littlest JupyterHub', () => {
  let hub: Hub;
  let state: string;
  let rules: string;
  let engine: ReturnType<typeof spawn> | undefined;
  let output = '';

  before(async () => {
    hub = await createHub('load_subconfig("proxy.py")');
    state = path.join(hub.folder, 'state');
    rules = path.join(state, 'rules.toml');
  });
  after(async () => {
    await hub.dispose();
    engine?.kill('SIGKILL');
  });

  it('starts the proxy on an empty private file that it may only read', async () => {
    mkdirSync(state, { mode: 0o700 });
    closeSync(openSync(rules, 'w'));
    chmodSync(rules, 0o600);
    writeFileSync(path.join(state, 'traefik.toml'), adapt('traefik.toml', hub));
    const command = `exec ${process.execPath} ${PROGRAM} traefik --configfile ${state}/traefik.toml`;
    const protectedCommand = `mount --bind ${state} ${state} && mount -o remount,ro,bind ${state} && ${command}`;
    engine = canProtect
      ? spawn('unshare', ['--mount', 'sh', '-c', protectedCommand], { cwd: '/' })
      : spawn('sh', ['-c', command], { cwd: '/' });
    for (const stream of [engine.stdout, engine.stderr])
      stream?.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')));
    await until('the engine', () => output.includes(' serves '));
    if (canProtect) assert.notEqual(spawnSync('nsenter', nsenter(engine.pid, `touch ${rules}`)).status, 0);
  });

  it('serves what the hub writes, and only the hub writes it', async () => {
    writeFileSync(path.join(hub.folder, 'proxy.py'), adapt('jupyterhub_config.py', hub));
    await hub.start();
    const server = await hub.startServer('zoe');
    const kernel = await hub.openKernel(server);
    assert.equal(await kernel.run('print(6 * 7)'), '42\n');
    kernel.close();
    assert.equal(statSync(rules).mode & 0o777, 0o600);
    assert.match(readFileSync(rules, 'utf8'), /zoe/);
  });

  it('puts the routes back when the file is truncated while everything runs', async () => {
    truncateSync(rules);
    await until('the routes in the file', () => readFileSync(rules, 'utf8').includes('zoe'));
    await until('the server', async () => (await hub.request('GET', '/user/zoe/api/status')).status === 200);
    const other = await hub.startServer('amy');
    assert.equal((await hub.request('GET', `${other}api/status`)).status, 200);
    await hub.stopServer('amy');
    assert.equal(statSync(rules).mode & 0o777, 0o600);
  });

  it('outlives the hub, and ends when it is told to', async () => {
    await hub.kill();
    assert.equal((await hub.request('GET', '/user/zoe/api/status')).status, 200);
    const ended = new Promise((resolve) => engine?.once('exit', resolve));
    engine?.kill('SIGTERM');
    assert.equal(await ended, 0);
  });
});

function nsenter(pid: number | undefined, command: string): string[] {
  return [`--target=${String(pid)}`, '--mount', 'sh', '-c', command];
}
