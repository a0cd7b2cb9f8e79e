// Question: is a change in force in every worker when it is answered? After each answer the very next request goes through every worker; one
// that does not meet the change is a miss. There must be none.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { ApiConnection } from './common/api-client.ts';
import type { Call } from './common/api-client.ts';
import type { Bench, Question } from './common/bench.ts';
import { addCall, deleteCall, startHub } from './common/hub.ts';
import type { RoutesPeer } from './common/hub.ts';
import { processTree } from './common/processes.ts';
import { allWorkersServe } from './common/watching.ts';

const CHANGES = Number(process.env['BENCH_CHANGES'] ?? 100_000);
const WORKERS = 2;
/** Routes that are changed in turn. */
const NAMES = 500;

/** A server that answers with its own name. */
async function startNamed(name: string): Promise<{ readonly port: number; readonly close: () => void }> {
  const server = http.createServer((_request, response) => {
    response.setHeader('content-type', 'text/plain');
    response.end(name);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const close = (): void => {
    server.closeAllConnections();
    server.close();
  };
  return { port: address !== null && typeof address === 'object' ? address.port : 0, close };
}

/** A kept connection to the public port; what comes back is the body, or the status when it is not 200. */
class Visitor {
  readonly socket: net.Socket;
  #text = '';
  #resolve: ((answer: string) => void) | undefined;

  constructor(port: number) {
    this.socket = net.connect(port, '127.0.0.1');
    this.socket.setNoDelay(true);
    this.socket.on('data', (chunk: Buffer) => {
      this.#text += chunk.toString('latin1');
      const end = this.#text.indexOf('\r\n\r\n');
      const length = Number(/\r\ncontent-length: *([0-9]+)/i.exec(this.#text)?.[1] ?? NaN);
      if (end < 0 || this.#text.length < end + 4 + length) return;
      const status = this.#text.slice(9, 12);
      const body = this.#text.slice(end + 4);
      this.#text = '';
      this.#resolve?.(status === '200' ? body : status);
    });
    this.socket.on('error', () => this.#resolve?.('connection lost'));
  }

  get(target: string): Promise<string> {
    return new Promise((resolve) => {
      this.#resolve = resolve;
      this.socket.write(`GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`);
    });
  }
}

/** Which of these processes has the other end of a connection, according to the kernel. */
function ownerOf(socket: net.Socket, pids: readonly number[]): number | undefined {
  const hex = (port: number | undefined): string => (port ?? 0).toString(16).toUpperCase().padStart(4, '0');
  const [local, remote] = [hex(socket.remotePort), hex(socket.localPort)];
  for (const line of readFileSync('/proc/net/tcp', 'latin1').split('\n')) {
    const [, from = '', to = '', , , , , , , inode = ''] = line.trim().split(/\s+/);
    if (!from.endsWith(`:${local}`) || !to.endsWith(`:${remote}`)) continue;
    return pids.find((pid) => hasSocket(pid, inode));
  }
  return undefined;
}

function hasSocket(pid: number, inode: string): boolean {
  const folder = `/proc/${String(pid)}/fd`;
  return readdirSync(folder).some((name) => {
    try {
      return readlinkSync(`${folder}/${name}`) === `socket:[${inode}]`;
    } catch {
      // Closed in the meantime.
      return false;
    }
  });
}

/** One connection to each worker. */
async function visitorsOf(hub: RoutesPeer): Promise<readonly Visitor[]> {
  const pids = processTree(hub.process.pid);
  const found = new Map<number, Visitor>();
  for (let attempt = 0; attempt < 2000 && found.size < WORKERS; attempt++) {
    const visitor = new Visitor(hub.publicPort);
    await visitor.get('/nobody');
    const owner = ownerOf(visitor.socket, pids);
    if (owner === undefined || found.has(owner)) visitor.socket.destroy();
    else found.set(owner, visitor);
  }
  if (found.size < WORKERS) throw new Error('not every worker could be reached');
  return [...found.values()];
}

async function run(bench: Bench): Promise<void> {
  const servers = [await startNamed('one'), await startNamed('two')] as const;
  const hub = await startHub(path.join(bench.folder, 'live'), { workers: WORKERS });
  bench.keep(hub.process);
  await allWorkersServe(hub.process.pid, WORKERS, hub.publicPort);
  const api = await ApiConnection.open(hub.api);
  const visitors = await visitorsOf(hub);
  const counts = { add: 0, replace: 0, delete: 0 };
  const misses = { add: 0, replace: 0, delete: 0 };
  const step = async (kind: keyof typeof counts, call: Call, want: string): Promise<void> => {
    const { status } = await api.call(call);
    if (status >= 300) throw new Error(`${call.method} ${call.path}: ${String(status)}`);
    counts[kind]++;
    const target = `${call.path.slice('/api/routes'.length)}/x`;
    const answers = await Promise.all(visitors.map((visitor) => visitor.get(target)));
    misses[kind] += answers.filter((answer) => answer !== want).length;
  };
  for (let change = 0; change < CHANGES; change += 3) {
    const index = change % NAMES;
    await step('add', addCall(index, servers[0].port), 'one');
    await step('replace', addCall(index, servers[1].port), 'two');
    await step('delete', deleteCall(index), '404');
    if (change % 9999 === 0) bench.say(`  ${String(change)} changes, ${JSON.stringify(misses)} missed`);
  }
  for (const { socket } of visitors) socket.destroy();
  api.close();
  for (const server of servers) server.close();
  bench.report(
    'The next request after a change, through every worker',
    ['change', 'made', 'requests', 'misses'],
    (['add', 'replace', 'delete'] as const).map((kind) => [
      kind,
      String(counts[kind]),
      String(counts[kind] * WORKERS),
      String(misses[kind]),
    ]),
  );
  if (Object.values(misses).some((count) => count > 0)) throw new Error('there were misses');
}

export const routesLive: Question = {
  name: 'routes-live',
  summary:
    'after each of 100,000 acknowledged changes, does the very next request through every worker meet it?',
  run,
};
