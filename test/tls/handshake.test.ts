import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import tls from 'node:tls';
import type { TlsOptionsConfiguration } from '../../src/config/dynamic.ts';
import type { TlsSpec } from '../../src/runtime/table-change.ts';
import { MAX_HELLO_BYTES, readClientHello } from '../../src/tls/client-hello.ts';
import type { DataPlane } from '../../src/worker/data-plane.ts';
import { Authority } from '../support/authority.ts';
import type { IssuedPair } from '../support/authority.ts';
import {
  entryPoint,
  router,
  service,
  startDataPlane,
  staticConfiguration,
  table,
} from '../support/data-plane.ts';
import { within } from '../support/sockets.ts';
import { answerOf, connectHttp2, connectTls, tlsOptions, tlsSpec } from '../support/tls.ts';

/** A ClientHello as OpenSSL writes it. */
async function clientHello(servername: string): Promise<Buffer> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = tls.connect({
    port: (server.address() as net.AddressInfo).port,
    host: '127.0.0.1',
    servername,
  });
  client.on('error', () => undefined);
  const [socket] = (await once(server, 'connection')) as [net.Socket];
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return bytes;
}

describe('the name in a ClientHello', () => {
  it('is found whatever the bytes are split into, and never too early', async () => {
    const bytes = await clientHello('Hub.Example');
    for (let length = 0; length < bytes.length; length++)
      assert.equal(readClientHello(bytes.subarray(0, length)), 'incomplete', String(length));
    assert.deepEqual(readClientHello(bytes), { serverName: 'hub.example' });
  });

  it('is found in a hello of several records', async () => {
    const message = (await clientHello('hub.example')).subarray(5);
    const records: Buffer[] = [];
    for (let at = 0; at < message.length; at += 50) {
      const piece = message.subarray(at, at + 50);
      records.push(Buffer.from([0x16, 3, 1, 0, piece.length]), piece);
    }
    assert.deepEqual(readClientHello(Buffer.concat(records)), { serverName: 'hub.example' });
  });

  it('is found in one byte per record, read byte by byte, without looking at all of them again each time', async () => {
    const message = (await clientHello('hub.example')).subarray(5);
    const bytes = Buffer.concat([...message].map((byte) => Buffer.from([0x16, 3, 1, 0, 1, byte])));
    for (let length = 0; length < bytes.length; length++)
      assert.equal(readClientHello(bytes.subarray(0, length)), 'incomplete', String(length));
    assert.deepEqual(readClientHello(bytes), { serverName: 'hub.example' });
    // What never becomes a hello, in as many records as there is room for.
    const endless = Buffer.alloc(MAX_HELLO_BYTES, Buffer.from([0x16, 3, 1, 0, 1, 1]));
    for (let length = 1; length < MAX_HELLO_BYTES; length += 4) readClientHello(endless.subarray(0, length));
    assert.deepEqual(readClientHello(endless), { serverName: '' });
  });

  it('is not waited for behind an empty record', () => {
    assert.deepEqual(readClientHello(Buffer.from([0x16, 3, 1, 0, 1, 1, 0x16, 3, 1, 0, 0])), {
      serverName: '',
    });
  });

  it('is nobody’s where the bytes make no sense, and they are bounded', async () => {
    const bytes = await clientHello('hub.example');
    for (let index = 5; index < bytes.length; index++) {
      const broken = Buffer.from(bytes);
      broken[index] = 0xff;
      readClientHello(broken);
    }
    assert.deepEqual(readClientHello(Buffer.from([0x16, 3, 1, 0, 5, 2, 0, 0, 1, 0])), { serverName: '' });
    const endless = Buffer.alloc(MAX_HELLO_BYTES, 0xff);
    endless.set([0x16, 3, 1, 0xff, 0xff, 1, 0xff, 0xff, 0xff]);
    assert.deepEqual(readClientHello(endless), { serverName: '' });
  });
});

interface Setup {
  readonly plane: DataPlane;
  readonly port: number;
  readonly spec: TlsSpec;
  readonly byDefault: IssuedPair;
}

