// `metrics.prometheus` of the real Traefik and of this engine, after the same requests: names, types, labels and values.

import assert from 'node:assert/strict';
import { connect } from 'node:http2';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { readMetrics } from '../support/metrics.ts';
import { skipWithoutTraefik } from '../support/traefik-binary.ts';
import { until } from '../support/until.ts';
import { Peer } from './peer.ts';
import type { PeerKind, PeerSetup } from './peer.ts';
import { handshake, HANDSHAKE_ANSWER, READY_RULES, request, routes, services } from './requests.ts';
import { probeTls } from './tls-client.ts';

const RULES =
  READY_RULES +
  routes({
    one: ['PathPrefix(`/one`)', 'one'],
    dead: ['PathPrefix(`/dead`)', 'dead'],
    empty: ['PathPrefix(`/empty`)', 'empty'],
    noop: ['PathPrefix(`/noop`)', 'noop@internal'],
  }) +
  services('one') +
  `[http.routers.auth]
rule = "PathPrefix(\`/auth\`)"
service = "one"
middlewares = ["auth"]
[http.middlewares.auth.basicAuth]
users = ["a:{SHA}x"]
[http.services.empty.loadBalancer]
servers = []
[[http.services.dead.loadBalancer.servers]]
url = "http://127.0.0.1:<closed>"
`;

function setup(more: string): PeerSetup {
  return {
    entryPoints: ['web', 'tls', 'away', 'traefik'],
    backends: ['ready', 'one'],
    closedPorts: ['closed'],
    files: {
      'traefik.toml': `
[entryPoints.web]
address = "127.0.0.1:<web>"
[entryPoints.tls]
address = "127.0.0.1:<tls>"
[entryPoints.tls.http.tls]
[entryPoints.away]
address = "127.0.0.1:<away>"
[entryPoints.away.http.redirections.entryPoint]
to = "tls"
[entryPoints.traefik]
address = "127.0.0.1:<traefik>"
[ping]
[api]
[providers.file]
filename = "<dir>/rules.toml"
${more}`,
      'rules.toml': RULES,
    },
    ready: { entryPoint: 'web', target: '/__ready' },
  };
}

const GET: readonly (readonly [entryPoint: string, target: string, headers?: readonly string[]])[] = [
  ['web', '/one'],
  ['web', '/one', ['X-A: 1', 'X-A: 2', 'Accept: text/html, text/event-stream']],
  ['web', '/auth', ['X-A: say "a\\b"']],
  ['web', '/dead'],
  ['web', '/empty'],
  ['web', '/nowhere'],
  ['web', '/noop'],
  ['away', '/one'],
  ['traefik', '/ping'],
  ['traefik', '/nowhere'],
];

