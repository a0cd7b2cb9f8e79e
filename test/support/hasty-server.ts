// A thread with a server that closes connections at random: right after an answer, or some time later, with FIN or RST, never having
// announced it. What it executes is counted per request number in shared memory.

import net from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';

/** What the thread is started with. */
export interface HastyServerData {
  /** How often each request number has been executed. */
  readonly executed: SharedArrayBuffer;
  /** Share of the answers after which the connection is closed at once. */
  readonly closesAtOnce: number;
  /** Share of the answers after which it is closed a random time later, unless the next request comes first. */
  readonly closesLater: number;
  /** The longest such time, in milliseconds. */
  readonly laterMs: number;
}

const { executed, closesAtOnce, closesLater, laterMs } = workerData as HastyServerData;
const counts = new Uint8Array(executed);

function serve(socket: net.Socket): void {
  let received = '';
  let timer: NodeJS.Timeout | undefined;
  const close = (): void => {
    if (Math.random() < 0.5) socket.end();
    else socket.resetAndDestroy();
  };
  socket.setNoDelay(true);
  socket.on('error', () => undefined);
  socket.on('end', () => {
    socket.end();
  });
  socket.on('close', () => {
    clearTimeout(timer);
  });
  socket.on('data', (chunk: Buffer) => {
    if (socket.writableEnded) return;
    clearTimeout(timer);
    received += chunk.toString('latin1');
    const headEnd = received.indexOf('\r\n\r\n');
    if (headEnd < 0) return;
    const length = Number(/\r\nContent-Length: ([0-9]+)/i.exec(received.slice(0, headEnd + 2))?.[1] ?? 0);
    if (received.length < headEnd + 4 + length) return;
    const id = Number(/^[A-Z]+ \/([0-9]+) /.exec(received)?.[1]);
    received = received.slice(headEnd + 4 + length);
    const before = counts[id] ?? 0;
    counts[id] = Math.min(255, before + 1);
    const body = String(id);
    socket.write(`HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: ${String(body.length)}\r\n\r\n${body}`);
    const luck = Math.random();
    if (luck < closesAtOnce) socket.end();
    else if (luck < closesAtOnce + closesLater) timer = setTimeout(close, Math.random() * laterMs);
  });
}

const server = net.createServer({ allowHalfOpen: true }, serve);
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  parentPort?.postMessage(address !== null && typeof address === 'object' ? address.port : 0);
});