/** Hosts a.example (default options) and b.example (options `own`), answered by nobody: 503. */
async function start(
  t: TestContext,
  own: Partial<TlsOptionsConfiguration>,
  more: Partial<TlsSpec> = {},
): Promise<Setup> {
  const authority = await Authority.create();
  const byDefault = await authority.issue(['default.example']);
  const spec = await tlsSpec(
    { own: tlsOptions(own) },
    {
      certificates: [await authority.issue(['a.example']), await authority.issue(['b.example'])],
      defaultCertificate: byDefault,
      ...more,
    },
  );
  const { plane, port } = await startDataPlane(
    t,
    staticConfiguration([entryPoint('web')]),
    table(
      [
        router('a', 'Host(`a.example`)', 'none', { tls: true }),
        router('b', 'Host(`b.example`)', 'none', { tls: true, tlsOptions: 'own@file' }),
      ],
      [service('none', [])],
      { tls: spec },
    ),
  );
  return { plane, port: port('web'), spec, byDefault };
}

async function statusOf(
  t: TestContext,
  port: number,
  host: string,
  options: tls.ConnectionOptions = {},
): Promise<string> {
  const { peer } = await connectTls(t, port, { servername: host, ...options });
  peer.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  return (await peer.readHead()).split(' ')[1] ?? '';
}

