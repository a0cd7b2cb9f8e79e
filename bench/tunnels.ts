// Question 6: what does an open WebSocket cost while nobody says anything?

import net from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Bench, Question } from './common/bench.ts';
import { freePort, memoryBytes, startProgram, waitForPort } from './common/processes.ts';
import { figure, markdownTable } from './common/table.ts';

const TUNNELS = 3000;
/** Opened and closed before anything is measured, so that what is allocated once does not count. */
const WARM_UP = 300;
const BATCH = 50;
/** Collectors of garbage take their time. */
const SETTLE_MS = 5000;

async function openTunnel(port: number): Promise<net.Socket> {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
  await new Promise<void>((resolve, reject) => {
    let head = '';
    const onData = (chunk: Buffer): void => {
      head += chunk.toString('latin1');
      if (!head.includes('\r\n\r\n')) return;
      socket.off('data', onData);
      if (head.startsWith('HTTP/1.1 101 ')) resolve();
      else reject(new Error(`no tunnel: ${head.slice(0, 60)}`));
    };
    socket.on('data', onData);
    socket.on('error', reject);
    socket.on('close', () => {
      reject(new Error('the proxy closed a tunnel'));
    });
    socket.write(
      'GET /user/zoe/api/kernels/1/channels HTTP/1.1\r\nHost: hub.example.org\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
        'Origin: https://hub.example.org\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0\r\n' +
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    );
  });
  return socket;
}

/** Open WebSockets, some at a time. */
export async function openTunnels(port: number, count: number): Promise<net.Socket[]> {
  const sockets: net.Socket[] = [];
  while (sockets.length < count)
    sockets.push(
      ...(await Promise.all(
        Array.from({ length: Math.min(BATCH, count - sockets.length) }, () => openTunnel(port)),
      )),
    );
  return sockets;
}

/** The server behind them, which sends everything back; returns its port. */
export async function startTunnelBackend(bench: Bench): Promise<number> {
  const port = await freePort();
  const program = fileURLToPath(new URL('common/tunnel-backend.js', import.meta.url));
  const backend = await startProgram({
    name: 'tunnel-backend',
    command: process.execPath,
    args: [program, String(port)],
    logFile: path.join(bench.folder, 'tunnel-backend.log'),
  });
  bench.keep(backend);
  await waitForPort(port, 10_000);
  return port;
}

async function run(bench: Bench): Promise<void> {
  const backendPort = await startTunnelBackend(bench);
  const rows: string[][] = [];
  for (const peer of bench.options.peers) {
    const { port, process: proxy } = await bench.start(peer, { backendPort, routes: 0 });
    for (const socket of await openTunnels(port, WARM_UP)) socket.destroy();
    await sleep(SETTLE_MS);
    const before = memoryBytes(proxy.pid);
    const sockets = await openTunnels(port, TUNNELS);
    await sleep(SETTLE_MS);
    const after = memoryBytes(proxy.pid);
    const kibibytes = (after - before) / 1024 / TUNNELS;
    bench.say(`  ${peer.name}: ${figure(kibibytes)} KiB per tunnel`);
    rows.push([peer.name, figure(kibibytes), figure(before / 2 ** 20), figure(after / 2 ** 20)]);
    for (const socket of sockets) socket.destroy();
    await proxy.stop();
  }
  process.stdout.write(
    `\n### ${String(TUNNELS)} idle WebSockets\n\n${markdownTable(['proxy', 'KiB per tunnel', 'before (MiB)', 'after (MiB)'], rows)}\n`,
  );
}

export const tunnels: Question = {
  name: 'tunnels',
  summary: `${String(TUNNELS)} idle plaintext WebSockets: memory per tunnel over the idle process`,
  run,
};
