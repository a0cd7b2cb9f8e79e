// Ports for programs that cannot be told "any port". They lie below the range from which the kernel gives ports to outgoing connections:
// one from that range may be taken again before the program opens it.

import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Server } from 'node:net';

const LOWEST = 11_000;
const HIGHEST = 32_000;
const given = new Set<number>();

/** Returns `count` TCP ports that were free on all interfaces a moment ago and that this process has not been given before. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));
    if (given.has(port) || !(await isFree(port))) continue;
    given.add(port);
    ports.push(port);
  }
  return ports;
}

async function isFree(port: number): Promise<boolean> {
  const server: Server = createServer();
  server.listen(port);
  try {
    await once(server, 'listening');
  } catch {
    return false; // in use: the next one
  }
  server.close();
  await once(server, 'close');
  return true;
}
