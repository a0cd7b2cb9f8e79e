import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import { parseDynamicConfiguration } from '../../src/config/load-dynamic.ts';
import { Runtime } from '../../src/runtime/runtime.ts';
import { assertUsableTransport } from '../../src/upstream/transport.ts';
import { Authority } from '../support/authority.ts';
import { staticConfiguration, entryPoint } from '../support/data-plane.ts';

const authority = await Authority.create();
const pair = await authority.issue(['proxy']);

function startRuntime(): Runtime {
  return new Runtime({
    static: staticConfiguration([entryPoint('web')]),
    log: pino({ level: 'silent' }),
    checks: { middleware: () => undefined, serverUrl: () => undefined, transport: assertUsableTransport },
    builtInServices: new Map(),
    checkCertificate: () => undefined,
  });
}

function files(t: TestContext): { readonly folder: string; readonly toml: string } {
  const folder = mkdtempSync(path.join(tmpdir(), 'jtp-test-'));
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  writeFileSync(path.join(folder, 'ca.pem'), authority.cert);
  writeFileSync(path.join(folder, 'cert.pem'), pair.cert);
  writeFileSync(path.join(folder, 'key.pem'), pair.key);
  return { folder, toml: configuration(folder) };
}

function configuration(folder: string, service = 'serversTransport = "own"'): string {
  return `
[http.routers.a]
rule = "Path(\`/\`)"
service = "a"
[http.services.a.loadBalancer]
${service}
servers = [{ url = "https://127.0.0.1:1" }]
[http.serversTransports.own]
serverName = "hub.internal"
insecureSkipVerify = true
rootCAs = ["${folder}/ca.pem"]
maxIdleConnsPerHost = -1
minVersion = "VersionTLS12"
maxVersion = "versiontls13"
cipherSuites = ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]
peerCertURI = "spiffe://hub/older"
peerCertSANs = [{ type = "dnsname", value = "hub.internal" }, { type = "URI", value = "spiffe://hub/server" }]
certificates = [{ certFile = "${folder}/cert.pem", keyFile = "${folder}/key.pem" }]
[http.serversTransports.own.forwardingTimeouts]
dialTimeout = "1s"
responseHeaderTimeout = "2s"
idleConnTimeout = "3s"
`;
}

