import assert from 'node:assert/strict';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { boundConnections } from '../../src/api/bounded-connections.ts';
import { layQuickLane } from '../../src/api/quick-lane.ts';
import type { QuickAnswer, QuickRequest } from '../../src/api/quick-lane.ts';
import { createRoutesApi } from '../../src/api/routes-api.ts';
import { makeStore, rememberingLogger, temporaryFolder } from '../support/hub-store.ts';
import { connect, until } from '../support/sockets.ts';
import type { Peer } from '../support/sockets.ts';

const TOKEN = 'token right';

function request(method: string, path: string, body = '', ...headers: readonly string[]): string {
  const length = body === '' ? [] : [`Content-Length: ${String(Buffer.byteLength(body))}`];
  const lines = [`${method} ${path} HTTP/1.1`, 'Host: h', ...length, ...headers];
  return `${lines.join('\r\n')}\r\n\r\n${Buffer.from(body).toString('latin1')}`;
}

/** Reads one answer with a length, or none, and leaves out what the time decides. */
async function readAnswer(peer: Peer): Promise<string> {
  const head = await peer.readHead();
  const length = /\r\ncontent-length: ([0-9]+)/i.exec(head)?.[1] ?? '0';
  const lines = head
    .split('\r\n')
    .map((line) => line.replace(/^date: .*$/i, 'date: (now)'))
    .sort();
  return [...lines, await peer.take(Number(length))].join('\n').toLowerCase();
}

interface Lane {
  readonly port: number;
  /** What came the short way. */
  readonly quick: QuickRequest[];
  readonly answers: ((answer: QuickAnswer) => void)[];
  readonly close: () => void;
}

/** A server that answers `slow` behind a lane whose requests are answered by hand. */
async function startLane(t: TestContext, most = 100): Promise<Lane> {
  const server = http.createServer((_request, response) => response.end('slow'));
  const quick: QuickRequest[] = [];
  const answers: ((answer: QuickAnswer) => void)[] = [];
  const handler = {
    admits: (authorization: string) => authorization === TOKEN,
    handle: (seen: QuickRequest) => {
      if (seen.target !== '/quick') return undefined;
      quick.push(seen);
      return new Promise<QuickAnswer>((resolve) => answers.push(resolve));
    },
  };
  const { close } = layQuickLane(server, handler, boundConnections(server, most));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
    close();
  });
  return { port: (server.address() as AddressInfo).port, quick, answers, close };
}

const QUICK = request('POST', '/quick', '"ü"', `Authorization: ${TOKEN}`);
const SLOW = request('GET', '/slow', '', `Authorization: ${TOKEN}`);

describe('the short way into an API', () => {
  it('answers a whole request, and the next one of the connection', async (t) => {
    const { port, quick, answers } = await startLane(t);
    const peer = await connect(t, port);
    for (const answer of [{ status: 201 }, { status: 409, json: '{"a":"ü"}' }, { status: 204 }]) {
      peer.send(QUICK);
      await until(() => answers.length === 1, 'a request');
      answers.pop()?.(answer);
      const text = await readAnswer(peer);
      assert.match(text, new RegExp(`http/1.1 ${String(answer.status)} `));
      assert.equal(text.includes('content-length'), answer.status !== 204);
    }
    assert.deepEqual(
      quick.map(({ method, target, body }) => [method, target, body]),
      Array.from({ length: 3 }, () => ['POST', '/quick', '"ü"']),
    );
  });

  it('leaves to the server behind whatever is not one whole, plain request with the right token', async (t) => {
    const { port, quick } = await startLane(t);
    const others = [
      SLOW,
      QUICK.replace('/quick', '/other'),
      QUICK.replace('right', 'wrong'),
      QUICK.replace('Host', 'Authorization: token right\r\nHost'),
      request('GET', '/quick'),
      QUICK.replace('Host', 'Connection: close\r\nHost'),
      QUICK.replace('Host', 'Transfer-Encoding: chunked\r\nHost')
        .replace(/Content-Length: 4\r\n/, '')
        .replace(/"..?.?"$/, '0\r\n\r\n'),
      QUICK.replace('HTTP/1.1', 'HTTP/1.0'),
      QUICK.replace('Host', `X: ${'x'.repeat(9000)}\r\nHost`),
    ];
    for (const bytes of others) {
      const peer = await connect(t, port);
      peer.send(bytes);
      assert.match(await peer.read('slow'), /^HTTP\/1\.1 200/, bytes.slice(0, 200));
    }
    assert.deepEqual(quick, []);
    const peer = await connect(t, port);
    peer.send(QUICK.replace('\r\n', '\n\r\n').replace('Host', 'Ho st'));
    assert.match(await peer.readToEnd(), /^HTTP\/1\.1 400/);
  });

  it('gives a connection away with all that has arrived on it', async (t) => {
    const { port, answers } = await startLane(t);
    const peer = await connect(t, port);
    peer.send(QUICK);
    await until(() => answers.length === 1, 'a request');
    // Behind a request that is not answered yet: one more of the same, half of another, and its rest.
    peer.send(SLOW + SLOW.slice(0, 20));
    answers[0]?.({ status: 201 });
    await readAnswer(peer);
    await peer.read('slow');
    peer.send(SLOW.slice(20));
    await peer.read('slow');
  });

  it('asks again whether a token is right when a connection sends another one', async (t) => {
    const { port, answers, quick } = await startLane(t);
    const peer = await connect(t, port);
    peer.send(QUICK);
    await until(() => answers.length === 1, 'a request');
    answers[0]?.({ status: 201 });
    await readAnswer(peer);
    peer.send(QUICK.replace('right', 'wrong'));
    await peer.read('slow');
    assert.equal(quick.length, 1);
  });

  it('answers a client that has said that nothing more will come, and ends', async (t) => {
    const { port, answers } = await startLane(t);
    const peer = await connect(t, port);
    peer.send(QUICK);
    await until(() => answers.length === 1, 'a request');
    peer.socket.end();
    answers[0]?.({ status: 201 });
    assert.match(await peer.readToEnd(), /^HTTP\/1\.1 201/);
    const idle = await connect(t, port);
    idle.socket.end();
    await idle.closed();
  });

  it('counts among the connections of the API: the idle give way, the busy do not', async (t) => {
    const { port, answers } = await startLane(t, 2);
    const busy = await connect(t, port);
    busy.send(QUICK);
    await until(() => answers.length === 1, 'a request');
    const idle = await connect(t, port);
    const third = await connect(t, port);
    await idle.readToEnd();
    answers[0]?.({ status: 201 });
    await readAnswer(busy);
    const fourth = await connect(t, port);
    await third.readToEnd();
    const fifth = await connect(t, port);
    await busy.readToEnd();
    assert.deepEqual([fourth.hasEnded, fifth.hasEnded], [false, false]);
  });

  it('ends its connections with the API', async (t) => {
    const { port, close, answers } = await startLane(t);
    const [idle, busy] = [await connect(t, port), await connect(t, port)];
    busy.send(QUICK);
    await until(() => answers.length === 1, 'a request');
    close();
    await idle.readToEnd();
    await busy.readToEnd();
    answers[0]?.({ status: 201 });
  });
});

