// The metrics server of the configurable-http-proxy command over the lives of its processes.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Agent, request } from 'undici';
import { startChp, startServingChp } from '../support/chp.ts';
import { freePorts } from '../support/free-ports.ts';
import { temporaryFolder } from '../support/hub-store.ts';
import { readMetrics } from '../support/metrics.ts';
import { until } from '../support/until.ts';

function childOf(pid: number, title: string): number {
  const processes = execFileSync('ps', ['--ppid', String(pid), '-o', 'pid=,args='], { encoding: 'utf8' });
  return Number.parseInt(processes.split('\n').find((line) => line.includes(title)) ?? '0', 10);
}

describe('the metrics of the command', () => {
  it('keep what a dead worker has told, and begin anew with another controller', async (t) => {
    const socket = join(temporaryFolder(t), 'metrics.sock');
    const chp = await startServingChp(t, { args: ['--metrics-socket', socket] });
    await chp.says(/Serve metrics at http\+unix:\/\/\S+metrics\.sock\/metrics/);
    const dispatcher = new Agent({ connect: { socketPath: socket } });
    t.after(() => dispatcher.destroy());
    const web = async (): Promise<number> => {
      const { body } = await request('http://localhost/metrics', { dispatcher, reset: true });
      return readMetrics(await body.text()).samples.get('requests_web') ?? -1;
    };
    const ask = async (): Promise<void> => {
      const { body } = await request(`http://127.0.0.1:${String(chp.port)}/none`, { reset: true });
      await body.dump();
    };
    await ask();
    assert.equal(await web(), 1);
    const worker = childOf(chp.child.pid ?? 0, 'jtp worker');
    process.kill(worker, 'SIGKILL');
    // Waits for the next worker.
    await ask();
    assert.equal(await web(), 2);
    process.kill(childOf(chp.child.pid ?? 0, 'jtp controller'), 'SIGKILL');
    await chp.says(/Serve metrics[^]*Serve metrics/);
    await ask();
    await until(async () => (await web()) === 1, 'the worker to be heard');
    chp.child.kill('SIGTERM');
    assert.equal(await chp.exited, 0);
    assert.equal(existsSync(socket), false);
  });

  it('are one line when their address is taken', async (t) => {
    const [port = 0] = await freePorts(1);
    const args = ['--metrics-ip', '127.0.0.1', '--metrics-port', String(port)];
    const first = await startServingChp(t, { args });
    await first.says(/Serve metrics/);
    const second = await startChp(t, { args });
    assert.equal(await second.ended, 1);
    assert.match(second.output(), /the metrics server cannot listen on 127\.0\.0\.1:\d+: another program/);
  });
});
