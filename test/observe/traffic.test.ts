// From what workers note to what is read: totals of several workers, limits of what clients can make up, and what is gone.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { trafficReport } from '../../src/observe/reports.ts';
import { METHODS, PROTOCOLS, TrafficCounters } from '../../src/observe/traffic.ts';
import type { Served, TrafficOptions } from '../../src/observe/traffic.ts';
import { TrafficMetrics } from '../../src/observe/traffic-metrics.ts';
import type { TrafficMetricsOptions } from '../../src/observe/traffic-metrics.ts';
import { TrafficTotals } from '../../src/observe/traffic-totals.ts';
import { readMetrics } from '../support/metrics.ts';

function counters(overrides: Partial<TrafficOptions> = {}): TrafficCounters {
  return new TrafficCounters({
    buckets: [0.1, 1],
    entryPoints: true,
    routers: true,
    services: true,
    internals: false,
    headers: [],
    ...overrides,
  });
}

function served(overrides: Partial<Served> = {}): Served {
  return {
    status: 200,
    method: METHODS.indexOf('GET'),
    protocol: PROTOCOLS.indexOf('http'),
    requestBytes: 0,
    responseBytes: 0,
    headers: undefined,
    handshake: undefined,
    ...overrides,
  };
}

function metricsOf(totals: TrafficTotals, overrides: Partial<TrafficMetricsOptions> = {}): TrafficMetrics {
  return new TrafficMetrics({
    totals,
    buckets: [0.1, 1],
    entryPoints: true,
    routers: true,
    services: true,
    headerLabels: [],
    certificates: () => [],
    ...overrides,
  });
}

async function read(metrics: TrafficMetrics): Promise<ReadonlyMap<string, number>> {
  const { samples } = readMetrics(await metrics.render([]));
  return new Map([...samples].filter(([name]) => /^(traefik|jtp)_/.test(name)));
}

/** As they come over the socket. */
function sent(worker: TrafficCounters) {
  return trafficReport.parse(JSON.parse(JSON.stringify(worker.take())));
}

