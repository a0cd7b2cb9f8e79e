// SIGHUP to the `hub` command: another static configuration takes the place of the one before, with routes that are kept by one controller at a
// time.

import assert from 'node:assert/strict';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { request } from 'undici';
import { freePorts } from '../support/free-ports.ts';
import {
  call,
  controllerOf,
  settingsFor,
  startBackend,
  startHub,
  workersOf,
} from '../support/hub-process.ts';
import type { HubProcess } from '../support/hub-process.ts';
import { temporaryFolder, userRoute } from '../support/hub-store.ts';
import { connect, within } from '../support/sockets.ts';
import { until } from '../support/until.ts';

const IN_FORCE = 'the new static configuration is in force';

function replaceFile(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

/** A connection of its own: any worker may get it. */
async function get(url: string): Promise<string> {
  const { statusCode, body } = await request(url, { reset: true });
  return `${String(statusCode)} ${await body.text()}`;
}

function linesWith(hub: HubProcess, text: string): string[] {
  return hub
    .output()
    .split('\n')
    .filter((line) => line.includes(text));
}

async function startFromFile(
  t: TestContext,
  settings: Record<string, unknown>,
  folder: string,
): Promise<{ readonly hub: HubProcess; readonly write: (settings: Record<string, unknown>) => void }> {
  const file = join(folder, 'settings.json');
  const write = (changed: Record<string, unknown>): void => {
    replaceFile(file, JSON.stringify(changed));
  };
  write(settings);
  const hub = startHub(t, folder, undefined, ['--settings', file]);
  await hub.answer;
  return { hub, write };
}

describe('a reload of the hub command', () => {
  it('takes an edited traefik.toml into use, loses no request and no change of routes, and says that it will not last', async (t) => {
    const folder = temporaryFolder(t);
    const [added = 0] = await freePorts(1);
    const settings = await settingsFor(folder, { workers: 2 });
    const hub = startHub(t, folder, settings);
    const { apiUrl = '', pid = 0 } = await hub.answer;
    const backend = await startBackend(t);
    const publicUrl = String(settings['publicUrl']);
    await call(apiUrl, 'POST', '/api/routespecs', { add: [userRoute('zoe', backend)] });
    const workers = workersOf(pid);
    const controller = controllerOf(pid);

    let isOver = false;
    let requests = 0;
    const steady = (async () => {
      while (!isOver) {
        assert.equal(await get(`${publicUrl}/user/zoe/`), '200 backend');
        requests++;
        await setTimeout(5);
      }
    })();
    let changes = 0;
    const changing = (async () => {
      while (!isOver) {
        const name = `user${String(changes)}`;
        const { status } = await call(apiUrl, 'POST', '/api/routespecs', { add: [userRoute(name, backend)] });
        assert.equal(status, 200);
        assert.equal(await get(`${publicUrl}/user/${name}/`), '200 backend', name);
        changes++;
        await setTimeout(20);
      }
    })();
    const failure = Promise.all([steady, changing]).then(
      () => undefined,
      (error: unknown) => error,
    );

    const staticFile = join(folder, 'traefik.toml');
    replaceFile(
      staticFile,
      `${readFileSync(staticFile, 'utf8')}\n[entryPoints.added]\naddress = "127.0.0.1:${String(added)}"\n[ping]\nentryPoint = "added"\n`,
    );
    hub.child.kill('SIGHUP');
    await until(() => linesWith(hub, IN_FORCE).length === 1, 'the new configuration');
    assert.equal(await get(`http://127.0.0.1:${String(added)}/ping`), '200 OK');
    await until(
      () => controllerOf(pid) !== controller && workersOf(pid).every((id) => !workers.includes(id)),
      'the end of what was before',
    );
    const [before, changesBefore] = [requests, changes];
    await Promise.race([
      failure,
      until(() => requests > before + 5 && changes > changesBefore + 3, 'more of both'),
    ]);
    isOver = true;
    assert.equal(await within(failure, 'the last answers'), undefined);
    assert.equal(linesWith(hub, 'was changed by hand').length, 1);
    assert.match(linesWith(hub, 'was changed by hand')[0] ?? '', /extra_static_config/);

    // Nothing new: the routes are read again, and nobody is replaced.
    const now = workersOf(pid);
    hub.child.kill('SIGHUP');
    const after = await call(apiUrl, 'POST', '/api/routespecs', { add: [userRoute('last', backend)] });
    assert.equal(after.status, 200);
    assert.deepEqual(workersOf(pid), now);
    hub.child.kill('SIGTERM');
    assert.equal(await within(hub.exited, 'the end'), 0);
  });

  it('makes no change that a connection of before could bring a request to, and get another answer', async (t) => {
    const folder = temporaryFolder(t);
    const settings = await settingsFor(folder);
    const hub = startHub(t, folder, settings);
    const { apiUrl = '' } = await hub.answer;
    const backend = await startBackend(t);
    const client = await connect(t, Number(new URL(String(settings['publicUrl'])).port));
    client.send('GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n');
    await client.readHead();
    const staticFile = join(folder, 'traefik.toml');
    replaceFile(staticFile, `${readFileSync(staticFile, 'utf8')}\n[ping]\nentryPoint = "http"\n`);
    hub.child.kill('SIGHUP');
    await until(() => linesWith(hub, IN_FORCE).length === 1, 'the new configuration');
    await call(apiUrl, 'POST', '/api/routespecs', { add: [userRoute('zoe', backend)] });
    if (!client.hasEnded) client.send('GET /user/zoe/ HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n');
    const answers = await client.readToEnd();
    assert.doesNotMatch(answers, /HTTP\/1\.1 404/);
  });

  it('reads its settings file again, and names what needs another start', async (t) => {
    const folder = temporaryFolder(t);
    const [added = 0] = await freePorts(1);
    const settings = await settingsFor(folder);
    const { hub, write } = await startFromFile(t, settings, folder);
    const { apiUrl = '' } = await hub.answer;
    write({
      ...settings,
      apiPort: added,
      apiToken: 'another-token',
      workers: 3,
      extraStaticConfig: {
        entryPoints: { added: { address: `127.0.0.1:${String(added)}` } },
        ping: { entryPoint: 'added' },
      },
    });
    hub.child.kill('SIGHUP');
    await until(() => linesWith(hub, IN_FORCE).length === 1, 'the new configuration');
    assert.equal(await get(`http://127.0.0.1:${String(added)}/ping`), '200 OK');
    const [line = '', ...more] = linesWith(hub, 'need another start of the program');
    assert.deepEqual(more, []);
    for (const key of ['apiPort', 'apiToken', 'workers']) assert.match(line, new RegExp(`\\b${key}\\b`));
    assert.doesNotMatch(hub.output(), /another-token/);
    // The token and the address are the ones from the start.
    assert.equal((await call(apiUrl, 'GET', '/api/health')).status, 200);
    assert.match(readFileSync(join(folder, 'traefik.toml'), 'utf8'), /\[entryPoints\.added\]/);
  });

  it('keeps everything when what is new is refused, even when its controller finds out', async (t) => {
    const folder = temporaryFolder(t);
    const backend = await startBackend(t);
    const settings = await settingsFor(folder);
    const { hub, write } = await startFromFile(t, settings, folder);
    const { apiUrl = '', pid = 0 } = await hub.answer;
    const workers = workersOf(pid);
    const isLive = async (name: string): Promise<void> => {
      const { status } = await call(apiUrl, 'POST', '/api/routespecs', { add: [userRoute(name, backend)] });
      assert.equal(status, 200);
      assert.equal(await get(`${String(settings['publicUrl'])}/user/${name}/`), '200 backend');
    };
    const stays = (): string[] => linesWith(hub, 'the one before stays');

    write({ ...settings, extraStaticConfig: { lgo: {} } });
    hub.child.kill('SIGHUP');
    await until(() => stays().length === 1, 'the refusal');
    assert.match(stays()[0] ?? '', /lgo: unknown key, did you mean \\?"log\\?"/);
    await isLive('zoe');

    write({ ...settings, extraDynamicConfig: { http: { routrs: { x: {} } } } });
    hub.child.kill('SIGHUP');
    await until(() => stays().length === 2, 'the refusal');
    assert.match(stays()[1] ?? '', /extraDynamicConfig: http\.routrs: unknown key/);
    await isLive('amy');
    assert.deepEqual(workersOf(pid), workers);

    write(settings);
    hub.child.kill('SIGHUP');
    await isLive('bob');
    assert.equal(linesWith(hub, IN_FORCE).length, 0);
  });
});
