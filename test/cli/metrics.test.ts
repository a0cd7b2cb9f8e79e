// `metrics.prometheus` of the traefik and the hub command, over all their processes.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { request } from 'undici';
import { eventually, rulesFile, startEngine, staticFile } from '../support/engine.ts';
import { freePorts } from '../support/free-ports.ts';
import { call, settingsFor, startBackend, startHub, textOf } from '../support/hub-process.ts';
import { temporaryFolder, userRoute } from '../support/hub-store.ts';
import { readMetrics } from '../support/metrics.ts';

async function get(port: number, path: string): Promise<number> {
  // A connection of its own: any worker may get it.
  const { statusCode, body } = await request(`http://127.0.0.1:${String(port)}${path}`, { reset: true });
  await body.dump();
  return statusCode;
}

async function metricsOf(port: number): Promise<ReadonlyMap<string, number>> {
  const { body } = await request(`http://127.0.0.1:${String(port)}/metrics`, { reset: true });
  return readMetrics(await body.text()).samples;
}

describe('metrics of the traefik command', () => {
  it('are those of all workers, keep what a dead one has told, and begin with a configuration that asks for them', async (t) => {
    const [web = 0, inner = 0] = await freePorts(2);
    const backend = await startBackend(t);
    const static_ = (more: string): string => staticFile({ web, inner }, { text: more });
    const engine = await startEngine(t, {
      static: static_(''),
      rules: rulesFile(`http://127.0.0.1:${String(backend)}`),
      workers: 2,
    });
    assert.equal(await get(inner, '/metrics'), 200, 'a path of the server');
    engine.writeStatic(static_('[metrics.prometheus]\nentryPoint = "inner"\n'));
    engine.signal('SIGHUP');
    await engine.says('the new static configuration is in force');
    const ask = 'traefik_entrypoint_requests_total{code="200",method="GET",protocol="http",entrypoint="web"}';
    const count = async (): Promise<number> => (await metricsOf(inner)).get(ask) ?? 0;
    await eventually('metrics', async () => (await metricsOf(inner)).has('traefik_config_reloads_total'));
    for (let i = 0; i < 20; i++) await get(web, '/x');
    await eventually('20 requests', async () => (await count()) === 20);
    const samples = await metricsOf(inner);
    assert.equal(
      samples.get(
        'traefik_service_requests_total{code="200",method="GET",protocol="http",service="app@file"}',
      ),
      20,
    );
    assert.ok(![...samples.keys()].some((name) => name.startsWith('traefik_router_')));
    const [first = 0] = engine.children('jtp worker');
    // It tells what it has counted once a second, and when it is asked: it has been.
    process.kill(first, 'SIGKILL');
    await get(web, '/x');
    await eventually('one more', async () => (await count()) === 21);
    // A route that is gone is there once more.
    engine.writeRules('');
    const isThere = async (): Promise<boolean> =>
      [...(await metricsOf(inner)).keys()].some((name) => name.includes('app@file'));
    await eventually('the service to be forgotten', async () => !(await isThere()));
    assert.equal(await count(), 21);
  });
});

describe('metrics of the hub command', () => {
  it('count the users of each server and how often routes have changed', async (t) => {
    const folder = temporaryFolder(t);
    const [inner = 0] = await freePorts(1);
    const settings = await settingsFor(folder, {
      workers: 2,
      extraStaticConfig: {
        entryPoints: { metrics: { address: `127.0.0.1:${String(inner)}` } },
        metrics: { prometheus: { entryPoint: 'metrics', addRoutersLabels: true } },
      },
      dynamicConfigFile: join(folder, 'rules.toml'),
    });
    const hub = startHub(t, folder, settings);
    const { apiUrl = '', error = '' } = await hub.answer;
    assert.equal(error, '');
    const reloads = async (): Promise<number> =>
      (await metricsOf(inner)).get('traefik_config_reloads_total') ?? 0;
    const before = await reloads();
    const backend = await startBackend(t);
    await call(apiUrl, 'POST', '/api/routespecs', { add: [userRoute('zoe', backend)] });
    assert.equal(await reloads(), before + 1);
    assert.equal(await textOf(`${String(settings['publicUrl'])}/user/zoe/x`), '200 backend');
    assert.match(await textOf(`${String(settings['publicUrl'])}/user/amy/x`), /^404/);
    const samples = await eventually('the counts', async () => {
      const found = [...(await metricsOf(inner))].filter(([name]) => name.includes('requests_total{'));
      return found.length === 4 && found;
    });
    const [publicName = ''] = samples
      .map(([name]) => /entrypoint="([^"]+)"/.exec(name)?.[1] ?? '')
      .filter(Boolean);
    assert.deepEqual(samples.map(([name, value]) => `${name} ${String(value)}`).sort(), [
      `traefik_entrypoint_requests_total{code="200",method="GET",protocol="http",entrypoint="${publicName}"} 1`,
      `traefik_entrypoint_requests_total{code="404",method="GET",protocol="http",entrypoint="${publicName}"} 1`,
      'traefik_router_requests_total{code="200",method="GET",protocol="http",router="router__2Fuser_2Fzoe_2F@file",service="service__2Fuser_2Fzoe_2F@file"} 1',
      'traefik_service_requests_total{code="200",method="GET",protocol="http",service="service__2Fuser_2Fzoe_2F@file"} 1',
    ]);
  });
});
