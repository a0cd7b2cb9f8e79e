// `node paced-client.js PORT RATE SECONDS`: small GETs at a constant rate on 64 connections, percentiles of their times as JSON. A request
// that is due while every connection is busy waits, and its waiting counts.

import net from 'node:net';
import { BROWSER_HEADERS } from './load.ts';
import { percentile } from './table.ts';

const CONNECTIONS = 64;
const [port = 0, rate = 0, seconds = 0] = process.argv.slice(2).map(Number);
const REQUEST = `GET /user/zoe/api/status HTTP/1.1\r\nHost: 127.0.0.1:${String(port)}\r\n${BROWSER_HEADERS.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;

const idle: Connection[] = [];
const waiting: number[] = [];
const times: number[] = [];
let waitingFrom = 0;

class Connection {
  readonly #socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
  #dueAt = 0;

  constructor() {
    this.#socket.on('connect', () => {
      this.#next();
    });
    this.#socket.on('error', (error) => {
      fail(error.message);
    });
    this.#socket.on('end', () => {
      fail('a connection was closed');
    });
    this.#socket.on('data', (chunk: Buffer) => {
      // Small answers arrive in one piece, or in two: the head then says nothing about time.
      if (!chunk.subarray(0, 12).equals(OK) && !chunk.subarray(-4).equals(FILLER))
        fail(chunk.toString('latin1'));
      if (!chunk.subarray(-4).equals(FILLER)) return;
      times.push(performance.now() - this.#dueAt);
      this.#next();
    });
  }

  #next(): void {
    const dueAt = waiting[waitingFrom];
    if (dueAt === undefined) {
      idle.push(this);
      return;
    }
    waitingFrom++;
    this.send(dueAt);
  }

  send(dueAt: number): void {
    this.#dueAt = dueAt;
    this.#socket.write(REQUEST, 'latin1');
  }

  close(): void {
    this.#socket.destroy();
  }
}

const OK = Buffer.from('HTTP/1.1 200');
const FILLER = Buffer.from('xxxx');

function fail(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

const connections = Array.from({ length: CONNECTIONS }, () => new Connection());
const startedAt = performance.now();
let sent = 0;

const timer = setInterval(() => {
  const now = performance.now();
  const elapsed = now - startedAt;
  if (elapsed > seconds * 1000) {
    clearInterval(timer);
    report();
    return;
  }
  for (const total = Math.floor((elapsed / 1000) * rate); sent < total; sent++) {
    // Due at this tick, of which there are a thousand per second: that the client's own timer is late is not the proxy's fault.
    const connection = idle.pop();
    if (connection === undefined) waiting.push(now);
    else connection.send(now);
  }
}, 1);

function report(): void {
  times.sort((a, b) => a - b);
  process.stdout.write(
    JSON.stringify({
      requests: times.length,
      perSecond: times.length / seconds,
      p50Ms: percentile(times, 0.5),
      p99Ms: percentile(times, 0.99),
    }),
  );
  for (const connection of connections) connection.close();
}
