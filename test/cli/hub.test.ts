// The `hub` command as a process tree: what the plug-in relies on.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { request } from 'undici';
import { parseStaticConfiguration } from '../../src/config/load-static.ts';
import {
  call,
  controllerOf,
  eventually,
  PROGRAM,
  settingsFor,
  startBackend,
  startHub,
  textOf,
  TOKEN,
  workersOf,
} from '../support/hub-process.ts';
import { temporaryFolder, userRoute } from '../support/hub-store.ts';
import { until } from '../support/until.ts';
import { closedPort, within } from '../support/sockets.ts';

describe('the hub command with an engine of ours', () => {
  it('serves what it is told, tells its state, and leaves nothing behind', async (t) => {
    const folder = temporaryFolder(t);
    const settings = await settingsFor(folder);
    const hub = startHub(t, folder, settings);
    const { ready, apiUrl = '', pid } = await hub.answer;
    assert.equal(ready, true);
    assert.equal(pid, hub.child.pid);
    const state = JSON.parse(readFileSync(join(folder, 'state.json'), 'utf8')) as Record<string, unknown>;
    assert.equal(statSync(join(folder, 'state.json')).mode & 0o777, 0o600);
    assert.deepEqual(
      [state['pid'], state['apiUrl'], state['token'], state['digest']],
      [pid, apiUrl, TOKEN, 'a-digest'],
    );
    const health = await call(apiUrl, 'GET', '/api/health');
    assert.deepEqual(health.json, { pid, digest: 'a-digest', version: state['version'] });
    const staticText = readFileSync(join(folder, 'traefik.toml'), 'utf8');
    assert.equal(
      parseStaticConfiguration(staticText, 'traefik.toml').providers.file?.filename,
      join(folder, 'rules.toml'),
    );

    const backend = await startBackend(t);
    const { status } = await call(apiUrl, 'POST', '/api/routespecs', { add: [userRoute('zoe', backend)] });
    assert.equal(status, 200);
    assert.equal(await textOf(`${String(settings['publicUrl'])}/user/zoe/x`), '200 backend');
    assert.match(await textOf(`${String(settings['publicUrl'])}/user/zoex`), /^404/);
    await call(apiUrl, 'POST', '/api/routespecs', { remove: ['/user/zoe/'] });
    assert.match(await textOf(`${String(settings['publicUrl'])}/user/zoe/x`), /^404/);

    for (const process of [pid ?? 0, controllerOf(pid ?? 0)])
      assert.doesNotMatch(
        readFileSync(`/proc/${String(process)}/cmdline`, 'utf8'),
        /not-to-be-seen|test-token/,
      );
    hub.child.kill('SIGTERM');
    assert.equal(await within(hub.exited, 'the end'), 0);
    assert.equal(existsSync(join(folder, 'state.json')), false);
    // A real Traefik started in this folder would take it for its own.
    assert.equal(existsSync(join(folder, 'traefik.toml')), false);
    assert.doesNotMatch(hub.output(), /not-to-be-seen|test-token/);
  });

  it('gives the API to its user and to nobody else', async (t) => {
    const folder = temporaryFolder(t);
    const settings = await settingsFor(folder);
    const hub = startHub(t, folder, settings);
    await hub.answer;
    const get = async (password: string): Promise<number> => {
      const { statusCode, body } = await request(`${String(settings['traefikApiUrl'])}/api/overview`, {
        headers: { authorization: `Basic ${Buffer.from(`api_admin:${password}`).toString('base64')}` },
      });
      await body.dump();
      return statusCode;
    };
    assert.equal(await get('not-to-be-seen'), 200);
    assert.equal(await get('other'), 401);
  });

  it('serves the routes of the file before anybody has said anything, and outlives the end of its input', async (t) => {
    const folder = temporaryFolder(t);
    const backend = await startBackend(t);
    writeFileSync(
      join(folder, 'rules.toml'),
      `[jupyterhub.routes.x]\nroutespec = "/user/zoe/"\ntarget = "http://127.0.0.1:${String(backend)}"\n`,
    );
    const settings = await settingsFor(folder);
    const hub = startHub(t, folder, settings);
    await hub.answer;
    hub.child.stdin?.end();
    assert.equal(await textOf(`${String(settings['publicUrl'])}/user/zoe/`), '200 backend');
  });

  it('keeps routes, address and token when its controller is killed, and makes no change that is not live', async (t) => {
    const folder = temporaryFolder(t);
    const backend = await startBackend(t);
    const settings = await settingsFor(folder);
    const hub = startHub(t, folder, settings);
    const { apiUrl = '', pid = 0 } = await hub.answer;
    await call(apiUrl, 'POST', '/api/routespecs', { add: [userRoute('zoe', backend)] });
    process.kill(controllerOf(pid), 'SIGKILL');
    assert.equal(await textOf(`${String(settings['publicUrl'])}/user/zoe/`), '200 backend');
    const { json } = await eventually(
      () => call(apiUrl, 'POST', '/api/routespecs', { add: [userRoute('amy', backend)] }),
      'another controller',
    );
    assert.deepEqual(json, { added: 1, removed: 0 });
    assert.equal(await textOf(`${String(settings['publicUrl'])}/user/amy/`), '200 backend');
    assert.deepEqual(Object.keys((await call(apiUrl, 'GET', '/api/routespecs')).json as object).sort(), [
      '/user/amy/',
      '/user/zoe/',
    ]);
  });

  it('answers a change when a worker stands still, and replaces that worker', async (t) => {
    const folder = temporaryFolder(t);
    const backend = await startBackend(t);
    const settings = await settingsFor(folder, { workers: 2 });
    const hub = startHub(t, folder, settings);
    const { apiUrl = '', pid = 0 } = await hub.answer;
    const [stuck = 0] = workersOf(pid);
    process.kill(stuck, 'SIGSTOP');
    const { status } = await call(apiUrl, 'POST', '/api/routespecs', { add: [userRoute('zoe', backend)] });
    assert.equal(status, 200);
    await until(() => workersOf(pid).length === 2 && !workersOf(pid).includes(stuck), 'another worker');
    assert.equal(await textOf(`${String(settings['publicUrl'])}/user/zoe/`), '200 backend');
    await until(() => hub.output().includes('the worker does not answer and is replaced'), 'the log line');
  });

  for (const [name, settings, want] of [
    [
      'an unknown setting',
      { publicUrl: 'http://:0', publcUrl: 1 },
      /publcUrl: unknown key, did you mean "publicUrl"/,
    ],
    [
      'a static key that does not exist',
      { extraStaticConfig: { lgo: {} } },
      /lgo: unknown key, did you mean "log"/,
    ],
    [
      'a dynamic key that does not exist',
      { extraDynamicConfig: { http: { routrs: { x: {} } } } },
      /extraDynamicConfig: http\.routrs: unknown key/,
    ],
    [
      'a folder that does not exist',
      { dynamicConfigFile: '/nonexistent/folder/rules.toml' },
      /\/nonexistent\/folder\/rules\.toml cannot be written: ENOENT.*create it/,
    ],
  ] as const)
    it(`says in one line that it cannot start with ${name}`, async (t) => {
      const folder = temporaryFolder(t);
      const hub = startHub(t, folder, { ...(await settingsFor(folder)), ...settings });
      const { error = '' } = await hub.answer;
      assert.match(error, want);
      assert.ok(!error.includes('\n'));
      assert.equal(await within(hub.exited, 'the end'), 1);
    });

  it('says which port is in use', async (t) => {
    const folder = temporaryFolder(t);
    const taken = net.createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    t.after(() => taken.close());
    const address = taken.address();
    const port = address !== null && typeof address === 'object' ? address.port : 0;
    const hub = startHub(
      t,
      folder,
      await settingsFor(folder, { publicUrl: `http://127.0.0.1:${String(port)}` }),
    );
    assert.match((await hub.answer).error ?? '', new RegExp(String(port)));
    assert.equal(await hub.exited, 1);
    // Somebody who looks around in this folder would take it for a configuration of theirs.
    assert.equal(existsSync(join(folder, 'traefik.toml')), false);
    const other = startHub(t, folder, await settingsFor(folder, { apiPort: port }));
    assert.match(
      (await other.answer).error ?? '',
      new RegExp(`REST API cannot listen on 127\\.0\\.0\\.1:${String(port)}.*EADDRINUSE`),
    );
  });

  it('leaves a hub alone that keeps the same routes file, and names it', async (t) => {
    const folder = temporaryFolder(t);
    const first = startHub(t, folder, await settingsFor(folder));
    const { apiUrl = '', pid } = await first.answer;
    const written = readFileSync(join(folder, 'traefik.toml'), 'utf8');
    const second = startHub(t, folder, await settingsFor(folder));
    const { error = '' } = await second.answer;
    assert.ok(
      error.startsWith(`${join(folder, 'rules.toml')} is kept by process ${String(pid)} (with its child `),
      error,
    );
    assert.equal(await second.exited, 1);
    assert.equal(readFileSync(join(folder, 'traefik.toml'), 'utf8'), written);
    const added = await call(apiUrl, 'POST', '/api/routespecs', { add: [userRoute('amy')] });
    assert.ok(added.status < 300, String(added.status));
  });

  it('takes flags from a person, and refuses to mix them with settings', async (t) => {
    const folder = temporaryFolder(t);
    const url = `http://127.0.0.1:${String(await closedPort())}`;
    const hub = startHub(t, folder, undefined, [
      ...['--public-url', url, '--routes-file', 'r.yaml', '--static-file', 's.yaml', '--api-port', '0'],
      ...[
        '--engine-url',
        `http://127.0.0.1:${String(await closedPort())}`,
        '--workers',
        '1',
        '--state-file',
        'state.json',
      ],
    ]);
    const { apiUrl = '' } = await hub.answer;
    await call(apiUrl, 'POST', '/api/routespecs', { add: [userRoute('zoe')] });
    await until(() => readFileSync(join(folder, 'r.yaml'), 'utf8').includes('/user/zoe/'), 'the file');
    assert.ok(existsSync(join(folder, 's.yaml')));
    assert.ok(existsSync(join(folder, 'state.json')));
    const mixed = startHub(t, folder, {}, ['--settings', '-', '--workers', '2']);
    assert.match((await mixed.answer).error ?? '', /workers cannot be given as flags/);
  });
});

