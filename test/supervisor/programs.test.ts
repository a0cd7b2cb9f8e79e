import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { EarlyController, forkController } from '../../src/supervisor/programs.ts';

test('what an early controller says before it is taken is handed over with it', async () => {
  const controller = forkController('traefik');
  const early = new EarlyController(controller);
  await once(controller, 'message');
  assert.deepEqual(early.take(), { process: controller, said: [{ type: 'hello' }] });
  assert.equal(controller.listenerCount('message'), 0);

  // It is somebody else's now.
  assert.equal(early.take(), undefined);
  early.end();
  assert.equal(controller.killed, false);
  const exited = once(controller, 'exit');
  controller.disconnect();
  assert.deepEqual(await exited, [0, null]);
});

test('an early controller that nobody takes is ended', async () => {
  const controller = forkController('hub');
  const early = new EarlyController(controller);
  const exited = once(controller, 'exit');
  early.end();
  assert.deepEqual(await exited, [null, 'SIGKILL']);
  assert.equal(early.take(), undefined);
});

test('an early controller that has ended is not handed over', async () => {
  const controller = forkController('hub');
  const early = new EarlyController(controller);
  controller.kill('SIGKILL');
  await once(controller, 'exit');
  assert.equal(early.take(), undefined);
});