describe('TLS options of a host', () => {
  it('set versions, suites and protocols for it alone', async (t) => {
    const { port } = await start(t, {
      maxVersion: 'VersionTLS12',
      cipherSuites: ['TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384'],
      alpnProtocols: ['http/1.1'],
    });
    const ALPNProtocols = ['h2', 'http/1.1'];
    const a = await connectTls(t, port, { servername: 'a.example', ALPNProtocols });
    assert.deepEqual([a.socket.getProtocol(), a.socket.alpnProtocol], ['TLSv1.3', 'h2']);
    const b = await connectTls(t, port, { servername: 'b.example', ALPNProtocols });
    assert.deepEqual(
      [b.socket.getProtocol(), b.socket.alpnProtocol, b.socket.getCipher().standardName],
      ['TLSv1.2', 'http/1.1', 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384'],
    );
    await assert.rejects(connectTls(t, port, { servername: 'b.example', minVersion: 'TLSv1.3' }));
  });

  it('go down to TLS 1.0 where asked, and not otherwise', async (t) => {
    const { port } = await start(t, { minVersion: 'VersionTLS10' });
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
    const b = await connectTls(t, port, { servername: 'b.example', ...old });
    assert.equal(b.socket.getProtocol(), 'TLSv1');
    await assert.rejects(connectTls(t, port, { servername: 'a.example', ...old }));
  });

  it('are those of the connection: a request for another host gets 421', async (t) => {
    const { port } = await start(t, {});
    assert.equal(await statusOf(t, port, 'a.example'), '503');
    assert.equal(await statusOf(t, port, 'b.example'), '503');
    const { peer } = await connectTls(t, port, { servername: 'a.example' });
    peer.send('GET / HTTP/1.1\r\nHost: b.example\r\n\r\n');
    assert.match(await peer.readHead(), /^HTTP\/1\.1 421 Misdirected Request\r\n/);
    await peer.read('Misdirected Request\n');
    const session = await connectHttp2(t, port, { servername: 'a.example' });
    const { status } = await answerOf(session.request({ ':path': '/', ':authority': 'b.example' }));
    assert.equal(status, 421);
  });

  it('refuse names without a certificate, with an alert', async (t) => {
    const { port } = await start(t, {}, {});
    const strict = await tlsSpec({ default: tlsOptions({ sniStrict: true }) });
    const { port: strictPort } = await startDataPlane(
      t,
      staticConfiguration([entryPoint('web')]),
      table([], [], { tls: strict }),
    );
    await connectTls(t, port, { servername: 'unknown.example' });
    await assert.rejects(
      connectTls(t, strictPort('web'), { servername: 'unknown.example' }),
      /unrecognized name/i,
    );
  });

  it('turn clients away from hosts whose options cannot be used', async (t) => {
    const { port } = await start(t, {}, { refusedHosts: { web: ['broken.example'] } });
    await assert.rejects(connectTls(t, port, { servername: 'broken.example' }), /unrecognized name/i);
    await connectTls(t, port, { servername: 'other.example' });
  });
});

describe('client certificates', () => {
  const kinds = [
    { type: 'RequestClientCert', none: true, stranger: true },
    { type: 'RequireAnyClientCert', none: false, stranger: true },
    { type: 'VerifyClientCertIfGiven', none: true, stranger: false },
    { type: 'RequireAndVerifyClientCert', none: false, stranger: false },
  ] as const;
  for (const { type, none, stranger } of kinds)
    it(`${type}: nothing is ${none ? 'enough' : 'too little'}, a stranger's is ${stranger ? 'enough' : 'too little'}`, async (t) => {
      const authority = await Authority.create();
      const strangers = await Authority.create('CN=somebody else');
      const { port } = await start(t, { clientAuth: { caFiles: [authority.cert], clientAuthType: type } });
      const works = (pair: IssuedPair | undefined): Promise<boolean> =>
        connectTls(t, port, { servername: 'b.example', ...pair }).then(
          async ({ peer }) => {
            // With TLS 1.3 the client hears of a refusal after its side of the handshake is complete.
            peer.send('GET / HTTP/1.1\r\nHost: b.example\r\nConnection: close\r\n\r\n');
            return (await peer.readToEnd()).startsWith('HTTP/1.1 503 ');
          },
          () => false,
        );
      const results = [
        await works(undefined),
        await works(await strangers.issue(['client'])),
        await works(await authority.issue(['client'])),
      ];
      assert.deepEqual(results, [none, stranger, true]);
      // The other host asks nobody.
      assert.equal(await statusOf(t, port, 'a.example'), '503');
    });
});

describe('TLS sessions', () => {
  async function session(t: TestContext, port: number, servername: string): Promise<Buffer> {
    const { socket, peer } = await connectTls(t, port, { servername });
    const ticket = once(socket, 'session');
    peer.send(`GET / HTTP/1.1\r\nHost: ${servername}\r\n\r\n`);
    const [bytes] = (await within(ticket, 'a ticket')) as [Buffer];
    return bytes;
  }

  async function isResumed(
    t: TestContext,
    port: number,
    servername: string,
    ticket: Buffer,
  ): Promise<boolean> {
    const { socket } = await connectTls(t, port, { servername, session: ticket });
    return socket.isSessionReused();
  }

  it('are resumed by every worker that has the key, until the key is changed', async (t) => {
    const first = await start(t, {});
    const second = await start(t, {});
    const ticket = await session(t, first.port, 'a.example');
    assert.equal(await isResumed(t, first.port, 'a.example', ticket), true);
    assert.equal(await isResumed(t, second.port, 'a.example', ticket), true);
    const ticketKey = Buffer.alloc(48, 2).toString('base64');
    second.plane.apply({ ...table([], []), full: false, tls: { ...second.spec, ticketKey } });
    assert.equal(await isResumed(t, second.port, 'a.example', ticket), false);
    assert.equal(
      await isResumed(t, second.port, 'a.example', await session(t, second.port, 'a.example')),
      true,
    );
  });

  it('are not resumed under other options', async (t) => {
    const { port } = await start(t, { clientAuth: { caFiles: [], clientAuthType: 'RequestClientCert' } });
    const ticket = await session(t, port, 'a.example');
    assert.equal(await isResumed(t, port, 'b.example', ticket), false);
  });
});

describe('certificates that are swapped', () => {
  it('are for new connections; the open ones go on', async (t) => {
    const { plane, port, spec, byDefault } = await start(t, {});
    const before = await connectTls(t, port, { servername: 'a.example' });
    const fingerprint = before.socket.getPeerCertificate().fingerprint256;
    const authority = await Authority.create();
    const certificates = [await authority.issue(['a.example'])];
    plane.apply({ ...table([], []), full: false, tls: { ...spec, certificates } });
    const after = await connectTls(t, port, { servername: 'a.example' });
    assert.notEqual(after.socket.getPeerCertificate().fingerprint256, fingerprint);
    before.peer.send('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n');
    assert.match(await before.peer.readHead(), /^HTTP\/1\.1 503 /);
    const nameless = await connectTls(t, port);
    assert.equal(
      nameless.socket.getPeerX509Certificate()?.fingerprint256,
      new (await import('node:crypto')).X509Certificate(byDefault.cert).fingerprint256,
    );
  });
});

describe('a slow handshake', () => {
  it('is completed when the hello comes byte by byte', async (t) => {
    const { port } = await start(t, {});
    const raw = net.connect(port, '127.0.0.1');
    t.after(() => raw.destroy());
    await once(raw, 'connect');
    raw.setNoDelay(true);
    const bytes = await clientHello('a.example');
    for (let at = 0; at < bytes.length; at += 100) {
      raw.write(bytes.subarray(at, at + 100));
      await new Promise((resolve) => setImmediate(resolve));
    }
    // A ServerHello: the first record of the answer is a handshake.
    const [answer] = (await within(once(raw, 'data'), 'a ServerHello')) as [Buffer];
    assert.equal(answer[0], 0x16);
  });
});