async function talk(peer: Peer): Promise<void> {
  for (const [entryPoint, target, headers = []] of GET)
    await peer.send(entryPoint, request(target, { headers }));
  for (const method of ['HEAD', 'POST', 'PROPFIND', 'OPTIONS'])
    for (const target of ['/one', '/dead', '/nowhere']) {
      // What a server that cannot be reached was to be sent counts here, and not there.
      const body = method === 'POST' && target !== '/dead' ? 'hello' : '';
      const headers = body === '' ? [] : ['Content-Length: 5'];
      await peer.send('web', request(target, { method, headers }) + body);
    }
  await peer.send('web', 'NONSENSE\r\n\r\n');
  await peer.send('web', 'OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n');
  await peer.react({ answer: 'HTTP/1.1 204 No Content\r\n\r\n' });
  await peer.send('web', request('/one'));
  await peer.react({ answer: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n' });
  await peer.send('web', request('/one'));
  await peer.react({ answer: HANDSHAKE_ANSWER, then: 'echo' });
  await peer.send('web', handshake('/one'), { tunnelBytes: 'hello' });
  await peer.send('web', handshake('/dead'));
  await peer.react({});
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const)
    await probeTls(peer, { client: { minVersion: version, maxVersion: version } }, new Map());
  await askHttp2(peer);
}

/** `/one` and `/nowhere` over one connection. */
async function askHttp2(peer: Peer): Promise<void> {
  const session = connect(`https://127.0.0.1:${String(peer.port('tls'))}`, { rejectUnauthorized: false });
  for (const path of ['/one', '/nowhere'])
    await new Promise<void>((resolve, reject) => {
      const stream = session.request({ ':path': path });
      stream.on('error', reject);
      stream.on('close', resolve);
      stream.resume();
      stream.end();
    });
  session.close();
}

interface Reading {
  readonly type: string | undefined;
  readonly types: readonly string[];
  readonly bounds: readonly string[];
  /** Sample with its labels in order → value. */
  readonly values: ReadonlyMap<string, number>;
}

/** Whoever reads asks for events: told apart from all other requests, as often as it may be. */
async function read(peer: Peer): Promise<Reading> {
  const { final } = await peer.send(
    'traefik',
    request('/metrics', { headers: ['Connection: close', 'Accept: text/event-stream'] }),
  );
  const { types, samples } = readMetrics(final?.body ?? '');
  const isTraefik = (name: string): boolean => name.startsWith('traefik_');
  return {
    type: final?.headers.find(([name]) => name.toLowerCase() === 'content-type')?.[1],
    types: [...types].filter(([name]) => isTraefik(name)).map(([name, type]) => `${name} ${type}`),
    bounds: [
      ...new Set([...samples.keys()].filter(isTraefik).map((name) => /le="([^"]*)"/.exec(name)?.[1] ?? '')),
    ],
    values: new Map(
      [...samples]
        .filter(([name]) => isTraefik(name) && !isTime(name) && !isReader(name))
        .map(([name, value]) => [sorted(peer.normalise(name)), value]),
    ),
  };
}

/** The requests of `read`. */
function isReader(name: string): boolean {
  return name.includes('prometheus@internal') || (name.includes('="traefik"') && name.includes('"sse"'));
}

/** Nobody promises when something happens, or how long it takes. */
function isTime(name: string): boolean {
  return /_sum\{|_bucket\{.*le="[0-9]|last_reload/.test(name);
}

function sorted(sample: string): string {
  const [, name = sample, labels = ''] = /^([^{]+)\{(.*)\}$/.exec(sample) ?? [];
  // The code of a WebSocket is 0 there, which says nothing; 101 here. The certificates that they make for themselves are of different kinds.
  const same = labels.replace('ECDHE_RSA', 'ECDHE_ECDSA').replace('code="0"', 'code="101"');
  return `${name}{${[...same.matchAll(/\w+="(?:[^"\\]|\\.)*"/g)].map(String).sort().join(',')}}`;
}

async function measure(t: TestContext, kind: PeerKind, more: string) {
  const peer = await Peer.start(kind, setup(more));
  t.after(() => peer.stop());
  // Asking until it was ready has been counted, too.
  const before = await read(peer);
  await talk(peer);
  let after = before;
  // A tunnel is counted when it has come to its end, which its client may notice before.
  await until(async () => {
    after = await read(peer);
    const open = [...after.values].filter(([name, value]) => value > 0 && name.includes('open_connections'));
    return open.length === 1 && [...after.values.keys()].some((name) => name.includes('code="101"'));
  }, 'the end of the tunnel, and of all connections but its own');
  const values = [...after.values].flatMap(([name, value]) => {
    const isGauge = name.startsWith('traefik_open_connections');
    const change = value - (isGauge ? 0 : (before.values.get(name) ?? 0));
    return change === 0 && !isGauge ? [] : [`${name} ${String(change)}`];
  });
  return { ...after, values };
}

describe('metrics beside the real Traefik', { skip: skipWithoutTraefik() }, () => {
  for (const [name, more] of [
    ['with their defaults', '[metrics.prometheus]\n'],
    [
      'with everything on',
      `[metrics]
addInternals = true
[metrics.prometheus]
addRoutersLabels = true
buckets = [0.25, 2.0]
[metrics.prometheus.headerLabels]
a = "X-A"
host = "Host"
`,
    ],
    [
      'with nothing but services',
      '[metrics.prometheus]\naddEntryPointsLabels = false\naddServicesLabels = true\n',
    ],
  ] as const)
    it(`have the same names, types, labels and values ${name}`, async (t) => {
      const [real, ours] = await Promise.all([measure(t, 'reference', more), measure(t, 'engine', more)]);
      assert.deepEqual(
        ours.values.filter((line) => !real.values.includes(line)),
        [],
        'only here',
      );
      assert.deepEqual(
        real.values.filter((line) => !ours.values.includes(line)),
        [],
        'only there',
      );
      assert.deepEqual([...ours.types].sort(), [...real.types].sort());
      assert.deepEqual([...ours.bounds].sort(), [...real.bounds].sort());
      assert.equal(ours.type, real.type);
      assert.ok(real.values.length > 10);
    });
});
