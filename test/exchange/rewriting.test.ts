import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import type { ChpConfiguration, EntryPointConfiguration } from '../../src/config/static.ts';
import {
  entryPoint,
  router,
  service,
  startDataPlane,
  staticConfiguration,
  table,
} from '../support/data-plane.ts';
import { connect, Peer, startByteServer } from '../support/sockets.ts';
import type { ByteServer } from '../support/sockets.ts';

const CHP: ChpConfiguration = {
  forwarded: 'appended',
  includePrefix: true,
  prependPath: true,
  headers: [],
  autoRewrite: false,
  hasMetrics: false,
};
const OK = 'HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nok';

interface Proxy {
  readonly port: number;
  readonly server: ByteServer;
}

/** `/` and `/b@r/x` lead to one server, whose URL gets `path` at its end. */
async function startProxy(
  t: TestContext,
  chp: Partial<ChpConfiguration>,
  options: { readonly path?: string; readonly web?: Partial<EntryPointConfiguration> } = {},
): Promise<Proxy> {
  const server = await startByteServer(t);
  const url = `${server.url}${options.path ?? ''}`;
  const { port } = await startDataPlane(
    t,
    staticConfiguration([entryPoint('web', options.web)], { chp: { ...CHP, ...chp } }),
    table(
      [
        router('all', 'PathPrefix(`/`)', 'app'),
        router('bar', '( PathPrefix(`/b@r/x/`) || Path(`/b@r/x`) )', 'app'),
        router('host', 'Host(`a.test`) && ( PathPrefix(`/p/`) || Path(`/p`) )', 'app'),
      ],
      [service('app', [url], { preservePath: true })],
    ),
  );
  return { port: port('web'), server };
}

/** The head that reaches the server. */
async function reaching(t: TestContext, { port, server }: Proxy, sent: string): Promise<string> {
  const client = await connect(t, port);
  client.send(sent);
  const target = await server.accept();
  const head = await target.readHead();
  target.send(OK);
  await client.read('ok');
  return head;
}

