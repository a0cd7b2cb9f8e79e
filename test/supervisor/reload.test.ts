// SIGHUP: another static configuration takes the place of the one before, and nobody who is being served notices.

import assert from 'node:assert/strict';
import http from 'node:http';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { request } from 'undici';
import { eventually, rulesFile, startEngine, staticFile } from '../support/engine.ts';
import { freePorts } from '../support/free-ports.ts';
import { listenLocally } from '../support/http-servers.ts';
import { connect, startByteServer, within } from '../support/sockets.ts';

async function startBackend(t: TestContext): Promise<string> {
  const server = http.createServer((_request, response) => response.end('backend'));
  return `http://127.0.0.1:${String(await listenLocally(t, server))}`;
}

async function textOf(port: number): Promise<string> {
  const { statusCode, body } = await request(`http://127.0.0.1:${String(port)}/`, { reset: true });
  return `${String(statusCode)} ${await body.text()}`;
}

describe('a reload', () => {
  it('starts new workers for a changed static configuration, refuses nobody, and lets the old ones finish', async (t) => {
    const server = await startByteServer(t);
    const [web = 0, gone = 0, added = 0] = await freePorts(3);
    const engine = await startEngine(t, {
      static: staticFile({ web, gone }),
      rules: rulesFile(await startBackend(t), server.url),
    });
    const [worker = 0] = engine.children('jtp worker');
    const client = await connect(t, web);
    client.send('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n');
    const slow = await server.accept();
    await slow.readHead();

    let isOver = false;
    let answers = 0;
    const steady = (async () => {
      while (!isOver) {
        assert.equal(await textOf(web), '200 backend');
        answers++;
        await setTimeout(5);
      }
    })();
    steady.catch(() => undefined);
    engine.writeStatic(staticFile({ web, added }));
    engine.signal('SIGHUP');
    await engine.says('the new static configuration is in force');
    assert.equal(await textOf(added), '200 backend');
    await assert.rejects(textOf(gone), /ECONNREFUSED/);
    assert.equal(engine.children('jtp controller').length, 2);
    assert.ok(engine.children('jtp worker').includes(worker));

    slow.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow');
    assert.match(await client.readToEnd(), /^HTTP\/1\.1 200 OK\r\n[^]*Connection: close\r\n\r\nslow$/);
    client.socket.destroy();
    await eventually('the end of the old worker', () => !engine.children('jtp worker').includes(worker));
    await eventually('the end of the old controller', () => engine.children('jtp controller').length === 1);
    const before = answers;
    await eventually('more answers', () => answers > before + 5);
    isOver = true;
    await within(steady, 'the last answer');
  });

  it('keeps the configuration before when the new one is refused, and says why in one line', async (t) => {
    const [web = 0, taken = 0] = await freePorts(2);
    const engine = await startEngine(t, {
      static: staticFile({ web }),
      rules: rulesFile(await startBackend(t)),
    });
    const workers = engine.children('jtp worker');
    const refused = (text: string): string[] =>
      engine.output
        .split('\n')
        .filter((line) => line.includes(text) && line.includes('the one before stays'));

    engine.writeStatic(staticFile({ web }, { text: 'lgo = 1\n' }));
    engine.signal('SIGHUP');
    await eventually('the refusal', () => refused('lgo').length === 1);
    assert.match(refused('lgo')[0] ?? '', /traefik\.toml:1: lgo: unknown key, did you mean \\"log\\"/);

    const occupant = http.createServer();
    await new Promise<void>((resolve) => occupant.listen(taken, '127.0.0.1', resolve));
    t.after(() => occupant.close());
    engine.writeStatic(staticFile({ web, taken }));
    engine.signal('SIGHUP');
    await eventually('the refusal', () => refused('in use by another program').length === 1);

    engine.writeStatic(staticFile({ web }).replace(`127.0.0.1:${String(web)}`, `0.0.0.0:${String(web)}`));
    engine.signal('SIGHUP');
    await eventually('the refusal', () => refused('restart it for this change').length === 1);

    assert.equal(await textOf(web), '200 backend');
    assert.deepEqual(engine.children('jtp worker'), workers);
    assert.equal(engine.children('jtp controller').length, 1);
  });

  it('keeps two generations at most, and comes to the last configuration in the end', async (t) => {
    const server = await startByteServer(t);
    const [web = 0, second = 0, third = 0] = await freePorts(3);
    const engine = await startEngine(t, {
      static: staticFile({ web }),
      rules: rulesFile(await startBackend(t), server.url),
    });
    const client = await connect(t, web);
    client.send('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n');
    const slow = await server.accept();
    await slow.readHead();

    engine.writeStatic(staticFile({ web, second }));
    engine.signal('SIGHUP');
    await engine.says('the new static configuration is in force');
    engine.writeStatic(staticFile({ web, third }));
    engine.signal('SIGHUP');
    await engine.says('a reload waits');
    assert.equal(engine.children('jtp controller').length, 2);
    await assert.rejects(textOf(third), /ECONNREFUSED/);
    slow.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow');
    await client.readToEnd();
    client.socket.destroy();
    await eventually('the third configuration', async () => (await textOf(third)) === '200 backend');
    await eventually('the end of the second', () => engine.children('jtp controller').length === 1);
    await assert.rejects(textOf(second), /ECONNREFUSED/);
  });

  it('keeps the routes although their file is broken when the new workers start', async (t) => {
    const [web = 0, added = 0] = await freePorts(2);
    const engine = await startEngine(t, {
      static: staticFile({ web }),
      rules: rulesFile(await startBackend(t)),
    });
    engine.writeRules('[http.routers.all\n');
    engine.writeStatic(staticFile({ web, added }));
    engine.signal('SIGHUP');
    await engine.says('the new static configuration is in force');
    assert.equal(await textOf(added), '200 backend');
  });
});
