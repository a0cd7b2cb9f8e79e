// The metrics of configurable-http-proxy and of our command of that name, after the same calls.

import assert from 'node:assert/strict';
import http from 'node:http';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { request } from 'undici';
import { freePorts } from '../support/free-ports.ts';
import { readMetrics } from '../support/metrics.ts';
import { until } from '../support/until.ts';
import { observe, startEcho, startPeer } from './chp-peer.ts';
import type { Call } from './chp-peer.ts';

const CALLS: readonly Call[] = [
  { to: 'api', method: 'POST', path: '/api/routes/a', body: '{"target":"TARGET"}' },
  { to: 'api', method: 'POST', path: '/api/routes/dead', body: '{"target":"http://127.0.0.1:1"}' },
  { to: 'api', method: 'POST', path: '/api/routes/x', body: '{}' },
  { to: 'api', path: '/api/routes' },
  { to: 'api', path: '/api/routes/' },
  { to: 'api', path: '/api/routes/a' },
  { to: 'api', method: 'DELETE', path: '/api/routes/none' },
  { to: 'api', method: 'DELETE', path: '/api/routes/a' },
  { to: 'api', method: 'PUT', path: '/api/routes' },
  { to: 'api', path: '/else' },
  { to: 'api', path: '/api/routes', headers: { authorization: '' } },
  { to: 'proxy', path: '/' },
  { to: 'proxy', path: '/x?y', method: 'HEAD' },
  { to: 'proxy', path: '/_chp_healthz' },
  { to: 'proxy', path: '/status/204' },
  { to: 'proxy', path: '/status/302' },
  { to: 'proxy', path: '/status/418' },
  { to: 'proxy', path: '/status/500' },
  { to: 'proxy', path: '/dead/' },
  { to: 'proxy', path: '/dead/', headers: { accept: 'text/html' } },
  { to: 'api', method: 'DELETE', path: '/api/routes/' },
  { to: 'proxy', path: '/nowhere' },
];

/** Asks for a WebSocket and reads the head of the answer. */
function askForWebSocket(port: number, path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const asking = http.get({
      host: '127.0.0.1',
      port,
      path,
      headers: { connection: 'Upgrade', upgrade: 'websocket' },
    });
    asking.on('error', reject);
    asking.on('response', (answer) => {
      resolve(answer.statusCode ?? 0);
      asking.destroy();
    });
  });
}

async function measure(t: TestContext, kind: 'real' | 'ours', target: string) {
  const [port = 0] = await freePorts(1);
  const args = ['--metrics-ip', '127.0.0.1', '--metrics-port', String(port), '--default-target', target];
  const chp = await startPeer(t, kind, kind === 'ours' ? [...args, '--workers', '2'] : args);
  const read = async (path: string) => {
    const { statusCode, headers, body } = await request(`http://127.0.0.1:${String(port)}${path}`);
    return { status: statusCode, type: headers['content-type'], text: await body.text() };
  };
  // The other program says that it serves them before it does.
  await until(
    () =>
      read('/metrics').then(
        ({ status }) => status === 200,
        () => false,
      ),
    'the metrics',
  );
  const before = readMetrics((await read('/metrics')).text);
  for (const call of CALLS) await observe(chp, call, target);
  assert.equal(await askForWebSocket(chp.port, '/dead/'), 503);
  assert.equal(await askForWebSocket(chp.port, '/nowhere'), 404);
  const { type, text } = await read('/metrics');
  const statuses = [];
  for (const path of ['/', '/metrics/', '/metrics?x', '/Metrics']) statuses.push((await read(path)).status);
  return { before, after: readMetrics(text), text, type, statuses };
}

/** Of the machine, and different at each start. */
const OF_THE_PROCESS = /^(?:process|nodejs)_/;

describe('metrics beside configurable-http-proxy', () => {
  it('have the same names, types and labels, and the same values after the same calls', async (t) => {
    const target = await startEcho(t);
    const real = await measure(t, 'real', target);
    const ours = await measure(t, 'ours', target);
    assert.equal(ours.type, real.type);
    assert.deepEqual(ours.statuses, real.statuses);
    // Has no counterpart: that program has no limits.
    const types = [...ours.after.types].filter(([name]) => !name.startsWith('jtp_'));
    assert.deepEqual(types.sort(), [...real.after.types].sort());
    for (const moment of ['before', 'after'] as const) {
      const values = ({ samples }: typeof real.after) =>
        [...samples]
          .filter(([name]) => !OF_THE_PROCESS.test(name))
          .map(([name, value]) => [name, /quantile|_sum/.test(name) ? 'some' : value])
          .sort();
      assert.deepEqual(values(ours[moment]), values(real[moment]), moment);
    }
    const { samples } = ours.after;
    for (const name of ['find_target_for_req', 'last_activity_updating']) {
      const median = samples.get(`${name}{quantile="0.5"}`) ?? 0;
      assert.ok(median > 0 && median <= (samples.get(`${name}{quantile="0.999"}`) ?? 0));
      assert.ok((samples.get(`${name}_sum`) ?? 0) > 0);
    }
    // Two workers and a controller.
    assert.ok((samples.get('process_max_fds') ?? 0) >= 3 * (real.after.samples.get('process_max_fds') ?? 0));
    assert.doesNotMatch(ours.text, /NaN/);
  });
});
