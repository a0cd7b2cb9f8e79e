// Both ends of the private socket, and workers that speak it badly.

import assert from 'node:assert/strict';
import net from 'node:net';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { ControlClient } from '../../src/channel/control-client.ts';
import { ControlServer } from '../../src/channel/control-server.ts';
import { LineReader, toLine } from '../../src/channel/lines.ts';
import { messagesOf } from '../../src/channel/messages.ts';
import type { TableMessage } from '../../src/channel/messages.ts';
import type { RouterSpec, ServiceSpec, TableChange } from '../../src/runtime/table-change.ts';
import { rememberingLogger, temporaryFolder } from '../support/hub-store.ts';
import { within } from '../support/sockets.ts';
import { until } from '../support/until.ts';

const NOTHING: TableChange = {
  generation: 0,
  full: false,
  routers: [],
  removedRouters: [],
  services: [],
  removedServices: [],
};

function router(name: string): RouterSpec {
  return {
    name,
    entryPoints: ['http'],
    rule: `PathPrefix(\`/${name}/\`)`,
    priority: 1,
    tls: false,
    middlewares: [],
    service: name,
  };
}

function service(name: string): ServiceSpec {
  return {
    kind: 'loadBalancer',
    name,
    servers: [{ url: 'http://127.0.0.1:1', weight: 1, preservePath: false }],
    passHostHeader: true,
  };
}

function change(generation: number, names: readonly string[], removed: readonly string[] = []): TableChange {
  return {
    ...NOTHING,
    generation,
    routers: names.map(router),
    services: names.map(service),
    removedRouters: removed,
    removedServices: removed,
  };
}

function many(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `r${String(index)}`);
}

interface Controller {
  readonly server: ControlServer;
  readonly path: string;
  readonly silent: number[];
  /** What a worker that connects is given. */
  table: TableChange;
}

async function startServer(t: TestContext, silenceMs = 60_000, isOpen = true): Promise<Controller> {
  const path = join(temporaryFolder(t), 'c.sock');
  const silent: number[] = [];
  const server = new ControlServer({
    path,
    log: rememberingLogger().log,
    snapshot: () => ({ ...controller.table, full: true }),
    onSilent: (workerId) => silent.push(workerId),
    silenceMs,
  });
  const controller: Controller = { server, path, silent, table: NOTHING };
  await server.listen();
  if (isOpen) server.open();
  t.after(() => {
    server.stop();
  });
  return controller;
}

/** A worker whose table is a set of names. */
function startWorker(t: TestContext, path: string, workerId: number) {
  const routers = new Set<string>();
  let completions = 0;
  const apply = (given: TableChange): void => {
    if (given.full) routers.clear();
    for (const { name } of given.routers) routers.add(name);
    for (const name of given.removedRouters) routers.delete(name);
  };
  const client = new ControlClient({
    path,
    workerId,
    log: rememberingLogger().log,
    onPiece: apply,
    onChange: (given) => {
      apply(given);
      completions++;
    },
  });
  client.start();
  t.after(() => {
    client.stop();
  });
  return {
    client,
    routers,
    get completions() {
      return completions;
    },
  };
}

/** A worker that answers when the test says so. */
async function startManual(t: TestContext, path: string, workerId: number, hasTable = true) {
  const socket: Socket = net.connect(path);
  t.after(() => socket.destroy());
  const heard: TableMessage[] = [];
  const lines = new LineReader();
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    heard.push(...(lines.read(chunk) as TableMessage[]));
  });
  socket.on('error', () => undefined);
  await new Promise((resolve) => socket.once('connect', resolve));
  socket.write(toLine({ type: 'hello', workerId, hasTable }));
  let answered = 0;
  const answer = (): void => {
    const message = heard[answered++];
    if (message === undefined) throw new Error('there is nothing to answer');
    socket.write(
      toLine(
        message.type === 'piece'
          ? { type: 'took' }
          : { type: 'applied', generation: message.change.generation },
      ),
    );
  };
  return {
    socket,
    heard,
    answer,
    get unanswered() {
      return heard.length - answered;
    },
    get bytes() {
      return bytes;
    },
  };
}

