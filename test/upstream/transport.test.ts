import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import tls from 'node:tls';
import type { ServersTransportSpec } from '../../src/runtime/table-change.ts';
import { Authority } from '../support/authority.ts';
import type { IssuedPair } from '../support/authority.ts';
import { entryPoint, router, startDataPlane, staticConfiguration, table } from '../support/data-plane.ts';
import { connect } from '../support/sockets.ts';

const authority = await Authority.create();
const stranger = await Authority.create('CN=another authority');
const forLocalhost = await authority.issue(['localhost', '127.0.0.1']);
const forName = await authority.issue(['hub.internal']);
const clientPair = await authority.issue(['proxy']);
const strangersPair = await stranger.issue(['proxy']);

const strangersName = await stranger.issue(['hub.internal']);
const withUri = await authority.issue(['127.0.0.1', '*.hub.internal', 'spiffe://hub/server']);
const withOddUri = await authority.issue(['127.0.0.1', 'spiffe://a/b, URI:spiffe://hub/server']);
const withoutNames = await authority.issue([], 'hub.internal');

function uri(value: string) {
  return { type: 'URI', value } as const;
}

function dnsName(value: string) {
  return { type: 'DNSName', value } as const;
}

function transport(overrides: Partial<ServersTransportSpec> = {}): ServersTransportSpec {
  return {
    name: 'own@file',
    insecureSkipVerify: false,
    rootCAs: [authority.cert],
    certificates: [],
    peerCertSANs: [],
    maxIdleConnsPerHost: 200,
    dialTimeoutMs: 10_000,
    responseHeaderTimeoutMs: 0,
    idleConnTimeoutMs: 90_000,
    ...overrides,
  };
}

/** Answers every request with what it knows about its client. */
async function startTlsServer(
  t: TestContext,
  options: tls.TlsOptions,
): Promise<{ readonly port: number; readonly accepted: () => number; readonly resumed: () => number }> {
  let accepted = 0;
  let resumed = 0;
  const sockets = new Set<tls.TLSSocket>();
  const server = tls.createServer(options, (socket) => {
    accepted++;
    if (socket.isSessionReused()) resumed++;
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', () => {
      const name = String(socket.getPeerCertificate().subject?.CN ?? 'nobody');
      const body = `${name} asked ${String((socket as { servername?: unknown }).servername)}`;
      socket.write(`HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: ${String(body.length)}\r\n\r\n${body}`);
    });
  });
  server.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const address = server.address();
  return {
    port: address !== null && typeof address === 'object' ? address.port : 0,
    accepted: () => accepted,
    resumed: () => resumed,
  };
}

function tableTo(url: string, spec: ServersTransportSpec) {
  return table(
    [router('all', 'PathPrefix(`/`)', 'app')],
    [
      {
        kind: 'loadBalancer',
        name: 'app',
        servers: [{ url, weight: 1, preservePath: false }],
        passHostHeader: true,
        serversTransport: spec.name,
      },
    ],
    { serversTransports: [spec] },
  );
}

async function ask(t: TestContext, port: number): Promise<string> {
  const client = await connect(t, port);
  client.send('GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n');
  return client.readToEnd();
}

