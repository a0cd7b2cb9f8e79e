import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import { TlsUpkeep } from '../../src/controller/tls-upkeep.ts';
import { RuntimeTls } from '../../src/runtime/runtime-tls.ts';
import { CertificateStore, assertUsablePair } from '../../src/tls/certificate-store.ts';
import { DefaultCertificate, stateFolder } from '../../src/tls/default-certificate.ts';
import { Authority } from '../support/authority.ts';
import { entryPoint, staticConfiguration } from '../support/data-plane.ts';
import { within } from '../support/sockets.ts';

function folder(t: TestContext): string {
  const found = mkdtempSync(path.join(tmpdir(), 'jtp-test-tls-'));
  t.after(() => {
    rmSync(found, { recursive: true });
  });
  return found;
}

/** A log whose lines can be read. */
function logged(): { readonly log: pino.Logger; readonly lines: string[] } {
  const lines: string[] = [];
  return { lines, log: pino({ level: 'debug' }, { write: (line: string) => lines.push(line) }) };
}

describe('the certificate for a name', () => {
  it('is found by name, by wildcard with one label, by address', async () => {
    const authority = await Authority.create();
    const exact = await authority.issue(['a.example']);
    const wild = await authority.issue(['*.example']);
    const address = await authority.issue(['127.0.0.1', '::1']);
    const store = new CertificateStore();
    store.update([exact, wild, address], wild);
    for (const [name, want] of [
      ['a.example', exact],
      ['b.example', wild],
      ['c.b.example', undefined],
      ['example', undefined],
      ['127.0.0.1', address],
      ['::1', address],
      ['', undefined],
    ] as const)
      assert.equal(store.find(name), want, name);
    assert.equal(store.default, wild);
  });

  it('is, of two certificates with the same names, the first', async () => {
    const authority = await Authority.create();
    const first = await authority.issue(['a.example']);
    const store = new CertificateStore();
    store.update([first, await authority.issue(['a.example'])], undefined);
    assert.equal(store.find('a.example'), first);
  });
});

describe('files of certificates', () => {
  it('are read again; a pair that breaks stays as it was and is named in the log once', async (t) => {
    const place = folder(t);
    const authority = await Authority.create();
    const [old, fresh] = [await authority.issue(['a.example']), await authority.issue(['a.example'])];
    const certFile = path.join(place, 'cert.pem');
    const keyFile = path.join(place, 'key.pem');
    const write = (cert: string, key: string): void => {
      writeFileSync(certFile, cert);
      writeFileSync(keyFile, key);
    };
    const { log, lines } = logged();
    const runtime = new RuntimeTls({
      static: staticConfiguration([entryPoint('web')]),
      log,
      fallbackCertificate: () => undefined,
      checkCertificate: assertUsablePair,
    });
    const configuration = new Map([['file', { certificates: [{ certFile, keyFile }] }]]);
    write(old.cert, old.key);
    assert.equal(runtime.read(configuration), 'certificates');
    assert.deepEqual(runtime.files, [certFile, keyFile]);
    // The key of another certificate.
    write(fresh.cert, old.key);
    assert.equal(runtime.read(configuration), 'nothing');
    assert.equal(runtime.read(configuration), 'nothing');
    assert.equal(runtime.spec.certificates[0]?.cert, old.cert);
    const complaints = lines.filter((line) => line.includes('the one before stays'));
    assert.equal(complaints.length, 1);
    assert.ok(complaints[0]?.includes(certFile));
    write(fresh.cert, fresh.key);
    assert.equal(runtime.read(configuration), 'certificates');
    assert.equal(runtime.spec.certificates[0]?.cert, fresh.cert);
    assert.ok(lines.some((line) => line.includes('can be used again')));
  });

  it('are noticed when they have come to rest', async (t) => {
    const file = path.join(folder(t), 'cert.pem');
    writeFileSync(file, 'one');
    let upkeep: TlsUpkeep | undefined;
    t.after(() => upkeep?.stop());
    await within(
      new Promise<void>((resolve) => {
        upkeep = new TlsUpkeep({
          files: () => [file],
          onFilesChanged: resolve,
          onTicketKeyDue: () => undefined,
        });
        // The timers of the upkeep do not keep a process alive.
        const alive = setInterval(() => undefined, 1000);
        t.after(() => {
          clearInterval(alive);
        });
        writeFileSync(file, 'another');
      }),
      'a change',
    );
  });
});

describe('the certificate of our own', () => {
  it('is kept in one file that only its owner can read, with a word to the log', async (t) => {
    const place = path.join(folder(t), 'state');
    const { log, lines } = logged();
    const first = new DefaultCertificate(place, log);
    assert.equal(first.pair, undefined);
    const made = await first.make();
    assert.equal(await first.make(), made);
    assert.equal(first.pair, made);
    assert.deepEqual(lines, []);
    await first.offer();
    await first.offer();
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? '', /self-signed[^]*ssl_cert[^]*defaultCertificate/);
    const file = path.join(place, 'default-certificate.pem');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const second = new DefaultCertificate(place, log);
    assert.deepEqual(second.pair, { cert: made.cert.trim(), key: made.key });
    assert.equal(await second.make(), second.pair);
    writeFileSync(file, 'broken');
    const third = new DefaultCertificate(place, log);
    const { key } = await third.make();
    assert.notEqual(key, made.key);
    await third.offer();
    assert.ok(readFileSync(file, 'utf8').includes(key));
  });

  it('is in the state folder of systemd, of the environment, or of the home folder', () => {
    assert.equal(stateFolder({ STATE_DIRECTORY: '/var/lib/x', XDG_STATE_HOME: '/s' }), '/var/lib/x');
    assert.equal(stateFolder({ XDG_STATE_HOME: '/s' }), '/s/jupyterhub-traefik-proxy');
    assert.match(stateFolder({}), /\.local\/state\/jupyterhub-traefik-proxy$/);
  });
});
