// A router with redirectScheme among its middlewares, over real connections; how Traefik answers is compared in test/conformance.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import type { MiddlewareSpec } from '../../src/runtime/table-change.ts';
import {
  entryPoint,
  router,
  service,
  startDataPlane,
  staticConfiguration,
  table,
} from '../support/data-plane.ts';
import { connect, startByteServer } from '../support/sockets.ts';
import type { ByteServer, Peer } from '../support/sockets.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const TO_HTTPS: MiddlewareSpec = {
  kind: 'redirectScheme',
  name: 'https@file',
  options: { scheme: 'https', port: '8443', permanent: true },
};
const AUTH: MiddlewareSpec = {
  kind: 'basicAuth',
  name: 'auth@file',
  options: { users: [`zoe:{SHA}${createHash('sha1').update('secret').digest('base64')}`] },
};
const CREDENTIALS = `Authorization: Basic ${Buffer.from('zoe:secret').toString('base64')}\r\n`;

async function start(
  t: TestContext,
  middlewares: readonly MiddlewareSpec[],
  isTrusting = false,
): Promise<{ readonly client: Peer; readonly server: ByteServer }> {
  const server = await startByteServer(t);
  const web = entryPoint('web');
  const { port } = await startDataPlane(
    t,
    staticConfiguration([{ ...web, forwardedHeaders: { ...web.forwardedHeaders, insecure: isTrusting } }]),
    table([router('a', 'PathPrefix(`/`)', 'app', { middlewares })], [service('app', [server.url])]),
  );
  return { client: await connect(t, port('web')), server };
}

const BODIES: Readonly<Record<string, string>> = {
  301: 'Moved Permanently',
  308: 'Permanent Redirect',
  400: 'A request without a Host header cannot be redirected.\n',
  401: '401 Unauthorized\n',
};

/** The status and the Location of the answer to one request. */
async function ask(client: Peer, head: string): Promise<readonly [status: string, location: string]> {
  client.send(`${head}\r\n\r\n`);
  const answer = await client.readHead();
  const body =
    /Content-Length: 0\r/i.test(answer) || head.startsWith('HEAD') ? '' : BODIES[answer.slice(9, 12)];
  if (body !== undefined && body !== '') await client.read(body);
  return [answer.slice(9, 12), /Location: (.*)\r\n/.exec(answer)?.[1] ?? ''];
}

describe('a router that redirects', () => {
  const cases: readonly (readonly [head: string, status: string, location: string])[] = [
    ['GET /a%20b?c=d HTTP/1.1\r\nHost: hub.example:8000', '301', 'https://hub.example:8443/a%20b?c=d'],
    ['HEAD / HTTP/1.1\r\nHost: hub.example', '308', 'https://hub.example:8443/'],
    ['DELETE / HTTP/1.1\r\nHost: hub.example', '308', 'https://hub.example:8443/'],
    ['GET / HTTP/1.1\r\nHost: [::1]:8000', '301', 'https://[::1]:8443/'],
    ['GET //other.example HTTP/1.1\r\nHost: hub.example', '301', 'https://hub.example:8443//other.example'],
    ['GET http://other.example:81/x HTTP/1.1\r\nHost: h', '301', 'https://other.example:8443/x'],
    // What no URL may hold is escaped, so that nobody who shows it is led astray.
    ['GET /"<x>|{}` HTTP/1.1\r\nHost: h', '301', 'https://h:8443/%22%3Cx%3E%7C%7B%7D%60'],
  ];
  for (const [head, status, location] of cases)
    it(`sends ${head.replace('\r\n', ' ')} to ${location}`, async (t) => {
      const { client, server } = await start(t, [TO_HTTPS]);
      assert.deepEqual(await ask(client, head), [status, location]);
      assert.equal(server.accepted, 0);
    });

  it('cannot redirect a client that names no host', async (t) => {
    const { client } = await start(t, [TO_HTTPS]);
    assert.deepEqual(await ask(client, 'GET / HTTP/1.0'), ['400', '']);
  });

  it('lets those pass that came by HTTPS to a trusted proxy in front, to the port that is wanted', async (t) => {
    const { client, server } = await start(t, [TO_HTTPS], true);
    client.send('GET / HTTP/1.1\r\nHost: hub.example:8443\r\nX-Forwarded-Proto: https\r\n\r\n');
    const upstream = await server.accept();
    await upstream.readHead();
    upstream.send(OK);
    await client.read('ok');
  });

  it('does not believe a stranger about the scheme', async (t) => {
    const { client } = await start(t, [TO_HTTPS]);
    const [status] = await ask(client, 'GET / HTTP/1.1\r\nHost: h:8443\r\nX-Forwarded-Proto: https');
    assert.equal(status, '301');
  });

  it('redirects before it asks for a password, or after it, as they are written', async (t) => {
    const first = await start(t, [TO_HTTPS, AUTH]);
    assert.equal((await ask(first.client, 'GET / HTTP/1.1\r\nHost: h'))[0], '301');
    const second = await start(t, [AUTH, TO_HTTPS]);
    assert.equal((await ask(second.client, 'GET / HTTP/1.1\r\nHost: h'))[0], '401');
    // The first time the password takes its time, the second time it is remembered.
    for (let i = 0; i < 2; i++)
      assert.equal(
        (await ask(second.client, `GET / HTTP/1.1\r\nHost: h\r\n${CREDENTIALS.trim()}`))[0],
        '301',
      );
  });
});