describe('the path that the server is asked for', () => {
  const modes: readonly { name: string; chp: Partial<ChpConfiguration> }[] = [
    { name: 'default', chp: {} },
    { name: 'no prefix', chp: { includePrefix: false } },
    { name: 'no target path', chp: { prependPath: false } },
    { name: 'neither', chp: { includePrefix: false, prependPath: false } },
  ];
  const cases: readonly { asked: string; host?: string; path?: string; want: readonly string[] }[] = [
    {
      asked: '/b@r/x/y?a=1',
      path: '/foo',
      want: ['/foo/b@r/x/y?a=1', '/foo/y?a=1', '/b@r/x/y?a=1', '/y?a=1'],
    },
    {
      asked: '/b%40r/x/y%20z',
      path: '/foo/',
      want: ['/foo/b%40r/x/y%20z', '/foo/y%20z', '/b%40r/x/y%20z', '/y%20z'],
    },
    { asked: '/b@r/x', path: '', want: ['/b@r/x', '/', '/b@r/x', '/'] },
    { asked: '/b@r/x?q', path: '?k=v', want: ['/b@r/x?k=v&q', '/?k=v&q', '/b@r/x?q', '/?q'] },
    { asked: '/z/../b%40r//x/y/', path: '', want: ['/b%40r//x/y/', '/y/', '/b%40r//x/y/', '/y/'] },
    { asked: '/other', path: '/foo?k', want: ['/foo/other?k', '/foo/other?k', '/other', '/other'] },
    {
      asked: '/../%2E%2e/b@r/x/./a/b/..',
      path: '/foo',
      want: ['/foo/b@r/x/a/', '/foo/a/', '/b@r/x/a/', '/a/'],
    },
    { asked: '/p/q', host: 'a.test', want: ['/p/q', '/q', '/p/q', '/q'] },
  ];
  for (const [index, { name, chp }] of modes.entries())
    for (const { asked, host = 'h', path = '', want } of cases)
      it(`${name}: ${asked} with a target that ends in "${path}"`, async (t) => {
        const head = await reaching(
          t,
          await startProxy(t, chp, { path }),
          `GET ${asked} HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
        );
        assert.equal(head.split('\r\n')[0], `GET ${want[index] ?? ''} HTTP/1.1`);
      });
});

describe('the headers that reach the server', () => {
  const fresh =
    'X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Port: 81\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h:81\r\n';
  const cases: readonly { name: string; chp: Partial<ChpConfiguration>; sent?: string; want: string }[] = [
    { name: 'say where the client is', chp: {}, want: fresh },
    {
      name: 'say nothing when that is not wanted, and keep what came in',
      chp: { forwarded: 'untouched' },
      sent: 'X-Forwarded-For: 9.9.9.9\r\nX-Scheme: https\r\n',
      want: 'X-Forwarded-For: 9.9.9.9\r\nX-Scheme: https\r\n',
    },
    {
      name: 'continue what a proxy before has said',
      chp: {},
      sent: 'X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 443\r\nX-Forwarded-Host: out\r\nX-Real-IP: 9.9.9.9\r\nX-Scheme: https\r\n',
      want: 'X-Real-IP: 9.9.9.9\r\nX-Scheme: https\r\nX-Forwarded-For: 9.9.9.9,127.0.0.1\r\nX-Forwarded-Port: 443,81\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: out\r\n',
    },
    {
      name: "are the operator's where he sets them",
      chp: {
        headers: [
          { name: 'X-Mine', value: '1' },
          { name: 'x-forwarded-proto', value: 'https' },
        ],
      },
      sent: 'x-mine: 2\r\nX-MINE: 3\r\nX-Other: 4\r\nX-Forwarded-Proto: http\r\n',
      want: `X-Other: 4\r\nX-Mine: 1\r\nx-forwarded-proto: https\r\n${fresh.replace('X-Forwarded-Proto: http\r\n', '')}`,
    },
  ];
  for (const { name, chp, sent = '', want } of cases)
    it(name, async (t) => {
      const head = await reaching(t, await startProxy(t, chp), `GET / HTTP/1.1\r\nHost: h:81\r\n${sent}\r\n`);
      assert.equal(head, `GET / HTTP/1.1\r\nHost: h:81\r\n${want}\r\n`);
    });

  it('have the Host that the operator sets', async (t) => {
    const proxy = await startProxy(t, {
      headers: [{ name: 'Host', value: 'inner' }],
      forwarded: 'untouched',
    });
    const head = await reaching(t, proxy, 'GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    assert.equal(head, 'GET / HTTP/1.1\r\nHost: inner\r\n\r\n');
  });

  it('tell the scheme of the handshake for a WebSocket, too', async (t) => {
    const { port, server } = await startProxy(t, {});
    const client = await connect(t, port);
    client.send('GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    const head = await (await server.accept()).readHead();
    assert.match(head, /X-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\n/);
  });
});

describe('where redirects lead', () => {
  const cases: readonly {
    name: string;
    chp: Partial<ChpConfiguration>;
    status: number;
    location: (target: string) => string;
    want: (target: string) => string;
  }[] = [
    {
      name: 'as the server says',
      chp: {},
      status: 302,
      location: (target) => `http://${target}/a`,
      want: (target) => `http://${target}/a`,
    },
    {
      name: 'to the address that was asked for',
      chp: { autoRewrite: true },
      status: 302,
      location: (target) => `http://${target}/a?b#c`,
      want: () => 'http://h:81/a?b#c',
    },
    {
      name: 'after a form as well',
      chp: { autoRewrite: true },
      status: 303,
      location: (target) => `http://${target}`,
      want: () => 'http://h:81',
    },
    {
      name: 'elsewhere, unchanged',
      chp: { autoRewrite: true, protocolRewrite: 'https' },
      status: 302,
      location: () => 'http://elsewhere/a',
      want: () => 'http://elsewhere/a',
    },
    {
      name: 'to a path, unchanged',
      chp: { autoRewrite: true },
      status: 302,
      location: () => '/a?http://x',
      want: () => '/a?http://x',
    },
    {
      name: 'to another scheme',
      chp: { protocolRewrite: 'https' },
      status: 301,
      location: (target) => `http://${target}/a`,
      want: (target) => `https://${target}/a`,
    },
    {
      name: 'to both',
      chp: { autoRewrite: true, protocolRewrite: 'https' },
      status: 307,
      location: (target) => `http://${target}/a`,
      want: () => 'https://h:81/a',
    },
    {
      name: 'as the server says when it is no redirect',
      chp: { autoRewrite: true },
      status: 200,
      location: (target) => `http://${target}/a`,
      want: (target) => `http://${target}/a`,
    },
  ];
  for (const { name, chp, status, location, want } of cases)
    it(name, async (t) => {
      const { port, server } = await startProxy(t, chp);
      const client = await connect(t, port);
      client.send('GET / HTTP/1.1\r\nHost: h:81\r\n\r\n');
      const target = await server.accept();
      await target.readHead();
      const host = `127.0.0.1:${String(server.port)}`;
      target.send(
        `HTTP/1.1 ${String(status)} R\r\nDate: x\r\nLocation: ${location(host)}\r\nContent-Length: 0\r\n\r\n`,
      );
      assert.match(
        await client.readHead(),
        new RegExp(`Location: ${want(host).replace(/[.?#]/g, '\\$&')}\r\n`),
      );
    });
});

describe('what the proxy answers by itself', () => {
  it('says that it is well, and routes the same path with a query', async (t) => {
    const proxy = await startProxy(t, {});
    const client = await connect(t, proxy.port);
    client.send(
      'HEAD /_chp_healthz HTTP/1.1\r\nHost: h\r\n\r\nPUT /_chp_healthz HTTP/1.1\r\nHost: h\r\n\r\n',
    );
    assert.match(await client.readHead(), /^HTTP\/1.1 200 OK\r\n/);
    assert.match(await client.read('{"status":"OK"}'), /Content-Type: application\/json\r\n/);
    const head = await reaching(t, proxy, 'GET /_chp_healthz?x HTTP/1.1\r\nHost: h\r\n\r\n');
    assert.match(head, /^GET \/_chp_healthz\?x /);
  });

  for (const { port, host, want } of [
    { port: 8443, host: 'h:80', want: 'https://h:8443/a?b' },
    { port: 443, host: 'h', want: 'https://h/a?b' },
    { port: 443, host: '[::1]:80', want: 'https://[::1]/a?b' },
  ])
    it(`redirects ${host} to port ${String(port)}`, async (t) => {
      const proxy = await startProxy(t, { redirect: { entryPoint: 'web', port } });
      const client = await connect(t, proxy.port);
      client.send(`GET /a?b HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      const head = await client.readHead();
      assert.match(head, /^HTTP\/1.1 301 /);
      assert.equal(/Location: (.*)\r\n/.exec(head)?.[1], want);
    });

  it('cannot redirect a request without a host', async (t) => {
    const proxy = await startProxy(t, { redirect: { entryPoint: 'web', port: 443 } });
    const client = await connect(t, proxy.port);
    client.send('GET /a HTTP/1.0\r\n\r\n');
    assert.match(await client.readToEnd(), /^HTTP\/1.1 400 /);
  });
});

describe('an entry point of the command', () => {
  it('can be a Unix socket, whose clients have no address', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'jtp-test-'));
    t.after(() => {
      rmSync(folder, { recursive: true });
    });
    const path = join(folder, 'public.sock');
    const { server } = await startProxy(t, {}, { web: { address: { host: '', port: 0, path } } });
    const client = new Peer(net.connect(path));
    t.after(() => client.socket.destroy());
    client.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    const target = await server.accept();
    assert.doesNotMatch(await target.readHead(), /X-Forwarded-For/);
    target.send(OK);
    await client.read('ok');
  });

  it('cuts a request on which nothing moves, and no idle connection or tunnel', async (t) => {
    const { transport } = entryPoint('web');
    const { port, server } = await startProxy(
      t,
      {},
      {
        web: {
          transport: {
            ...transport,
            respondingTimeouts: { ...transport.respondingTimeouts, silenceTimeoutMs: 100 },
          },
        },
      },
    );
    const idle = await connect(t, port);
    idle.send('GET /_chp_healthz HTTP/1.1\r\nHost: h\r\n\r\n');
    await idle.read('OK"}');
    const tunnel = await connect(t, port);
    tunnel.send('GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    const socket = await server.accept();
    await socket.readHead();
    socket.send('HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    await tunnel.readHead();
    const silent = await connect(t, port);
    silent.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    const target = await server.accept();
    assert.equal(await silent.readToEnd(), '');
    await target.readToEnd();
    idle.send('GET /_chp_healthz HTTP/1.1\r\nHost: h\r\n\r\n');
    await idle.read('OK"}');
    socket.send('still there');
    await tunnel.read('still there');
  });
});
