// What people, scripts and WebSockets get instead of a server's answer.

import assert from 'node:assert/strict';
import http from 'node:http';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import { DataPlane } from '../../src/worker/data-plane.ts';
import { entryPoint, router, service, staticConfiguration, table } from '../support/data-plane.ts';
import { closedPort, connect } from '../support/sockets.ts';

async function ask(t: TestContext, mode: 'hub' | 'traefik', lines: string): Promise<string> {
  return (await askers(t, mode))(lines);
}

/** Sends requests to one data plane, a connection for each. */
async function askers(
  t: TestContext,
  mode: 'hub' | 'traefik',
  hubErrorPages?: { readonly url: string },
): Promise<(lines: string) => Promise<string>> {
  const configuration = staticConfiguration([entryPoint('web')]);
  const plane = new DataPlane({
    static: hubErrorPages === undefined ? configuration : { ...configuration, hubErrorPages },
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
  return async (lines) => {
    const client = await connect(t, plane.addresses().get('web')?.port ?? 0);
    client.send(`${lines}Host: x\r\nConnection: ${lines.includes('Upgrade') ? 'Upgrade' : 'close'}\r\n\r\n`);
    const head = await client.readHead();
    const length = Number(/Content-Length: (\d+)/i.exec(head)?.[1]);
    if (length === 0) return head;
    const rest = client.received.length >= length ? client.received : '';
    return head + (rest === '' ? await client.readToEnd() : rest);
  };
}

/** A hub that has pages; `asked` are the addresses that it was asked for. */
async function startHub(t: TestContext): Promise<{ readonly url: string; readonly asked: string[] }> {
  const asked: string[] = [];
  const hub = http.createServer((question, answer) => {
    asked.push(question.url ?? '');
    answer.setHeader('Content-Type', 'text/html');
    answer.end(`<h1>the hub's ${String(/error\/([0-9]+)/.exec(question.url ?? '')?.[1])}</h1>`);
  });
  await new Promise<void>((resolve) => hub.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    hub.closeAllConnections();
    hub.close();
  });
  const address = hub.address();
  const port = address !== null && typeof address === 'object' ? address.port : 0;
  return { url: `http://127.0.0.1:${String(port)}/hub/error`, asked };
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
      name: 'a page for a form that is sent',
      lines: `POST /user/zoe/login HTTP/1.1\r\n${BROWSER}Content-Length: 0\r\n`,
      want: /^HTTP\/1\.1 502 [^]*text\/html[^]*<h1>/,
    },
    {
      name: 'a page for a form, as the browser says',
      lines: `POST /user/zoe/login HTTP/1.1\r\n${BROWSER}Content-Length: 0\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n`,
      want: /^HTTP\/1\.1 502 [^]*text\/html[^]*<h1>/,
    },
    {
      name: 'a page for a form whose answer goes into a frame',
      lines:
        'POST /user/zoe/api/x HTTP/1.1\r\nAccept: */*\r\nContent-Length: 0\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\n',
      want: /^HTTP\/1\.1 502 [^]*text\/html[^]*<h1>/,
    },
    {
      name: 'JSON for a script that sends something',
      lines: 'POST /user/zoe/files HTTP/1.1\r\nAccept: */*\r\nContent-Length: 0\r\n',
      want: /^HTTP\/1\.1 502 [^]*"status":502\}$/,
    },
    {
      name: 'JSON for a script of a page, whatever it would take',
      lines: `POST /user/zoe/files HTTP/1.1\r\n${BROWSER}Content-Length: 0\r\nSec-Fetch-Mode: same-origin\r\n`,
      want: /^HTTP\/1\.1 502 [^]*"status":502\}$/,
    },
    {
      name: 'JSON for a script that tells itself by the headers of its library',
      lines: `POST /user/zoe/files HTTP/1.1\r\n${BROWSER}Content-Length: 0\r\nX-Requested-With: XMLHttpRequest\r\n`,
      want: /^HTTP\/1\.1 502 [^]*"status":502\}$/,
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

describe('a failure with a hub whose own pages are wanted', () => {
  it('is one of them under the original status, for which the hub is asked once', async (t) => {
    const hub = await startHub(t);
    const get = await askers(t, 'hub', hub);
    const answers = await Promise.all(
      ['/user/zoe/lab', '/user/zoe/tree', '/base/user/zoe/'].map((path) =>
        get(`GET ${path} HTTP/1.1\r\n${BROWSER}`),
      ),
    );
    for (const answer of answers)
      assert.match(
        answer,
        /^HTTP\/1\.1 502 Bad Gateway\r\n[^]*content-type: text\/html\r\nCache-Control: no-store[^]*<h1>the hub's 503<\/h1>$/i,
      );
    assert.match(await get(`GET /x HTTP/1.1\r\n${BROWSER}`), /^HTTP\/1\.1 404 [^]*the hub's 404<\/h1>$/);
    assert.deepEqual(hub.asked, ['/hub/error/503?url=%2Fuser%2Fzoe%2Flab', '/hub/error/404?url=%2Fx']);
  });

  it('is short for scripts and WebSockets, and the hub is not asked', async (t) => {
    const hub = await startHub(t);
    const get = await askers(t, 'hub', hub);
    assert.match(
      await get('GET /user/zoe/api/kernels HTTP/1.1\r\nAccept: */*\r\n'),
      /^HTTP\/1\.1 502 [^]*"status":502\}$/,
    );
    assert.match(
      await get('GET /user/zoe/ws HTTP/1.1\r\nUpgrade: websocket\r\n'),
      /^HTTP\/1\.1 502 [^]*Content-Length: 0\r\n/,
    );
    assert.deepEqual(hub.asked, []);
  });

  it('is a page of the proxy while the hub does not answer', async (t) => {
    const get = await askers(t, 'hub', { url: `http://127.0.0.1:${String(await closedPort())}/hub/error` });
    for (const path of ['/user/zoe/lab', '/user/zoe/tree'])
      assert.match(
        await get(`GET ${path} HTTP/1.1\r\n${BROWSER}`),
        /^HTTP\/1\.1 502 [^]*<a href="\/hub\/home">/,
      );
  });
});
