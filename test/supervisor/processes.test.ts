// Processes that die, hang, end, or have more than their share.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { eventually, rulesFile, socketCount, startEngine, staticFile } from '../support/engine.ts';
import { freePorts } from '../support/free-ports.ts';
import { connect, startByteServer } from '../support/sockets.ts';
import type { Peer } from '../support/sockets.ts';

const ANSWER = 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok';

describe('a process tree', () => {
  it('lets connections wait, and refuses none, while its only worker is replaced', async (t) => {
    const server = await startByteServer(t);
    const [web = 0] = await freePorts(1);
    const engine = await startEngine(t, { static: staticFile({ web }), rules: rulesFile(server.url) });
    const [worker = 0] = engine.children('jtp worker');
    process.kill(worker, 'SIGKILL');
    await engine.says('the worker ended and is replaced');
    const clients = [await connect(t, web), await connect(t, web)];
    for (const client of clients) {
      client.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      const peer = await server.accept();
      await peer.readHead();
      peer.send(ANSWER);
      await client.read('ok');
    }
    assert.notDeepEqual(engine.children('jtp worker'), [worker]);
    await engine.says('another worker accepts in the place of the one that ended');
    assert.match(engine.output, /the worker ended and is replaced[^]*another worker accepts/);
  });

  it('serves as soon as the first worker does, and starts the others then', async (t) => {
    const [web = 0] = await freePorts(1);
    const engine = await startEngine(t, {
      static: staticFile({ web }),
      rules: rulesFile('http://127.0.0.1:9'),
      workers: 2,
    });
    assert.match(engine.output, /the worker accepts[^]* serves [^]*the worker accepts/);
    assert.equal(engine.children('jtp worker').length, 2);
  });

  it('ends at once when it is told to while the other workers are being started', async (t) => {
    const [web = 0] = await freePorts(1);
    const perEntryPoint = '[entryPoints.NAME.transport.lifeCycle]\ngraceTimeOut = "10m"\n';
    const engine = await startEngine(t, {
      static: staticFile({ web }, { perEntryPoint }),
      rules: rulesFile('http://127.0.0.1:9'),
      workers: 3,
      awaitsAllWorkers: false,
    });
    engine.signal('SIGTERM');
    assert.equal(await engine.ended(), 0);
  });

  it('stops accepting at SIGTERM, finishes what has begun, and ends with 0', async (t) => {
    const server = await startByteServer(t);
    const [web = 0] = await freePorts(1);
    const engine = await startEngine(t, {
      static: staticFile({ web }),
      rules: rulesFile(server.url),
      workers: 2,
    });
    const client = await connect(t, web);
    client.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    const peer = await server.accept();
    await peer.readHead();
    const idle = await connect(t, web);
    engine.signal('SIGTERM');
    assert.equal(await idle.readToEnd(), '');
    await eventually('nobody to accept', () =>
      connect(t, web).then(
        () => false,
        (error: unknown) => String(error).includes('ECONNREFUSED'),
      ),
    );
    peer.send(ANSWER);
    assert.match(await client.readToEnd(), /Connection: close\r\n\r\nok$/);
    assert.equal(await engine.ended(), 0);
  });

  it('accepts for the time that was asked for before it stops', async (t) => {
    const server = await startByteServer(t);
    const [web = 0, admin = 0] = await freePorts(2);
    const engine = await startEngine(t, {
      static: staticFile(
        { web, admin },
        {
          text: '[ping]\nentryPoint = "admin"\n',
          perEntryPoint: '[entryPoints.NAME.transport.lifeCycle]\nrequestAcceptGraceTimeout = "60s"\n',
        },
      ),
      rules: rulesFile(server.url),
    });
    engine.signal('SIGTERM');
    await eventually('the announcement', async () => {
      const ping = await connect(t, admin);
      ping.send('GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
      return (await ping.readToEnd()).startsWith('HTTP/1.1 503 ');
    });
    const client = await connect(t, web);
    client.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    const peer = await server.accept();
    await peer.readHead();
    peer.send(ANSWER);
    await client.read('ok');
    // The second signal does not wait.
    engine.signal('SIGTERM');
    await engine.ended();
  });

  it('leaves accepting to the other worker when one has far more than its share', async (t) => {
    const server = await startByteServer(t);
    const [web = 0] = await freePorts(1);
    const engine = await startEngine(t, {
      static: staticFile({ web }),
      rules: rulesFile(server.url),
      workers: 2,
    });
    const [first = 0, second = 0] = engine.children('jtp worker');
    const before = socketCount(second);
    // A stopped worker accepts nothing.
    process.kill(second, 'SIGSTOP');
    const clients: Peer[] = [];
    for (let index = 0; index < 80; index++) clients.push(await connect(t, web));
    await eventually('all of them with one worker', () => socketCount(first) > before + 75);
    process.kill(second, 'SIGCONT');
    await eventually('the other to get all of them', async () => {
      const full = socketCount(first);
      for (let index = 0; index < 10; index++) clients.push(await connect(t, web));
      return socketCount(first) === full && socketCount(second) > before + 5;
    });
    for (const client of clients) client.socket.destroy();
    await eventually('the first to accept again', async () => {
      const client = await connect(t, web);
      return eventually('its worker', () => socketCount(first) > before || socketCount(second) > before).then(
        () => {
          const isFirst = socketCount(first) > before;
          client.socket.destroy();
          return isFirst;
        },
      );
    });
  });
});

describe('descriptors', () => {
  it('says at start how many connections they are good for, and what to do when that is little', async (t) => {
    const [web = 0] = await freePorts(1);
    const engine = await startEngine(t, {
      static: staticFile({ web }),
      rules: rulesFile('http://127.0.0.1:9'),
      openFiles: 256,
    });
    await engine.says('1 worker, up to 77 connections each (256 open files)');
    await engine.says('LimitNOFILE=65536');
  });

  it('refuses and counts clients that it has no descriptors for, and whoever is in stays served', async (t) => {
    const server = await startByteServer(t);
    const [web = 0] = await freePorts(1);
    const engine = await startEngine(t, {
      static: staticFile({ web }),
      rules: rulesFile(server.url),
      openFiles: 256,
    });
    const clients: (Peer | undefined)[] = [];
    // The refusal may come before the connection has been seen to be there.
    for (let index = 0; index < 90; index++) clients.push(await connect(t, web).catch(() => undefined));
    await engine.says('connections are refused');
    const present = (): Peer[] =>
      clients.filter((client) => client !== undefined).filter(({ isClosed }) => !isClosed);
    await eventually('the refusals', () => present().length === 77);
    const inside = present();
    // Each of them gets a connection to the server at the same time.
    for (const client of inside) client.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    for (let index = 0; index < inside.length; index++) {
      const peer = await server.accept();
      await peer.readHead();
      peer.send(ANSWER);
    }
    for (const client of inside) await client.read('ok');
    // One that leaves makes room for another.
    inside[0]?.socket.destroy();
    await eventually('room', async () => {
      const { accepted } = server;
      const late = await connect(t, web);
      late.send('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      await eventually('a refusal or an answer', () => late.isClosed || server.accepted > accepted);
      if (late.isClosed) return false;
      const peer = await server.accept();
      await peer.readHead();
      peer.send(ANSWER);
      return (await late.read('ok')) !== '';
    });
  });
});