async function isPending(promise: Promise<unknown>): Promise<boolean> {
  const late = Symbol('late');
  return (await Promise.race([promise, new Promise((resolve) => setImmediate(resolve, late))])) === late;
}

type Manual = Awaited<ReturnType<typeof startManual>>;

/** The worker has its first table, and the controller knows. */
async function inStep({ server }: Controller, worker: Manual): Promise<void> {
  await until(() => worker.unanswered === 2, 'the snapshot');
  worker.answer();
  worker.answer();
  server.setAccepting([1]);
  await within(server.publish(NOTHING), 'the beginning');
  await until(() => worker.unanswered === 1, 'the empty change');
  worker.answer();
}

describe('the private socket', () => {
  it('brings a worker up to date and keeps it there', async (t) => {
    const controller = await startServer(t);
    controller.table = change(1, many(1000));
    const worker = startWorker(t, controller.path, 1);
    controller.server.setAccepting([1]);
    await until(() => worker.completions === 1, 'the first table');
    await within(controller.server.publish(change(2, ['new'], ['r0'])), 'the change');
    assert.equal(worker.routers.size, 1000);
    assert.ok(worker.routers.has('new') && !worker.routers.has('r0'));
    assert.equal(worker.completions, 2);
  });

  it('lets workers connect before there is a table, and gives it to them when there is', async (t) => {
    const controller = await startServer(t, 60_000, false);
    const worker = startWorker(t, controller.path, 1);
    const other = startWorker(t, controller.path, 2);
    const gone = net.connect(controller.path);
    await until(() => worker.client.isConnected && other.client.isConnected, 'the connections');
    gone.destroy();
    // It is not live anywhere, and nobody has to be waited for.
    await within(controller.server.publish(change(1, ['a'])), 'the first table');
    assert.deepEqual([worker.completions, other.completions], [0, 0]);
    controller.table = change(1, ['a']);
    controller.server.open();
    await until(() => worker.completions === 1 && other.completions === 1, 'the tables');
    assert.ok(worker.routers.has('a') && other.routers.has('a'));
    controller.server.setAccepting([1, 2]);
    await within(controller.server.publish(change(2, ['b'])), 'a change');
    assert.ok(worker.routers.has('b') && other.routers.has('b'));
  });

  it('gives workers what there is of the first table, and the rest when it is complete', async (t) => {
    const controller = await startServer(t, 60_000, false);
    const first = change(1, many(1000));
    const worker = startWorker(t, controller.path, 1);
    const witness = await startManual(t, controller.path, 2, false);
    await until(() => worker.client.isConnected, 'the connection');
    await within(controller.server.publish(first), 'the first part');
    await until(() => worker.routers.size === 1000, 'its arrival');
    const late = startWorker(t, controller.path, 3);
    await until(() => late.routers.size === 1000, 'the same for a worker that comes later');
    await within(controller.server.publish(change(2, ['more'], ['r0'])), 'the second part');
    await until(() => worker.routers.has('more') && late.routers.has('more'), 'its arrival');
    assert.deepEqual([worker.completions, late.completions], [0, 0]);
    await until(
      () => witness.heard.at(-1)?.change.routers[0]?.name === 'more',
      'all of it, without an answer',
    );
    const before = witness.heard.length;
    // r1 is another one meanwhile, and two are gone.
    controller.table = {
      ...first,
      generation: 3,
      routers: [router('r1'), router('last'), ...first.routers.slice(3)],
      services: [...first.services.slice(1), service('last')],
    };
    controller.server.open();
    await until(() => worker.completions === 1 && late.completions === 1, 'the tables');
    const wanted = ['last', 'r1', ...many(1000).slice(3)].sort();
    assert.deepEqual([...worker.routers].sort(), wanted);
    assert.deepEqual([...late.routers].sort(), wanted);
    const { heard } = witness;
    await until(() => heard.at(-1)?.type === 'change', 'the end');
    const rest = heard.slice(before).map(({ change: part }) => part);
    assert.deepEqual(
      rest.flatMap(({ routers }) => routers.map(({ name }) => name)),
      ['r1', 'last'],
    );
    assert.deepEqual(
      rest.flatMap(({ removedRouters }) => removedRouters),
      ['r2', 'more'],
    );
  });

  it('takes what a snapshot does not name from a worker that had another table', async (t) => {
    const controller = await startServer(t);
    controller.table = change(1, ['old', 'kept']);
    const worker = startWorker(t, controller.path, 1);
    await until(() => worker.completions === 1, 'the first table');
    controller.server.stop();
    const second = new ControlServer({
      path: controller.path,
      log: rememberingLogger().log,
      snapshot: () => ({ ...change(1, ['kept', 'other']), full: true }),
      onSilent: () => undefined,
    });
    await second.listen();
    second.open();
    t.after(() => {
      second.stop();
    });
    await until(() => worker.completions === 2, 'the second table');
    assert.deepEqual([...worker.routers].sort(), ['kept', 'other']);
  });

  it('waits for a worker that accepts although it is not connected', async (t) => {
    const controller = await startServer(t);
    controller.server.setAccepting([1]);
    controller.table = change(1, ['a']);
    const published = controller.server.publish(controller.table);
    assert.ok(await isPending(published));
    const worker = startWorker(t, controller.path, 1);
    await within(published, 'the change');
    assert.ok(worker.routers.has('a'));
  });

  it('waits for a worker that drains: no request meets a route that was removed', async (t) => {
    const controller = await startServer(t);
    const worker = await startManual(t, controller.path, 1);
    await inStep(controller, worker);
    controller.server.setAccepting([]);
    const published = controller.server.publish(change(1, [], ['a']));
    await until(() => worker.unanswered === 1, 'the removal');
    assert.ok(await isPending(published));
    worker.answer();
    await within(published, 'the removal to be in force');
  });

  it('does not wait for a worker that has died', async (t) => {
    const controller = await startServer(t);
    const worker = await startManual(t, controller.path, 1);
    await inStep(controller, worker);
    const published = controller.server.publish(change(1, ['a']));
    await until(() => worker.unanswered === 1, 'the change');
    worker.socket.destroy();
    controller.server.setAccepting([]);
    await within(published, 'the change');
    assert.deepEqual(controller.silent, []);
  });

  it('gives up a worker that does not answer, and one that does not connect', async (t) => {
    const controller = await startServer(t, 300);
    const worker = await startManual(t, controller.path, 7);
    controller.server.setAccepting([7, 8]);
    await until(() => worker.unanswered === 2, 'the snapshot');
    await within(controller.server.publish(change(1, ['a'])), 'the change to stand');
    assert.deepEqual([...new Set(controller.silent)].sort(), [7, 8]);
    await until(() => worker.socket.closed, 'the end of its connection');
  });

  it('gives nobody up whom no change waits for, however slow the machine is', async (t) => {
    const controller = await startServer(t, 200);
    controller.server.setAccepting([1, 3]);
    controller.table = change(1, many(1000));
    // A new one that does not accept yet, and one that accepts with the table it had from a controller that has died.
    const starting = await startManual(t, controller.path, 2);
    const serving = await startManual(t, controller.path, 1);
    const kept = await startManual(t, controller.path, 3);
    for (const worker of [starting, serving, kept])
      await until(() => worker.unanswered > 0, 'the beginning of its table');
    const answers = setInterval(() => {
      if (kept.unanswered > 0) kept.answer();
    }, 5);
    t.after(() => {
      clearInterval(answers);
    });
    await until(() => kept.heard.at(-1)?.type === 'change' && kept.unanswered === 0, 'a whole table');
    // Long enough for the two others to have been given up, if it were for silence alone.
    const published = controller.server.publish(change(2, ['a']));
    await within(published, 'the change to stand');
    assert.deepEqual([...new Set(controller.silent)], [1]);
    assert.ok(!starting.socket.closed, 'a worker was given up that held nothing up');
  });

  it('does not give up a worker that takes long for much', async (t) => {
    const controller = await startServer(t, 1000);
    const worker = await startManual(t, controller.path, 1);
    await inStep(controller, worker);
    const published = controller.server.publish(change(1, many(6400)));
    const startedAt = performance.now();
    const timer = setInterval(() => {
      if (worker.unanswered > 0) worker.answer();
    }, 15);
    t.after(() => {
      clearInterval(timer);
    });
    await within(published, 'the change');
    assert.ok(performance.now() - startedAt > 1000, 'it was too quick to say anything');
    assert.deepEqual(controller.silent, []);
  });

  it('sends a worker no more than it works off, and all of it in order', async (t) => {
    const controller = await startServer(t);
    const worker = await startManual(t, controller.path, 1);
    await inStep(controller, worker);
    const names = many(5000);
    const published = controller.server.publish(change(1, names));
    void controller.server.publish(change(2, [], ['r0']));
    await until(() => worker.unanswered > 0, 'a beginning');
    assert.ok(await isPending(published));
    assert.ok(worker.bytes < 400 * 1024, `${String(worker.bytes)} bytes without an answer`);
    while (worker.heard.at(-1)?.change.generation !== 2 || worker.unanswered > 0) {
      await until(() => worker.unanswered > 0, 'more');
      worker.answer();
    }
    await within(published, 'the change');
    const heard = worker.heard.filter(({ change: { generation } }) => generation > 0);
    const routers = heard.flatMap(({ change: { routers: some } }) => some.map(({ name }) => name));
    assert.deepEqual(routers, names);
    const lastService = heard.findLastIndex(({ change: { services } }) => services.length > 0);
    const firstRouter = heard.findIndex(({ change: { routers: some } }) => some.length > 0);
    assert.ok(lastService < firstRouter, 'a router came before its service');
  });

  it('closes the connection of whoever sends nonsense', async (t) => {
    const { path } = await startServer(t);
    for (const text of ['{"type":"bye"}\n', 'x\n', '{"type":"applied","generation":"1"}\n']) {
      const socket = net.connect(path);
      socket.on('error', () => undefined);
      socket.write(text);
      await within(new Promise((resolve) => socket.once('close', resolve)), 'the end');
    }
  });
});