describe('serversTransports', () => {
  it('reads every key and every file', (t) => {
    const { toml } = files(t);
    const change = startRuntime().replace('file', parseDynamicConfiguration(toml, 'rules.toml'));
    assert.deepEqual(change?.serversTransports, [
      {
        name: 'own@file',
        serverName: 'hub.internal',
        insecureSkipVerify: true,
        rootCAs: [authority.cert],
        certificates: [pair],
        ciphers:
          'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:ECDHE-ECDSA-AES256-GCM-SHA384',
        peerCertSANs: [
          { type: 'DNSName', value: 'hub.internal' },
          { type: 'URI', value: 'spiffe://hub/server' },
          { type: 'URI', value: 'spiffe://hub/older' },
        ],
        minVersion: 'TLSv1.2',
        maxVersion: 'TLSv1.3',
        maxIdleConnsPerHost: 0,
        dialTimeoutMs: 1000,
        responseHeaderTimeoutMs: 2000,
        idleConnTimeoutMs: 3000,
      },
    ]);
    const [service] = change.services;
    assert.ok(service?.kind === 'loadBalancer');
    assert.equal(service.serversTransport, 'own@file');
  });

  it('fills in the defaults', () => {
    const change = startRuntime().replace(
      'file',
      parseDynamicConfiguration('[http.serversTransports.plain]\n', 'rules.toml'),
    );
    assert.deepEqual(change?.serversTransports, [
      {
        name: 'plain@file',
        insecureSkipVerify: false,
        rootCAs: [],
        certificates: [],
        peerCertSANs: [],
        maxIdleConnsPerHost: 200,
        dialTimeoutMs: 30_000,
        responseHeaderTimeoutMs: 0,
        idleConnTimeoutMs: 90_000,
      },
    ]);
  });

  it('takes default@internal for the static one', (t) => {
    const { folder } = files(t);
    const toml = configuration(folder, 'serversTransport = "default@internal"');
    const change = startRuntime().replace('file', parseDynamicConfiguration(toml, 'rules.toml'));
    const [service] = change?.services ?? [];
    assert.ok(service?.kind === 'loadBalancer');
    assert.equal(service.serversTransport, undefined);
  });

  it('disables a service that names an unknown one, until it appears', (t) => {
    const { folder, toml } = files(t);
    const runtime = startRuntime();
    runtime.replace(
      'file',
      parseDynamicConfiguration(toml.replaceAll('Transports.own', 'Transports.other'), 'r.toml'),
    );
    assert.deepEqual(runtime.services.get('a@file')?.errors, ['servers transport not found own@file']);
    assert.equal(runtime.routers.get('a@file')?.status, 'disabled');
    const change = runtime.replace('file', parseDynamicConfiguration(configuration(folder), 'r.toml'));
    assert.equal(runtime.routers.get('a@file')?.status, 'enabled');
    assert.deepEqual(
      change?.services.map(({ name }) => name),
      ['a@file'],
    );
    assert.deepEqual(change.removedServersTransports, ['other@file']);
  });

  it('disables the services of one that goes', (t) => {
    const { toml } = files(t);
    const runtime = startRuntime();
    runtime.replace('file', parseDynamicConfiguration(toml, 'r.toml'));
    const change = runtime.patch('file', {
      setRouters: new Map(),
      deleteRouters: [],
      setServices: new Map(),
      deleteServices: [],
      deleteServersTransports: ['own'],
    });
    assert.deepEqual(change?.removedServices, ['a@file']);
    assert.deepEqual(change.removedRouters, ['a@file']);
    assert.deepEqual(change.removedServersTransports, ['own@file']);
  });

  it('disables services whose transport names a file that cannot be used', (t) => {
    const { folder, toml } = files(t);
    for (const [file, content] of [
      ['ca.pem', undefined],
      ['key.pem', 'nonsense'],
    ] as const) {
      rmSync(path.join(folder, file));
      if (content !== undefined) writeFileSync(path.join(folder, file), content);
      const runtime = startRuntime();
      const change = runtime.replace('file', parseDynamicConfiguration(toml, 'r.toml'));
      assert.equal(change?.services.length ?? 0, 0);
      assert.match(runtime.services.get('a@file')?.errors.join() ?? '', /^servers transport own@file: /);
    }
  });

  it('disables services whose transport asks for something that does not exist', (t) => {
    const { toml } = files(t);
    for (const [key, reason] of [
      ['cipherSuites = ["TLS_FAST"]', 'invalid CipherSuite: TLS_FAST'],
      ['peerCertSANs = [{ value = "x" }]', 'peerCertSANs: each needs a type, DNSName or URI, and a value'],
      ['peerCertSANs = [{ type = "URI" }]', 'peerCertSANs: each needs a type, DNSName or URI, and a value'],
    ] as const) {
      const [name = ''] = key.split(' ');
      const runtime = startRuntime();
      const changed = toml.replace(new RegExp(`^${name} = .*$`, 'm'), key);
      runtime.replace('file', parseDynamicConfiguration(changed, 'r.toml'));
      assert.deepEqual(runtime.services.get('a@file')?.errors, [`servers transport own@file: ${reason}`]);
    }
  });

  it('keeps one whose files break, and takes changed files at the next reading', async (t) => {
    const { folder, toml } = files(t);
    const runtime = startRuntime();
    const read = () => runtime.replace('file', parseDynamicConfiguration(toml, 'r.toml'));
    read();
    assert.equal(read(), undefined);
    writeFileSync(path.join(folder, 'key.pem'), 'nonsense');
    assert.equal(read(), undefined);
    assert.equal(runtime.routers.get('a@file')?.status, 'enabled');
    assert.equal(runtime.snapshot().serversTransports?.[0]?.certificates[0]?.key, pair.key);
    const other = await authority.issue(['other']);
    writeFileSync(path.join(folder, 'cert.pem'), other.cert);
    writeFileSync(path.join(folder, 'key.pem'), other.key);
    const change = read();
    assert.equal(change?.serversTransports?.[0]?.certificates[0]?.key, other.key);
    assert.deepEqual(change.services, []);
  });
});
