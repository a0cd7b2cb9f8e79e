// The proxies under comparison, each in front of a recording server of its own, and what one of them made of a stream of bytes.

import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { startProxyTo } from '../support/data-plane.ts';
import { freePorts } from '../support/free-ports.ts';
import { startRecorder } from '../support/recorder.ts';
import type { Recorded, Recorder } from '../support/recorder.ts';
import { skipWithoutTraefik, traefikPath } from '../support/traefik-binary.ts';

/** The request that closes every stream: whoever understood the stream answers it and closes. */
export const LAST_TARGET = '/last';
export const LAST_REQUEST = `GET ${LAST_TARGET} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`;

/** A request with an end is given up after this time without a byte. */
const LONG_PATIENCE_MS = 20_000;

/** What one proxy made of a stream. */
export interface Outcome {
  /** What its server saw, without the requests of others. */
  readonly requests: readonly Recorded[];
  /** What the client got. */
  readonly answer: string;
  /** The client's connection was closed. */
  readonly isClosed: boolean;
  /** The raw bytes of each connection to the server. */
  readonly raw: readonly string[];
  readonly problems: readonly string[];
}

/** A proxy in front of a recording server. */
export class FuzzPeer {
  readonly name: string;
  readonly recorder: Recorder;
  readonly #port: number;

  constructor(name: string, recorder: Recorder, port: number) {
    this.name = name;
    this.recorder = recorder;
    this.#port = port;
  }

  /** Sends a stream with the last request behind it. */
  async try(stream: string, patienceMs: number): Promise<Outcome> {
    const { connections } = this.recorder;
    // Idle connections to the server go on; what they have carried so far is of no interest.
    this.recorder.arrived.length = 0;
    for (const connection of connections) {
      connection.raw = '';
      connection.requests.length = 0;
    }
    const { answer, isClosed } = await this.send(stream + LAST_REQUEST, patienceMs);
    return {
      requests: [...this.recorder.arrived],
      raw: connections.map(({ raw }) => raw).filter((raw) => raw !== ''),
      problems: this.recorder.problems,
      answer,
      isClosed,
    };
  }

  /** Sends bytes and reads until the other side closes, or nothing more comes. */
  send(
    bytes: string,
    patienceMs = LONG_PATIENCE_MS,
  ): Promise<{ readonly answer: string; readonly isClosed: boolean }> {
    return new Promise((resolve) => {
      const socket = net.connect(this.#port, '127.0.0.1');
      let answer = '';
      const timer = setTimeout(() => {
        socket.destroy();
        resolve({ answer, isClosed: false });
      }, patienceMs);
      socket.on('connect', () => socket.write(bytes, 'latin1'));
      socket.on('data', (chunk) => {
        answer += chunk.toString('latin1');
        timer.refresh();
      });
      socket.on('error', () => undefined);
      socket.on('close', () => {
        clearTimeout(timer);
        resolve({ answer, isClosed: true });
      });
    });
  }
}

async function untilListening(
  port: number,
  child: ChildProcess,
  isReady: (answer: string) => boolean,
): Promise<void> {
  const end = Date.now() + 20_000;
  for (;;) {
    const answer = await new Promise<string>((resolve) => {
      const socket = net.connect(port, '127.0.0.1');
      let text = '';
      socket.on('connect', () => socket.write('GET /ready HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n'));
      socket.on('data', (chunk) => (text += chunk.toString('latin1')));
      socket.on('error', () => undefined);
      socket.on('close', () => {
        resolve(text);
      });
    });
    if (isReady(answer)) return;
    if (child.exitCode !== null || Date.now() > end)
      throw new Error('the program for comparison does not start');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Runs a program in a folder of its own until the test ends. */
function run(t: TestContext, command: string, args: readonly string[], folder: string): ChildProcess {
  const child = spawn(command, args, {
    cwd: folder,
    stdio: 'ignore',
    env: { PATH: process.env['PATH'], HOME: folder },
  });
  t.after(() => {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });
  return child;
}

/** Our own engine, in this process. */
export async function startEngine(t: TestContext): Promise<FuzzPeer> {
  const recorder = await startRecorder(t);
  const { port } = await startProxyTo(t, recorder.url);
  return new FuzzPeer('engine', recorder, port);
}

/** The real Traefik, or why there is none. */
export async function startTraefik(t: TestContext): Promise<FuzzPeer | string> {
  const skip = skipWithoutTraefik();
  if (skip !== false) return skip;
  const recorder = await startRecorder(t);
  const [port = 0] = await freePorts(1);
  const folder = mkdtempSync(join(tmpdir(), 'fuzz-'));
  writeFileSync(
    join(folder, 'traefik.toml'),
    `[entryPoints.web]\naddress = "127.0.0.1:${String(port)}"\n[providers.file]\nfilename = "rules.toml"\n`,
  );
  writeFileSync(
    join(folder, 'rules.toml'),
    `[http.routers.all]\nrule = "PathPrefix(\`/\`)"\nservice = "app"\n[[http.services.app.loadBalancer.servers]]\nurl = "${recorder.url}"\n`,
  );
  const child = run(t, traefikPath(), ['--configfile', 'traefik.toml'], folder);
  await untilListening(port, child, (answer) => answer.includes(' 200 '));
  return new FuzzPeer('Traefik', recorder, port);
}

/** HAProxy, or why there is none. */
export async function startHaproxy(t: TestContext): Promise<FuzzPeer | string> {
  if (spawnSync('haproxy', ['-v'], { stdio: 'ignore' }).status !== 0) {
    const reason = 'HAProxy is not installed: apt install haproxy';
    if (process.env['JTP_CI'] === '1') throw new Error(reason);
    return reason;
  }
  const recorder = await startRecorder(t);
  const [port = 0] = await freePorts(1);
  const folder = mkdtempSync(join(tmpdir(), 'fuzz-'));
  const server = recorder.url.replace('http://', '');
  writeFileSync(
    join(folder, 'haproxy.cfg'),
    `defaults\n  mode http\n  timeout client 5s\n  timeout server 5s\n  timeout connect 5s\nlisten web\n  bind 127.0.0.1:${String(port)}\n  server app ${server}\n`,
  );
  const child = run(t, 'haproxy', ['-db', '-f', 'haproxy.cfg'], folder);
  await untilListening(port, child, (answer) => answer.includes(' 200 '));
  return new FuzzPeer('HAProxy', recorder, port);
}