describe('messages', () => {
  it('have small changes in one piece', () => {
    const given = change(3, ['a'], ['b']);
    assert.deepEqual(
      messagesOf(given).map((message) => message()),
      [{ type: 'change', change: given }],
    );
  });

  it('name what goes at the end, and everything else before routers', () => {
    const given = { ...change(3, many(200), ['b']), serversTransports: [], removedServersTransports: ['t'] };
    const messages = messagesOf(given).map((message) => message());
    assert.deepEqual(messages[0]?.change.serversTransports, []);
    for (const { change: part } of messages.slice(0, -1))
      assert.deepEqual([part.removedRouters, part.removedServersTransports], [[], undefined]);
    const last = messages.at(-1);
    assert.equal(last?.type, 'change');
    assert.deepEqual(last.change.removedRouters, ['b']);
    assert.deepEqual(last.change.removedServersTransports, ['t']);
    assert.equal(last.change.generation, 3);
  });
});

describe('lines', () => {
  it('are the same wherever the stream is cut', () => {
    const documents = [{ a: 'zoë 秀樹' }, { b: [1, null] }, { c: '' }];
    const data = Buffer.from(documents.map(toLine).join(''));
    for (let cut = 0; cut <= data.length; cut++) {
      const reader = new LineReader();
      const read = [...reader.read(data.subarray(0, cut)), ...reader.read(data.subarray(cut))];
      assert.deepEqual(read, documents);
    }
  });
});
