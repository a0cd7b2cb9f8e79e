import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { hashSync } from 'bcryptjs';
import type { BasicAuthConfiguration } from '../../src/config/static.ts';
import {
  entryPoint,
  router,
  service,
  startDataPlane,
  staticConfiguration,
  table,
} from '../support/data-plane.ts';
import type { ByteServer, Peer } from '../support/sockets.ts';
import { connect, startByteServer } from '../support/sockets.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

function sha(password: string): string {
  return `{SHA}${createHash('sha1').update(password).digest('base64')}`;
}

function credentials(name: string, password: string): string {
  return `Authorization: Basic ${Buffer.from(`${name}:${password}`, 'utf8').toString('base64')}\r\n`;
}

async function start(
  t: TestContext,
  options: BasicAuthConfiguration,
): Promise<{ readonly client: Peer; readonly server: ByteServer; readonly port: number }> {
  const server = await startByteServer(t);
  const { port } = await startDataPlane(
    t,
    staticConfiguration([entryPoint('web')]),
    table(
      [
        router('a', 'PathPrefix(`/`)', 'app', {
          middlewares: [{ kind: 'basicAuth', name: 'auth@file', options }],
        }),
      ],
      [service('app', [server.url])],
    ),
  );
  return { client: await connect(t, port('web')), server, port: port('web') };
}

describe('a router behind basicAuth', () => {
  it('asks for credentials, in its realm', async (t) => {
    const { client, server } = await start(t, { users: [`zoe:${sha('secret')}`], realm: 'the "hub" \\ 秀' });
    client.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    const head = await client.readHead();
    assert.match(head, /^HTTP\/1.1 401 Unauthorized\r\n/);
    const realm = /Www-Authenticate: Basic realm="(.*)"\r\n/.exec(head)?.[1] ?? '';
    assert.equal(Buffer.from(realm, 'latin1').toString('utf8'), 'the \\"hub\\" \\\\ 秀');
    await client.read('401 Unauthorized\n');
    assert.equal(server.accepted, 0);
  });

  it('tells the server who it is, whatever the client says about that', async (t) => {
    const { client, server } = await start(t, {
      users: [`zoe:${sha('secret')}`],
      headerField: 'X-User',
      removeHeader: true,
    });
    client.send(
      `GET / HTTP/1.1\r\nHost: h\r\nX-User: admin\r\nx-user: root\r\n${credentials('zoe', 'secret')}\r\n`,
    );
    const upstream = await server.accept();
    const head = await upstream.readHead();
    assert.deepEqual(head.match(/^x-user:.*$/gim), ['X-User: zoe']);
    assert.doesNotMatch(head, /authorization/i);
    upstream.send(OK);
    await client.read('ok');
  });

  it('writes a name beyond ASCII in UTF-8, in one line', async (t) => {
    // Cut down to bytes, U+010D and U+010A would be a line end.
    const name = 'zoe\u010d\u010aX-Admin: 1';
    const { client, server } = await start(t, {
      users: [`${name.replace(':', '')}:${sha('secret')}`],
      headerField: 'X-User',
    });
    client.send(`GET / HTTP/1.1\r\nHost: h\r\n${credentials(name.replace(':', ''), 'secret')}\r\n`);
    const head = await (await server.accept()).readHead();
    assert.doesNotMatch(head, /^X-Admin/m);
    const value = /^X-User: (.*)\r$/m.exec(head)?.[1] ?? '';
    assert.equal(Buffer.from(value, 'latin1').toString('utf8'), name.replace(':', ''));
  });

  it('holds the body back until the password has been checked', async (t) => {
    const { client, server } = await start(t, { users: [`zoe:${hashSync('secret', 6)}`] });
    client.send(`POST / HTTP/1.1\r\nHost: h\r\n${credentials('zoe', 'secret')}Content-Length: 4\r\n\r\nbody`);
    const upstream = await server.accept();
    await upstream.readHead();
    await upstream.read('body');
    upstream.send(OK);
    await client.read('ok');
  });

  it('holds the body back until the last of several has checked the password', async (t) => {
    const server = await startByteServer(t);
    const users = [`zoe:${hashSync('secret', 8)}`];
    const { port } = await startDataPlane(
      t,
      staticConfiguration([entryPoint('web')]),
      table(
        [
          router('a', 'PathPrefix(`/`)', 'app', {
            middlewares: ['one@file', 'two@file'].map((name) => ({
              kind: 'basicAuth',
              name,
              options: { users },
            })),
          }),
        ],
        [service('app', [server.url])],
      ),
    );
    const client = await connect(t, port('web'));
    const body = 'x'.repeat(100_000);
    client.send(
      `POST / HTTP/1.1\r\nHost: h\r\n${credentials('zoe', 'secret')}Content-Length: ${String(body.length)}\r\n\r\n${body}`,
    );
    const upstream = await server.accept();
    await upstream.readHead();
    assert.equal(await upstream.take(body.length), body);
    upstream.send(OK);
    await client.read('ok');
  });

  it('checks pipelined requests one by one, each with its own credentials', async (t) => {
    const { client, server } = await start(t, { users: [`zoe:${hashSync('secret', 6)}`] });
    client.send(
      `GET /1 HTTP/1.1\r\nHost: h\r\n${credentials('zoe', 'secret')}\r\n` +
        'GET /2 HTTP/1.1\r\nHost: h\r\n\r\n' +
        `GET /3 HTTP/1.1\r\nHost: h\r\n${credentials('zoe', 'secret')}\r\n`,
    );
    const upstream = await server.accept();
    assert.match(await upstream.readHead(), /^GET \/1 /);
    upstream.send(OK);
    await client.read('ok');
    assert.match(await client.read('401 Unauthorized\n'), /^HTTP\/1.1 401 /);
    assert.match(await upstream.readHead(), /^GET \/3 /);
    upstream.send(OK);
    await client.read('ok');
  });

  it('takes two Authorization headers for nobody', async (t) => {
    const { client } = await start(t, { users: [`zoe:${sha('secret')}`] });
    const line = credentials('zoe', 'secret');
    client.send(`GET / HTTP/1.1\r\nHost: h\r\n${line}${line}\r\n`);
    assert.match(await client.readHead(), /^HTTP\/1.1 401 /);
  });

  it('survives a client that leaves while its password is checked', async (t) => {
    const { client, server, port } = await start(t, { users: [`zoe:${hashSync('secret', 8)}`] });
    client.send(`POST / HTTP/1.1\r\nHost: h\r\n${credentials('zoe', 'secret')}Content-Length: 4\r\n\r\nbody`);
    client.socket.resetAndDestroy();
    await client.closed();
    const other = await connect(t, port);
    other.send('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    assert.match(await other.readHead(), /^HTTP\/1.1 401 /);
    assert.equal(server.accepted, 0);
  });
});
