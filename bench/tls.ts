// Question 4: what does TLS add, and what does HTTP/2 cost?

import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { createSelfSignedCertificate } from '../src/tls/self-signed.ts';
import { cpuOf, medianOf, ratioToFirst } from './common/bench.ts';
import type { Bench, Question, Samples } from './common/bench.ts';
import { runH2load, runWrk } from './common/load.ts';
import type { StartedPeer } from './common/peer.ts';
import { versionOf } from './common/peer.ts';
import { figure } from './common/table.ts';

const MEBIBYTE = 1024 * 1024;

async function run(bench: Bench): Promise<void> {
  const backendPort = await bench.startBackend();
  const certificate = path.join(bench.folder, 'certificate.pem');
  const key = path.join(bench.folder, 'key.pem');
  const pair = await createSelfSignedCertificate(['localhost', '127.0.0.1']);
  writeFileSync(certificate, pair.cert);
  writeFileSync(key, pair.key);
  const started = [];
  for (const peer of bench.options.peers)
    started.push(await bench.start(peer, { backendPort, routes: 0, tls: { certificate, key } }));
  const urlOf = (port: number): string => `https://127.0.0.1:${String(port)}/user/zoe/api/status`;
  const samples = await bench.measure(started, ({ port }, seconds) => runWrk({ url: urlOf(port), seconds }));
  bench.report(
    'Small GET over TLS',
    ['proxy', 'CPU per request (µs)', 'ratio', 'requests/s'],
    started.map(({ name }) => [
      name,
      figure(medianOf(samples, name, cpuOf)),
      figure(ratioToFirst(samples, name, cpuOf)),
      figure(medianOf(samples, name, (sample) => sample.perSecond)),
    ]),
  );
  if (versionOf('h2load', ['--version'], /(nghttp2\/\S+)/) === undefined) {
    bench.say('h2load is not installed: apt-get install nghttp2-client');
    return;
  }
  const able: StartedPeer[] = [];
  for (const peer of started) {
    try {
      await runH2load({ url: urlOf(peer.port), seconds: 1 });
      able.push(peer);
    } catch {
      bench.say(`  ${peer.name} does not speak HTTP/2`);
    }
  }
  await askHttp2(bench, able, urlOf);
}

async function askHttp2(
  bench: Bench,
  able: readonly StartedPeer[],
  urlOf: (port: number) => string,
): Promise<void> {
  const http2 = await bench.measure(able, ({ port }, seconds) => runH2load({ url: urlOf(port), seconds }));
  bench.report(
    'Small GET over HTTP/2',
    ['proxy', 'CPU per request (µs)', 'ratio', 'requests per CPU second'],
    able.map(({ name }) => [
      name,
      figure(medianOf(http2, name, cpuOf)),
      figure(ratioToFirst(http2, name, cpuOf)),
      figure(1e6 / medianOf(http2, name, cpuOf)),
    ]),
  );
  const body = path.join(bench.folder, 'mebibyte');
  writeFileSync(body, 'x'.repeat(MEBIBYTE));
  const few = { connections: 4, streams: 4 };
  bench.say('  downloads');
  const down = await bench.measure(able, ({ port }, seconds) =>
    runH2load({ url: `${urlOf(port)}/1m`, seconds, ...few }),
  );
  bench.say('  uploads');
  const up = await bench.measure(able, ({ port }, seconds) =>
    runH2load({ url: urlOf(port), seconds, body, ...few }),
  );
  const cells = (samples: Samples, name: string): string[] => [
    figure(medianOf(samples, name, cpuOf)),
    figure(ratioToFirst(samples, name, cpuOf)),
  ];
  bench.report(
    'Bodies of 1 MiB over HTTP/2',
    ['proxy', 'CPU per download (µs)', 'ratio', 'CPU per upload (µs)', 'ratio'],
    able.map(({ name }) => [name, ...cells(down, name), ...cells(up, name)]),
  );
}

export const tls: Question = {
  name: 'tls',
  summary:
    'small GET over TLS: CPU per request; over HTTP/2 (8 connections, 10 streams each): requests per CPU second; 1 MiB down and up over HTTP/2: CPU per body',
  run,
};