describe('counting requests for the metrics', () => {
  it('adds up what several workers tell, and tells nothing twice', async () => {
    const totals = new TrafficTotals(() => true);
    for (const seconds of [0.05, 0.1, 0.5, 7]) {
      const worker = counters();
      worker.entryPoint('web')?.note(served({ requestBytes: 3, responseBytes: 5 }), seconds);
      totals.add(sent(worker));
      assert.equal(worker.take(), undefined);
    }
    const labels = 'code="200",method="GET",protocol="http",entrypoint="web"';
    const samples = await read(metricsOf(totals));
    const value = (name: string, more = ''): number | undefined =>
      samples.get(`traefik_entrypoint_${name}{${labels}${more}}`);
    assert.equal(value('requests_total'), 4);
    assert.equal(value('requests_bytes_total'), 12);
    assert.equal(value('responses_bytes_total'), 20);
    assert.deepEqual(
      ['0.1', '1', '+Inf'].map((le) => value('request_duration_seconds_bucket', `,le="${le}"`)),
      [2, 3, 4],
    );
    assert.equal(value('request_duration_seconds_count'), 4);
    assert.ok(Math.abs((value('request_duration_seconds_sum') ?? 0) - 7.65) < 1e-9);
  });

  it('tells statuses, methods and protocols of a scope apart, and forgets those that are not used', () => {
    const worker = counters();
    const scope = worker.router('r@file', 's@file');
    scope?.note(served({ status: 404 }), 0);
    scope?.note(served({ method: METHODS.length - 1, protocol: PROTOCOLS.indexOf('sse') }), 0);
    const [first] = sent(worker);
    assert.deepEqual(
      first?.series.map(({ status, method, protocol, count }) => [status, method, protocol, count]),
      [
        [404, 'GET', 'http', 1],
        [200, 'EXTENSION_METHOD', 'sse', 1],
      ],
    );
    scope?.note(served(), 0);
    scope?.note(served(), 0);
    const [second] = sent(worker);
    assert.deepEqual(
      second?.series.map(({ status, count }) => [status, count]),
      [[200, 2]],
    );
    assert.deepEqual([second?.kind, second?.name, second?.service], ['router', 'r@file', 's@file']);
  });

  it('has nothing for what is not to be counted', () => {
    const worker = counters({ entryPoints: false, routers: false, services: false });
    assert.deepEqual(
      [worker.entryPoint('web'), worker.router('r', 's'), worker.service('s')],
      [undefined, undefined, undefined],
    );
  });

  it('counts requests by the values of headers, which clients cannot make without end', async () => {
    const totals = new TrafficTotals(() => true);
    const worker = counters({ headers: ['x-a'] });
    const scope = worker.entryPoint('web');
    for (let i = 0; i < 1003; i++) scope?.note(served({ headers: [`value "${String(i)}"`] }), 0);
    totals.add(sent(worker));
    for (let round = 0; round < 12; round++) {
      for (let i = 0; i < 900; i++)
        scope?.note(served({ headers: [`more ${String(round)} ${String(i)}`] }), 0);
      totals.add(sent(worker));
    }
    const samples = await read(metricsOf(totals, { headerLabels: ['a'] }));
    const counts = [...samples].filter(([name]) => name.startsWith('traefik_entrypoint_requests_total{'));
    const rest = 'code="200",method="GET",protocol="http",entrypoint="web"';
    assert.equal(samples.get(`traefik_entrypoint_requests_total{${rest},a="value \\"7\\""}`), 1);
    assert.ok(counts.length <= 10_001, String(counts.length));
    assert.equal(
      counts.reduce((sum, [, value]) => sum + value, 0),
      1003 + 12 * 900,
    );
    assert.ok((samples.get(`traefik_entrypoint_requests_total{${rest},a="other"}`) ?? 0) >= 3);
    assert.equal(
      samples.get(`traefik_entrypoint_request_duration_seconds_count{${rest}}`),
      1003 + 12 * 900,
      'only the number of requests is told apart by them',
    );
  });

  it('tells what the configuration has no more once, and then never', async () => {
    let isThere = true;
    const totals = new TrafficTotals(({ kind }) => isThere || kind === 'entrypoint');
    const worker = counters();
    for (const scope of [worker.entryPoint('web'), worker.router('r', 's'), worker.service('s')])
      scope?.note(served({ handshake: '1.3 TLS_AES_128_GCM_SHA256' }), 0);
    totals.add(sent(worker));
    const metrics = metricsOf(totals);
    const kinds = async (): Promise<string[]> => [
      ...new Set([...(await read(metrics)).keys()].map((name) => /^traefik_([a-z]+)/.exec(name)?.[1] ?? '')),
    ];
    assert.deepEqual(await kinds(), ['config', 'entrypoint', 'router', 'service']);
    isThere = false;
    assert.deepEqual(await kinds(), ['config', 'entrypoint', 'router', 'service']);
    assert.deepEqual(await kinds(), ['config', 'entrypoint']);
  });

  it('does not keep the traces of routes that come and go when nobody reads', () => {
    let kept = 0;
    const totals = new TrafficTotals(({ name }) => name === 'web');
    for (let round = 0; round < 30; round++) {
      const worker = counters();
      worker.entryPoint('web')?.note(served(), 0);
      for (let i = 0; i < 1000; i++) worker.service(`user-${String(round)}-${String(i)}`)?.note(served(), 0);
      totals.add(sent(worker));
      kept = Math.max(kept, totals.scopes('service').length);
    }
    assert.ok(kept <= 11_000, String(kept));
    assert.equal(totals.scopes('entrypoint')[0]?.series.values().next().value?.count, 30);
  });

  it('counts refused connections, handshakes, reloads and what certificates are there', async () => {
    const totals = new TrafficTotals(() => true);
    totals.addRefused([['web', 'address', 2]]);
    totals.addRefused([
      ['web', 'address', 1],
      ['web', 'descriptors', 5],
    ]);
    const worker = counters();
    worker.service('s')?.note(served({ handshake: '1.3 TLS_AES_128_GCM_SHA256' }), 0);
    totals.add(sent(worker));
    const metrics = metricsOf(totals, {
      certificates: () => [{ cn: 'hub', serial: '12', sans: 'a,b', notAfter: 1_796_987_341 }],
    });
    metrics.reloaded();
    metrics.reloaded();
    const samples = await read(metrics);
    const get = (name: string): number | undefined => samples.get(name);
    assert.equal(get('jtp_connections_refused_total{entrypoint="web",reason="address"}'), 3);
    assert.equal(get('jtp_connections_refused_total{entrypoint="web",reason="descriptors"}'), 5);
    assert.equal(
      get(
        'traefik_service_requests_tls_total{tls_version="1.3",tls_cipher="TLS_AES_128_GCM_SHA256",service="s"}',
      ),
      1,
    );
    assert.equal(get('traefik_tls_certs_not_after{cn="hub",serial="12",sans="a,b"}'), 1_796_987_341);
    assert.equal(get('traefik_config_reloads_total'), 2);
    assert.ok((get('traefik_config_last_reload_success') ?? 0) > 1_700_000_000);
  });
});