describe('the hub command with an engine of somebody else', () => {
  it('confirms through the engine, touches the routes file only, and ends with its parent', async (t) => {
    const folder = temporaryFolder(t);
    const backend = await startBackend(t);
    const settings = await settingsFor(folder, { shouldStart: false });
    const { publicUrl, traefikApiUrl } = settings;
    writeFileSync(join(folder, 'rules.toml'), '', { mode: 0o600 });
    writeFileSync(
      join(folder, 'engine.toml'),
      `[api]
[entryPoints.http]
address = "${String(publicUrl).replace('http://', '')}"
[entryPoints.auth_api]
address = "${String(traefikApiUrl).replace('http://', '')}"
[providers]
providersThrottleDuration = "0s"
[providers.file]
filename = "rules.toml"
`,
    );
    const hub = startHub(t, folder, settings);
    const { apiUrl = '' } = await hub.answer;
    // The engine comes later, and the change waits for it.
    const change = call(apiUrl, 'POST', '/api/routespecs', { add: [userRoute('zoe', backend)] });
    const engine = spawn(process.execPath, [PROGRAM, 'traefik', '-c', 'engine.toml', '--workers', '1'], {
      cwd: folder,
      stdio: 'ignore',
    });
    const engineExited = new Promise((resolve) => engine.once('exit', resolve));
    t.after(async () => {
      engine.kill('SIGKILL');
      await engineExited;
    });
    assert.equal((await change).status, 200);
    assert.equal(await textOf(`${String(publicUrl)}/user/zoe/`), '200 backend');
    await call(apiUrl, 'POST', '/api/routespecs', { add: [userRoute('zoe', await startBackend(t))] });
    await call(apiUrl, 'POST', '/api/routespecs', { remove: ['/user/zoe/'] });
    assert.match(await textOf(`${String(publicUrl)}/user/zoe/`), /^404/);
    assert.equal(existsSync(join(folder, 'traefik.toml')), false);
    hub.child.stdin?.end();
    assert.equal(await within(hub.exited, 'the end'), 0);
    assert.equal(engine.exitCode, null);
  });
});
