// What people, scripts and WebSockets get instead of a server's answer.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import { DataPlane } from '../../src/worker/data-plane.ts';
import { entryPoint, router, service, staticConfiguration, table } from '../support/data-plane.ts';
import { closedPort, connect } from '../support/sockets.ts';

async function ask(t: TestContext, mode: 'hub' | 'traefik', lines: string): Promise<string> {
  const plane = new DataPlane({
    static: staticConfiguration([entryPoint('web')]),
    apiSocket: '/nonexistent/api.sock',
    log: pino({ level: 'silent' }),
    workerId: 1,
    mode,
  });
  t.after(() => {
    plane.close();
  });
  const dead = `http://127.0.0.1:${String(await closedPort())}`;
  plane.apply(
    table(
      [
        router('zoe', 'PathPrefix(`/user/zoe/`)', 'dead'),
        router('base', 'PathPrefix(`/base/user/zoe/`)', 'dead'),
        router('amy', 'PathPrefix(`/user/amy/`)', 'stopped@internal'),
      ],
      [service('dead', [dead]), { kind: 'stopped', name: 'stopped@internal' }],
    ),
  );
  await plane.listen();
  const client = await connect(t, plane.addresses().get('web')?.port ?? 0);
  client.send(`${lines}Host: x\r\nConnection: ${lines.includes('Upgrade') ? 'Upgrade' : 'close'}\r\n\r\n`);
  const head = await client.readHead();
  const length = Number(/Content-Length: (\d+)/i.exec(head)?.[1]);
  if (length === 0) return head;
  const rest = client.received.length >= length ? client.received : '';
  return head + (rest === '' ? await client.readToEnd() : rest);
}

const BROWSER = 'Accept: text/html,application/xhtml+xml\r\n';

describe('a failure with a hub', () => {
  it('is a page for a person, whole in itself, which leads home and looks again', async (t) => {
    const answer = await ask(t, 'hub', `GET /user/zoe/lab HTTP/1.1\r\n${BROWSER}`);
    assert.match(
      answer,
      /^HTTP\/1\.1 502 Bad Gateway\r\n[^]*Content-Type: text\/html[^]*Cache-Control: no-store/,
    );
    assert.match(answer, /<a href="\/hub\/home">/);
    assert.match(answer, /http-equiv="refresh"/);
    assert.doesNotMatch(answer, /src=|@import|url\(/);
  });

  it('leads nowhere below a user’s address', async (t) => {
    const answer = await ask(t, 'hub', `GET /user/zoe/lab/tree/user/data/hub/x HTTP/1.1\r\n${BROWSER}`);
    assert.match(answer, /href="\/hub\/home"/);
  });

  it('leads to the hub of the base URL', async (t) => {
    assert.match(
      await ask(t, 'hub', `GET /base/user/zoe/ HTTP/1.1\r\n${BROWSER}`),
      /href="\/base\/hub\/home"/,
    );
  });

  for (const { name, lines, want } of [
    {
      name: 'JSON for a script',
      lines: 'GET /user/zoe/api/kernels HTTP/1.1\r\nAccept: */*\r\n',
      want: /^HTTP\/1\.1 502 [^]*application\/json[^]*"status":502\}$/,
    },
    {
      name: 'a bare status for a WebSocket',
      lines: 'GET /user/zoe/api/kernels/1/channels HTTP/1.1\r\nUpgrade: websocket\r\n',
      want: /^HTTP\/1\.1 502 [^]*Content-Length: 0\r\n/,
    },
    {
      name: 'a page where there is nothing',
      lines: `GET /x HTTP/1.1\r\n${BROWSER}`,
      want: /^HTTP\/1\.1 404 [^]*<h1>/,
    },
    {
      name: '424 for polls of a stopped server',
      lines: 'GET /user/amy/api/status HTTP/1.1\r\nAccept: application/json\r\n',
      want: /^HTTP\/1\.1 424 [^]*"status":424\}$/,
    },
  ])
    it(`is ${name}`, async (t) => {
      assert.match(await ask(t, 'hub', lines), want);
    });

  it('is as with Traefik where the engine runs by itself', async (t) => {
    assert.match(await ask(t, 'traefik', `GET /user/zoe/lab HTTP/1.1\r\n${BROWSER}`), /\r\n\r\nBad Gateway$/);
    assert.match(await ask(t, 'traefik', `GET /x HTTP/1.1\r\n${BROWSER}`), /404 page not found\n$/);
  });
});
