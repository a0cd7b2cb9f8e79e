// Reading the metrics: the controller asks its workers, and waits for none that is gone or busy.

import assert from 'node:assert/strict';
import net from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { ControlClient } from '../../src/channel/control-client.ts';
import { ControlServer } from '../../src/channel/control-server.ts';
import { toLine } from '../../src/channel/lines.ts';
import type { ProcessMetrics } from '../../src/observe/reports.ts';
import { RequestCounters } from '../../src/observe/request-counters.ts';
import type { TableChange } from '../../src/runtime/table-change.ts';
import { rememberingLogger, temporaryFolder } from '../support/hub-store.ts';
import { within } from '../support/sockets.ts';

const TABLE: TableChange = {
  generation: 1,
  full: true,
  routers: [],
  removedRouters: [],
  services: [],
  removedServices: [],
};

function gauge(value: number): ProcessMetrics {
  return [{ name: 'g', help: 'h', type: 'gauge', aggregator: 'sum', values: [{ value, labels: {} }] }];
}

async function startServer(t: TestContext) {
  const path = join(temporaryFolder(t), 'c.sock');
  let web = 0;
  const { log, lines } = rememberingLogger();
  const server = new ControlServer({
    path,
    log,
    snapshot: () => TABLE,
    onSilent: () => undefined,
    silenceMs: 60_000,
    onCounts: ({ counts }) => {
      web += counts?.web ?? 0;
    },
  });
  await server.listen();
  server.open();
  t.after(() => {
    server.stop();
  });
  return { server, path, log: lines, web: () => web };
}

function startWorker(t: TestContext, path: string, workerId: number) {
  const counters = new RequestCounters();
  let asked = 0;
  let onTable: () => void = () => undefined;
  const hasTable = new Promise<void>((resolve) => (onTable = resolve));
  const client = new ControlClient({
    path,
    workerId,
    log: rememberingLogger().log,
    onPiece: () => undefined,
    onChange: () => {
      onTable();
    },
    onCount: () => {
      asked++;
      client.tellCounts({ counts: counters.take(), process: gauge(workerId) });
    },
  });
  client.start();
  t.after(() => {
    client.stop();
  });
  return { client, counters, hasTable, asked: () => asked };
}

/** A worker that has its table, and answers nothing any more. */
async function startBusy(t: TestContext, path: string): Promise<net.Socket> {
  const socket = net.connect(path);
  t.after(() => socket.destroy());
  socket.write(toLine({ type: 'hello', workerId: 9, hasTable: true }));
  await within(new Promise((resolve) => socket.once('data', resolve)), 'the table');
  socket.write(toLine({ type: 'took' }) + toLine({ type: 'applied', generation: 1 }));
  return socket;
}

const valuesOf = (processes: readonly ProcessMetrics[]): unknown[] =>
  processes.map(([metric]) => metric?.values[0]?.value).sort();

describe('counts over the private socket', () => {
  it('come from every worker before the answer, once for all who ask together', async (t) => {
    const { server, path, web } = await startServer(t);
    const workers = [1, 2].map((id) => startWorker(t, path, id));
    for (const { hasTable } of workers) await within(hasTable, 'the table');
    server.setAccepting([1, 2]);
    await within(server.publish({ ...TABLE, full: false, generation: 2 }), 'both in step');
    for (const { counters } of workers) counters.web = 3;
    const [one, other] = await within(Promise.all([server.count(), server.count()]), 'the counts');
    assert.deepEqual(valuesOf(one ?? []), [1, 2]);
    assert.deepEqual(one, other);
    assert.equal(web(), 6);
    assert.deepEqual(
      workers.map(({ asked }) => asked()),
      [1, 1],
    );
    // Told without being asked.
    workers[0]?.client.tellCounts({ counts: { ...NO_COUNTS, web: 5 } });
    await within(server.count(), 'the counts');
    assert.equal(web(), 11);
  });

  it('do not wait for a worker that is gone, nor for long for one that is busy', async (t) => {
    const { server, path } = await startServer(t);
    assert.deepEqual(await within(server.count(), 'nobody'), []);
    const worker = startWorker(t, path, 1);
    await within(worker.hasTable, 'the table');
    const busy = await startBusy(t, path);
    server.setAccepting([1, 9]);
    await within(server.publish({ ...TABLE, full: false }), 'both tables');
    const late = await within(server.count(), 'what there is');
    assert.deepEqual(valuesOf(late), [1]);
    const counting = server.count();
    busy.destroy();
    assert.deepEqual(valuesOf(await within(counting, 'the rest')), [1]);
  });

  it('are refused when they are nonsense', async (t) => {
    const { path, log, web } = await startServer(t);
    for (const counts of [{ ...NO_COUNTS, web: -1 }, { ...NO_COUNTS, answers: [[1e9, 1]] }, { web: 1 }]) {
      const socket = net.connect(path);
      socket.on('error', () => undefined);
      socket.write(toLine({ type: 'counts', counts }));
      await within(new Promise((resolve) => socket.once('close', resolve)), 'the end');
    }
    assert.equal(web(), 0);
    assert.equal(log.length, 3);
  });
});

const NO_COUNTS = {
  web: 0,
  ws: 0,
  answers: [],
  lookUps: { classes: [], seconds: 0 },
  updates: { classes: [], seconds: 0 },
};