describe('the routes API', () => {
  it('answers the same whether a request arrives in one piece or in two', async (t) => {
    const token = 'Authorization: token a-secret';
    const add = (body: string, ...headers: readonly string[]): string =>
      request('POST', '/api/routes/user/zoe', body, token, ...headers);
    const calls = [
      add('{"target": "http://127.0.0.1:1", "user": "zoe"}'),
      add(
        '{"target": "http://127.0.0.1:2", "last_activity": "x", "ü": [1]}',
        'Content-Type: application/json',
      ),
      add('{"target": "ftp://127.0.0.1:2"}'),
      add('{"target": 1}'),
      add('{'),
      request('POST', '/api/routes/user/zoe', '', token),
      request('POST', '/api/routes/a%2Fb', '{"target": "http://127.0.0.1:1"}', token),
      request('POST', '/api/routes/user/zoe', '{"target": "http://127.0.0.1:1"}', 'Authorization: token no'),
      request('GET', '/api/routes/user/zoe', '', token),
      request('GET', '/api/routespecs', '', token),
      request('DELETE', '/api/routes/user/zoe', '', token),
      request('DELETE', '/api/routes/user/zoe', '', token),
      request('DELETE', '/api/routes/a%2Fb', '', token),
    ];
    const answersOf = async (split: (length: number) => number): Promise<string[]> => {
      const { store } = makeStore(t, join(temporaryFolder(t), 'rules.toml'), {});
      await store.start();
      const app = createRoutesApi({
        table: store,
        token: 'a-secret',
        health: { pid: 42, digest: 'd', version: '1' },
        log: rememberingLogger().log,
      });
      await app.listen({ host: '127.0.0.1', port: 0 });
      t.after(() => app.close());
      const found: string[] = [];
      for (const call of calls) {
        const peer = await connect(t, (app.server.address() as AddressInfo).port);
        peer.socket.setNoDelay(true);
        const at = split(call.length);
        peer.send(call.slice(0, at));
        if (at < call.length) await new Promise(setImmediate);
        peer.send(call.slice(at));
        const head = await peer.readHead();
        peer.socket.end();
        found.push(
          head
            .replace(/^date: .*$/im, '')
            .toLowerCase()
            .split('\r\n')
            .sort()
            .join('\n') + (await peer.readToEnd()),
        );
      }
      return found;
    };
    const whole = await answersOf((length) => length);
    assert.deepEqual(
      whole.map((text) => /http\/1.1 ([0-9]+)/.exec(text)?.[1]),
      ['201', '201', '400', '400', '400', '400', '201', '403', '200', '200', '204', '404', '204'],
    );
    for (const split of [(): number => 10, (length: number): number => length - 1])
      assert.deepEqual(await answersOf(split), whole);
  });
});
