// What configurable-http-proxy and our command of that name say on standard output and standard error.

import assert from 'node:assert/strict';
import http from 'node:http';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { request } from 'undici';
import { startChp } from '../support/chp.ts';
import { temporaryFolder } from '../support/hub-store.ts';
import { REAL_CHP, startEcho, startPeer } from './chp-peer.ts';

type Kind = 'real' | 'ours';

/** Asks for a WebSocket; the server answers that it has none. */
function askForWebSocket(port: number, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const asking = http.get({
      host: '127.0.0.1',
      port,
      path,
      headers: { connection: 'Upgrade', upgrade: 'websocket' },
    });
    asking.on('error', reject);
    asking.on('response', (answer) => {
      answer.resume().on('end', resolve);
    });
  });
}

/** The lines about requests, the same in both programs' words. */
async function debugLines(t: TestContext, kind: Kind, target: string): Promise<string[]> {
  const chp = await startPeer(t, kind, ['--log-level', 'debug', '--default-target', target]);
  for (const path of ['/one', '/two?token=secret', '/%E7%A7%80/x'])
    await (await request(`http://127.0.0.1:${String(chp.port)}${path}`)).body.dump();
  await askForWebSocket(chp.port, '/socket?token=secret');
  await chp.says(/PROXY WS/);
  const text = chp.output().replace(/\u001b\[[0-9;]*m/g, '');
  assert.doesNotMatch(text, /secret/);
  return [...text.matchAll(/^\S+ \[ConfigProxy\] (debug: PROXY .*)$/gm)].map(([, line = '']) =>
    line.trimEnd(),
  );
}

/** How it ends, and what its last words begin with. */
async function refusal(t: TestContext, kind: Kind, args: readonly string[]) {
  const chp = await startChp(t, { args, ...(kind === 'real' ? { program: REAL_CHP } : {}) });
  const code = await chp.ended;
  return { code, text: chp.output() };
}

describe('what the command says beside configurable-http-proxy', () => {
  it('names each request at the level debug, in the same words', async (t) => {
    const target = await startEcho(t);
    const real = await debugLines(t, 'real', target);
    assert.equal(real.length, 4);
    assert.deepEqual(await debugLines(t, 'ours', target), real);
  });

  it('names no request at the level info', async (t) => {
    const target = await startEcho(t);
    const chp = await startPeer(t, 'ours', ['--default-target', target]);
    await (await request(`http://127.0.0.1:${String(chp.port)}/one`)).body.dump();
    assert.doesNotMatch(chp.output(), /PROXY WEB/);
  });

  it('ends when the pid file cannot be written, here with one line under its own name', async (t) => {
    const pidFile = join(temporaryFolder(t), 'none', 'proxy.pid');
    const real = await refusal(t, 'real', ['--pid-file', pidFile]);
    const ours = await refusal(t, 'ours', ['--pid-file', pidFile]);
    assert.equal(ours.code, real.code);
    assert.match(real.text, /ENOENT/);
    assert.match(
      ours.text,
      /^configurable-http-proxy: --pid-file: \S+proxy\.pid cannot be written: ENOENT[^\n]*\n$/,
    );
  });

  it('ends when the pid file is a folder', async (t) => {
    const folder = temporaryFolder(t);
    const real = await refusal(t, 'real', ['--pid-file', folder]);
    const ours = await refusal(t, 'ours', ['--pid-file', folder]);
    assert.equal(ours.code, real.code);
    assert.match(ours.text, /^configurable-http-proxy: --pid-file: .*EISDIR[^\n]*\n$/);
  });

  it('ends when a file of TLS is missing, under its own name', async (t) => {
    const args = ['--ssl-key', '/nonexistent/key.pem', '--ssl-cert', '/nonexistent/cert.pem'];
    const real = await refusal(t, 'real', args);
    const ours = await refusal(t, 'ours', args);
    assert.equal(ours.code, real.code);
    assert.match(ours.text, /^configurable-http-proxy: --ssl-key: ENOENT[^\n]*\n$/m);
    assert.doesNotMatch(ours.text, /jupyterhub-traefik-proxy:/);
  });

  it('ends at a level that does not exist, which leaves the other one without a word', async (t) => {
    const { code, text } = await refusal(t, 'ours', ['--log-level', 'loud']);
    assert.equal(code, 1);
    assert.match(text, /'loud' is invalid\. Expected debug, info, warn, error\./);
    assert.deepEqual(await refusal(t, 'ours', ['--bogus']), await refusal(t, 'real', ['--bogus']));
  });
});
