// What systemd hears, on a real socket.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { pino } from 'pino';
import { ServiceManager } from '../../src/supervisor/service-manager.ts';
import { eventually, rulesFile, startEngine, staticFile } from '../support/engine.ts';
import { freePorts } from '../support/free-ports.ts';
import { rememberingLogger, temporaryFolder } from '../support/hub-store.ts';
import { openNotifySocket } from '../support/notify-socket.ts';

describe('a service of Type=notify', () => {
  it('is ready when it serves, says when it reloads and stops, and pings the watchdog while it is well', async (t) => {
    const socket = await openNotifySocket(t);
    const [web = 0] = await freePorts(1);
    const engine = await startEngine(t, {
      static: staticFile({ web }),
      rules: rulesFile('http://127.0.0.1:9'),
      env: { NOTIFY_SOCKET: socket.path, WATCHDOG_USEC: '8000000' },
    });
    const { messages } = socket;
    const has = (text: string): boolean => messages.some((message) => message.split('\n').includes(text));
    await eventually('readiness', () => has('READY=1'));
    assert.match(messages[0] ?? '', new RegExp(`^READY=1\nMAINPID=${String(engine.pid)}\nSTATUS=.+$`));
    await eventually('a ping', () => has('WATCHDOG=1'));

    engine.signal('SIGHUP');
    await eventually('the reload', () => has('RELOADING=1'));
    assert.match(messages.find((message) => message.includes('RELOADING=1')) ?? '', /\nMONOTONIC_USEC=\d+\n/);
    await eventually(
      'its end',
      () => messages.filter((message) => message.startsWith('READY=1')).length === 2,
    );

    const [worker = 0] = engine.children('jtp worker');
    process.kill(worker, 'SIGSTOP');
    await engine.says('the worker does not answer and is replaced');
    await eventually('another worker', () => {
      const workers = engine.children('jtp worker');
      return workers.length === 1 && workers[0] !== worker;
    });
    const pings = messages.filter((message) => message === 'WATCHDOG=1').length;
    await eventually(
      'another ping',
      () => messages.filter((message) => message === 'WATCHDOG=1').length > pings,
    );

    engine.signal('SIGTERM');
    assert.equal(await engine.ended(), 0);
    assert.ok(has('STOPPING=1'));
  });

  it('says nothing without a service manager, and nothing of a watchdog that is another process its', async (t) => {
    const socket = await openNotifySocket(t);
    const { log } = rememberingLogger();
    assert.equal(new ServiceManager(log, {}).watchdogMs, undefined);
    assert.equal(new ServiceManager(log, { WATCHDOG_USEC: '2000000' }).watchdogMs, undefined);
    const env = { NOTIFY_SOCKET: socket.path, WATCHDOG_USEC: '2000000' };
    assert.equal(new ServiceManager(log, { ...env, WATCHDOG_PID: '1' }).watchdogMs, undefined);
    assert.equal(new ServiceManager(log, { ...env, WATCHDOG_PID: String(process.pid) }).watchdogMs, 1000);
  });

  for (const { name, programs, want } of [
    { name: 'with Python where systemd-notify is not there', programs: ['python3'], want: 'READY=1' },
    { name: 'not at all, but says so, where neither is there', programs: [], want: undefined },
  ] as const)
    it(`tells it ${name}`, async (t) => {
      const socket = await openNotifySocket(t);
      const folder = join(temporaryFolder(t), 'bin');
      mkdirSync(folder);
      for (const program of programs) symlinkSync(pathOf(program), join(folder, program));
      const { log, lines } = rememberingLogger();
      const manager = new ServiceManager(log, { PATH: folder, NOTIFY_SOCKET: socket.path });
      await manager.ready('x');
      if (want === undefined) assert.match(String(lines[0]?.['msg']), /neither systemd-notify nor python3/);
      else {
        await eventually('the message', () => socket.messages.length > 0);
        assert.ok(socket.messages[0]?.startsWith(want));
      }
    });

  it('logs a sender that fails', async (t) => {
    const folder = temporaryFolder(t);
    writeFileSync(join(folder, 'systemd-notify'), '#!/bin/sh\necho no >&2\nexit 3\n');
    chmodSync(join(folder, 'systemd-notify'), 0o755);
    const { log, lines } = rememberingLogger();
    await new ServiceManager(log, { PATH: folder, NOTIFY_SOCKET: '/nonexistent' }).ready('x');
    assert.equal(lines[0]?.['reason'], 'exit code 3: no');
    await new ServiceManager(pino({ level: 'silent' }), {}).stopping();
  });
});

function pathOf(program: string): string {
  // The real one: a version manager's shim needs more than a link.
  return execFileSync(program, ['-c', 'import sys; print(sys.executable)'], { encoding: 'utf8' }).trim();
}