describe('connecting to https:// servers', () => {
  const requesting = { requestCert: true, rejectUnauthorized: true, ca: authority.cert };
  const cases: readonly {
    name: string;
    pair?: IssuedPair;
    server?: tls.TlsOptions;
    host?: string;
    transport: Partial<ServersTransportSpec>;
    want: RegExp;
  }[] = [
    { name: 'trusts its own authority', transport: {}, want: /^HTTP\/1.1 200 .*nobody asked false$/s },
    {
      name: 'asks for the name of the URL',
      host: 'localhost',
      transport: {},
      want: /^HTTP\/1.1 200 .*asked localhost$/s,
    },
    {
      name: 'does not trust the system when it has authorities of its own',
      transport: { rootCAs: [stranger.cert] },
      want: /^HTTP\/1.1 500 /,
    },
    {
      name: 'does not trust an authority that the system does not know',
      transport: { rootCAs: [] },
      want: /^HTTP\/1.1 500 /,
    },
    { name: 'refuses a certificate for another name', pair: forName, transport: {}, want: /^HTTP\/1.1 500 / },
    {
      name: 'asks for and accepts serverName',
      pair: forName,
      transport: { serverName: 'hub.internal' },
      want: /^HTTP\/1.1 200 .*asked hub.internal$/s,
    },
    {
      name: 'refuses a certificate that is not for serverName',
      transport: { serverName: 'hub.internal' },
      want: /^HTTP\/1.1 500 /,
    },
    {
      name: 'accepts anything with insecureSkipVerify',
      pair: forName,
      transport: { insecureSkipVerify: true, rootCAs: [] },
      want: /^HTTP\/1.1 200 /,
    },
    {
      name: 'shows its certificate',
      server: requesting,
      transport: { certificates: [clientPair] },
      want: /^HTTP\/1.1 200 .*proxy asked/s,
    },
    {
      name: 'reports a server that wants another certificate',
      server: requesting,
      transport: { certificates: [strangersPair] },
      want: /^HTTP\/1.1 50[02] /,
    },
    {
      name: 'reports a server that wants a certificate when there is none',
      server: requesting,
      transport: {},
      want: /^HTTP\/1.1 50[02] /,
    },
    {
      name: 'keeps to its highest version',
      server: { minVersion: 'TLSv1.3' },
      transport: { maxVersion: 'TLSv1.2' },
      want: /^HTTP\/1.1 500 /,
    },
    {
      name: 'keeps to its lowest version',
      server: { maxVersion: 'TLSv1.2' },
      transport: { minVersion: 'TLSv1.3' },
      want: /^HTTP\/1.1 500 /,
    },
    {
      name: 'offers only its cipher suites',
      server: { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' },
      transport: { ciphers: 'ECDHE-ECDSA-AES256-GCM-SHA384' },
      want: /^HTTP\/1.1 500 /,
    },
    {
      name: 'agrees on one of its cipher suites',
      server: {
        maxVersion: 'TLSv1.2',
        ciphers: 'ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256',
      },
      transport: { ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' },
      want: /^HTTP\/1.1 200 /,
    },
    {
      name: 'finds a wanted URI among the names, whatever its case',
      pair: withUri,
      transport: { peerCertSANs: [uri('spiffe://hub/other'), uri('SPIFFE://hub/server')] },
      want: /^HTTP\/1.1 200 /,
    },
    {
      name: 'refuses a certificate without the wanted URI',
      pair: withUri,
      transport: { peerCertSANs: [uri('spiffe://hub/serve')] },
      want: /^HTTP\/1.1 500 /,
    },
    {
      name: 'takes no URI out of another name',
      pair: withOddUri,
      transport: { peerCertSANs: [uri('spiffe://hub/server')] },
      want: /^HTTP\/1.1 500 /,
    },
    {
      name: 'finds a URI with letters that mean something',
      pair: withOddUri,
      transport: { peerCertSANs: [uri('spiffe://a/b, URI:spiffe://hub/server')] },
      want: /^HTTP\/1.1 200 /,
    },
    {
      name: 'finds a wanted name, a star included',
      pair: withUri,
      transport: { peerCertSANs: [dnsName('student.hub.internal')] },
      want: /^HTTP\/1.1 200 /,
    },
    {
      name: 'refuses a certificate without the wanted name',
      pair: withUri,
      transport: { peerCertSANs: [dnsName('hub.internal')] },
      want: /^HTTP\/1.1 500 /,
    },
    {
      name: 'wants the name as well as the host',
      pair: forName,
      transport: { peerCertSANs: [dnsName('hub.internal')] },
      want: /^HTTP\/1.1 500 /,
    },
    {
      name: 'with insecureSkipVerify wants the name only',
      pair: forName,
      transport: { insecureSkipVerify: true, peerCertSANs: [dnsName('hub.internal')] },
      want: /^HTTP\/1.1 200 /,
    },
    {
      name: 'with insecureSkipVerify refuses a wanted name that a stranger has signed',
      pair: strangersName,
      transport: { insecureSkipVerify: true, peerCertSANs: [dnsName('hub.internal')] },
      want: /^HTTP\/1.1 500 /,
    },
    {
      name: 'does not take the common name for a wanted name',
      pair: withoutNames,
      transport: { insecureSkipVerify: true, peerCertSANs: [dnsName('hub.internal')] },
      want: /^HTTP\/1.1 500 /,
    },
  ];
  for (const { name, pair = forLocalhost, server, host = '127.0.0.1', transport: overrides, want } of cases)
    it(name, async (t) => {
      const { port } = await startTlsServer(t, { ...pair, ...server });
      const plane = await startDataPlane(
        t,
        staticConfiguration([entryPoint('web')]),
        tableTo(`https://${host}:${String(port)}`, transport(overrides)),
      );
      assert.match(await ask(t, plane.port('web')), want);
    });

  it('keeps connections, and resumes the session for a new one', async (t) => {
    const server = await startTlsServer(t, { ...forLocalhost });
    const url = `https://127.0.0.1:${String(server.port)}`;
    const { port } = await startDataPlane(
      t,
      staticConfiguration([entryPoint('web')]),
      tableTo(url, transport()),
    );
    for (let round = 0; round < 3; round++) assert.match(await ask(t, port('web')), /^HTTP\/1.1 200 /);
    assert.equal(server.accepted(), 1);
    // Answered before it is complete: its connection cannot be used again.
    const client = await connect(t, port('web'));
    client.send('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n');
    await client.read('asked false');
    await ask(t, port('web'));
    assert.equal(server.accepted(), 2);
    assert.equal(server.resumed(), 1);
  });

  it('keeps no more than maxIdleConnsPerHost', async (t) => {
    const server = await startTlsServer(t, { ...forLocalhost });
    const url = `https://127.0.0.1:${String(server.port)}`;
    const { port } = await startDataPlane(
      t,
      staticConfiguration([entryPoint('web')]),
      tableTo(url, transport({ maxIdleConnsPerHost: 0 })),
    );
    for (let round = 0; round < 3; round++) await ask(t, port('web'));
    assert.equal(server.accepted(), 3);
  });

  it('takes a changed transport for the next request', async (t) => {
    const server = await startTlsServer(t, { ...forLocalhost });
    const url = `https://127.0.0.1:${String(server.port)}`;
    const { plane, port } = await startDataPlane(
      t,
      staticConfiguration([entryPoint('web')]),
      tableTo(url, transport({ rootCAs: [stranger.cert] })),
    );
    assert.match(await ask(t, port('web')), /^HTTP\/1.1 500 /);
    plane.apply(table([], [], { full: false, generation: 2, serversTransports: [transport()] }));
    assert.match(await ask(t, port('web')), /^HTTP\/1.1 200 /);
  });
});
