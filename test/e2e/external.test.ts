// The proxy is managed by somebody else: JupyterHub writes the routes file and waits until the engine's API shows the route.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { createHub, PROGRAM, until } from '../support/hub.ts';
import type { Hub } from '../support/hub.ts';
import { traefikBinary } from '../support/tools.ts';

const CONFIG = `
c.TraefikTomlProxy.should_start = False
c.TraefikTomlProxy.traefik_api_username = "api_admin"
c.TraefikTomlProxy.traefik_api_password = "admin"
`;

/** Today's keys; the API's authentication comes with the routes file. */
function todaysConfiguration(hub: Hub): string {
  return `
[api]
[ping]
entryPoint = "auth_api"
[log]
level = "ERROR"
[providers]
providersThrottleDuration = "0s"
[providers.file]
filename = "${path.join(hub.folder, 'rules.toml')}"
watch = true
[entryPoints.http]
address = "127.0.0.1:${String(hub.publicPort)}"
[entryPoints.auth_api]
address = "127.0.0.1:${String(hub.apiPort)}"
`;
}

/** The example of the documentation for The Littlest JupyterHub, with a public entry point and one path for the rules. */
function littlestConfiguration(hub: Hub): string {
  return `
[api]
dashboard = true
entrypoint = "auth_api"

[entryPoints.http]
address = "127.0.0.1:${String(hub.publicPort)}"

[entryPoints.auth_api]
address = "127.0.0.1:${String(hub.apiPort)}"

[entryPoints.auth_api.auth.basic]
users = [ "api_admin:$apr1$eS/j3kum$q/X2khsIEG/bBGsteP.x./",]

[wss]
protocol = "http"

[file]
filename = "${path.join(hub.folder, 'rules.toml')}"
watch = true
`;
}

function startEngine(
  t: TestContext,
  hub: Hub,
  command: readonly [string, ...string[]],
  configuration: string,
): ChildProcess {
  writeFileSync(path.join(hub.folder, 'engine.toml'), configuration);
  // The file exists before the engine starts, empty and private.
  writeFileSync(path.join(hub.folder, 'rules.toml'), '', { mode: 0o600 });
  const [program, ...args] = command;
  const engine = spawn(
    program,
    [...args, '-c', 'engine.toml'].map((argument) =>
      argument === '-c' && program !== process.execPath ? '--configfile' : argument,
    ),
    {
      cwd: hub.folder,
      stdio: ['ignore', 'inherit', 'inherit'],
    },
  );
  t.after(async () => {
    if (engine.exitCode !== null) return;
    const ended = new Promise((resolve) => engine.once('exit', resolve));
    engine.kill('SIGTERM');
    await ended;
  });
  return engine;
}

async function useHub(hub: Hub): Promise<void> {
  const server = await hub.startServer('zoe');
  const kernel = await hub.openKernel(server);
  assert.equal(await kernel.run('print(6 * 7)'), '42\n');
  kernel.close();
  // At once: what takes time is the servers' start, not the routes.
  await Promise.all(
    ['秀樹', 'bob+test@x.org', 'a b'].map(async (name) => {
      const other = await hub.startServer(name);
      assert.equal((await hub.request('GET', `${other}api/status`)).status, 200, name);
      await hub.stopServer(name);
    }),
  );
  await hub.stopServer('zoe');
  assert.ok(!hub.rules.includes(`routespec = ${JSON.stringify(server)}`));
}

describe('a proxy that JupyterHub does not start', () => {
  const newest = traefikBinary('3.7.15');
  const oldest = traefikBinary('3.0.4');
  const cases: readonly {
    name: string;
    command: readonly [string, ...string[]];
    configuration: (hub: Hub) => string;
    skip: string | false;
  }[] = [
    {
      name: 'our engine',
      command: [process.execPath, PROGRAM, 'traefik'],
      configuration: todaysConfiguration,
      skip: false,
    },
    {
      name: 'our engine, as the documentation sets up The Littlest JupyterHub',
      command: [process.execPath, PROGRAM, 'traefik'],
      configuration: littlestConfiguration,
      skip: false,
    },
    {
      name: 'the newest Traefik',
      command: [newest.path],
      configuration: todaysConfiguration,
      skip: newest.skip,
    },
    {
      name: 'the oldest Traefik 3',
      command: [oldest.path],
      configuration: todaysConfiguration,
      skip: oldest.skip,
    },
  ];
  for (const { name, command, configuration, skip } of cases)
    it(`works with ${name}`, { skip }, async (t) => {
      const hub = await createHub(CONFIG);
      t.after(() => hub.dispose());
      const engine = startEngine(t, hub, command, configuration(hub));
      await hub.start();
      await useHub(hub);
      const written = readFileSync(path.join(hub.folder, 'engine.toml'), 'utf8');
      assert.equal(written, configuration(hub));
      await hub.stop();
      assert.equal(engine.exitCode, null);
    });

  it('fails at once, and says why, when the credentials are wrong', async (t) => {
    const hub = await createHub(
      CONFIG.replace('"admin"', '"wrong"') + 'c.TraefikTomlProxy.enable_setup_dynamic_config = False\n',
    );
    t.after(() => hub.dispose());
    startEngine(t, hub, [process.execPath, PROGRAM, 'traefik'], littlestConfiguration(hub));
    const started = hub.start();
    started.catch(() => undefined);
    await until('the reason', () => hub.log.includes('refuses user'), 30_000);
    await hub.stop();
    await started.catch(() => undefined);
  });
});
