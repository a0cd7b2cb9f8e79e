import assert from 'node:assert/strict';
import net from 'node:net';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { entryPoint, router, startDataPlane, staticConfiguration, table } from '../support/data-plane.ts';
import { ask } from '../support/requests.ts';
import { closedPort } from '../support/sockets.ts';

/** Answers everything with its name, once the whole request is there. */
async function startNamed(t: TestContext, name: string, port = 0): Promise<string> {
  const server = net.createServer((socket) => {
    let received = '';
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1');
      const end = received.indexOf('\r\n\r\n');
      const length = Number(/Content-Length: ([0-9]+)/.exec(received)?.[1] ?? 0);
      if (end < 0 || received.length < end + 4 + length) return;
      const body = `${name}${received.slice(end + 4)}`;
      received = '';
      socket.write(`HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: ${String(body.length)}\r\n\r\n${body}`);
    });
    t.after(() => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  t.after(() => server.close());
  const address = server.address();
  return `http://127.0.0.1:${String(address !== null && typeof address === 'object' ? address.port : 0)}`;
}

async function startBalanced(
  t: TestContext,
  servers: readonly { readonly url: string; readonly weight: number }[],
): Promise<number> {
  const { port } = await startDataPlane(
    t,
    staticConfiguration([entryPoint('web')]),
    table(
      [router('all', 'PathPrefix(`/`)', 'app')],
      [
        {
          kind: 'loadBalancer',
          name: 'app',
          servers: servers.map((server) => ({ ...server, preservePath: false })),
          passHostHeader: true,
        },
      ],
    ),
  );
  return port('web');
}

async function namesOf(t: TestContext, port: number, requests: number): Promise<string> {
  let names = '';
  for (let index = 0; index < requests; index++) {
    const answer = await ask(t, port);
    names += answer.startsWith('HTTP/1.1 200 ') ? answer.slice(answer.indexOf('\r\n\r\n') + 4) : '!';
  }
  return names;
}

describe('several servers', () => {
  it('take turns by their weights', async (t) => {
    const port = await startBalanced(t, [
      { url: await startNamed(t, 'a'), weight: 3 },
      { url: await startNamed(t, 'b'), weight: 1 },
      { url: await startNamed(t, 'c'), weight: 0 },
    ]);
    const names = await namesOf(t, port, 8);
    assert.equal([...names].sort().join(''), 'aaaaaabb');
    assert.doesNotMatch(names, /bb/);
  });

  it('stand in for one that is down, until it is up again', async (t) => {
    const deadPort = await closedPort();
    const port = await startBalanced(t, [
      { url: await startNamed(t, 'a'), weight: 1 },
      { url: `http://127.0.0.1:${String(deadPort)}`, weight: 1 },
      { url: await startNamed(t, 'c'), weight: 1 },
    ]);
    const names = await namesOf(t, port, 9);
    assert.doesNotMatch(names, /!/);
    assert.match(names, /a/);
    assert.match(names, /c/);
    await startNamed(t, 'b', deadPort);
    let name = '';
    for (const end = Date.now() + 8000; Date.now() < end && name !== 'b';) name = await namesOf(t, port, 1);
    assert.equal(name, 'b');
  });

  it('get a whole POST that the one whose turn it was could not take', async (t) => {
    const port = await startBalanced(t, [
      { url: `http://127.0.0.1:${String(await closedPort())}`, weight: 1 },
      { url: await startNamed(t, 'b'), weight: 1 },
    ]);
    for (let round = 0; round < 4; round++)
      assert.match(await ask(t, port, 'POST / HTTP/1.1\r\n\r\n, please'), /\r\n\r\nb, please$/);
  });

  it('lead to 502 when all are down', async (t) => {
    const port = await startBalanced(t, [
      { url: `http://127.0.0.1:${String(await closedPort())}`, weight: 1 },
      { url: `http://127.0.0.1:${String(await closedPort())}`, weight: 1 },
    ]);
    assert.equal(await namesOf(t, port, 3), '!!!');
    assert.match(await ask(t, port), /^HTTP\/1.1 502 /);
  });
});
