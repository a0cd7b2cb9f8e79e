// Entry points on Unix sockets: what lies in their way.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { bindEntryPoint } from '../../src/entrypoint/listening-socket.ts';
import { entryPoint } from '../support/data-plane.ts';

function socketPath(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'jtp-sock-'));
  t.after(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return join(folder, 'proxy.sock');
}

function bind(path: string): ReturnType<typeof bindEntryPoint> {
  return bindEntryPoint({ ...entryPoint('web'), addressText: path, address: { host: '', port: 0, path } });
}

describe('an entry point on a Unix socket', () => {
  it('takes the place of a socket that a killed program has left', async (t) => {
    const path = socketPath(t);
    const left = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
    spawnSync(process.execPath, ['-e', left]);
    assert.ok(statSync(path).isSocket());
    (await bind(path)).close();
  });

  it('leaves a socket alone that somebody listens on', async (t) => {
    const path = socketPath(t);
    const server = net.createServer().listen(path);
    t.after(() => server.close());
    await new Promise((resolve) => server.once('listening', resolve));
    await assert.rejects(bind(path), /the socket is in use by another program/);
    assert.ok(statSync(path).isSocket());
  });

  it('leaves a file alone that is no socket', async (t) => {
    const path = socketPath(t);
    writeFileSync(path, 'precious');
    await assert.rejects(
      bind(path),
      /cannot listen on .*proxy\.sock: there is a file of this name, which is no socket/,
    );
    assert.equal(readFileSync(path, 'utf8'), 'precious');
  });
});
