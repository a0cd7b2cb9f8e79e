// Entry of a worker process: the data plane, fed by the controller. It accepts nothing before it has a complete table, and only on sockets
// that the supervisor hands to it.

import { join } from 'node:path';
import { ControlClient } from '../channel/control-client.ts';
import { API_SOCKET, CONTROL_SOCKET } from '../channel/socket-names.ts';
import type { ListeningSocket } from '../entrypoint/listening-socket.ts';
import { errorText } from '../errors.ts';
import { createLogger } from '../log.ts';
import { watchProcess } from '../observe/process-metrics.ts';
import type { ProcessMetrics } from '../observe/reports.ts';
import { runChild, tell } from '../supervisor/child.ts';
import type { FromWorker, ToWorker, WorkerStart } from '../supervisor/messages.ts';
import { DataPlane } from './data-plane.ts';
import { descriptorBudget, descriptorLimit } from './descriptors.ts';

/** How often the controller hears which routes are used, and what was counted. */
const ACTIVITY_MS = 1000;

class Worker {
  readonly #plane: DataPlane;
  readonly #control: ControlClient;
  readonly #entryPoints: number;
  #sockets = new Map<string, ListeningSocket>();
  #hasTable = false;
  /** Where there are metrics. */
  #readProcess: Promise<() => Promise<ProcessMetrics>> | undefined;
  readonly #countsSockets: boolean;

  constructor({ static: configuration, runtimeFolder, workerId, mode }: WorkerStart) {
    const log = createLogger(`worker ${String(workerId)}`, configuration.log);
    process.on('uncaughtException', (error) => {
      log.fatal({ err: error }, 'the worker met a mistake of the program');
      process.exit(1);
    });
    if (configuration.chp?.hasMetrics === true || configuration.prometheus !== undefined)
      this.#readProcess = watchProcess();
    this.#countsSockets = configuration.prometheus !== undefined;
    this.#entryPoints = configuration.entryPoints.size;
    this.#plane = new DataPlane({
      static: configuration,
      apiSocket: join(runtimeFolder, API_SOCKET),
      log,
      workerId,
      mode,
      budget: descriptorBudget(descriptorLimit()),
    });
    this.#control = new ControlClient({
      path: join(runtimeFolder, CONTROL_SOCKET),
      workerId,
      log,
      onCount: () => {
        void this.#tellProcess();
      },
      onPiece: (change) => {
        this.#plane.apply(change);
      },
      onChange: (change) => {
        this.#plane.apply(change);
        if (this.#hasTable) return;
        this.#hasTable = true;
        this.#listen().catch((error: unknown) => {
          tell({ type: 'failed', message: errorText(error) } satisfies FromWorker);
        });
      },
    });
    this.#control.start();
    setInterval(() => {
      this.#report();
    }, ACTIVITY_MS).unref();
  }

  /** While the controller is away, it is kept. */
  #report(): void {
    if (!this.#control.isConnected) return;
    const entries = this.#plane.collectActivity();
    if (entries.length > 0) this.#control.tellActivity(entries);
    const counts = this.#plane.collectCounts();
    if (counts !== undefined) this.#control.tellCounts(counts);
  }

  async #tellProcess(): Promise<void> {
    const read = await this.#readProcess;
    const process = [...((await read?.()) ?? []), ...(this.#countsSockets ? [this.#openConnections()] : [])];
    if (this.#control.isConnected) this.#control.tellCounts({ ...this.#plane.collectCounts(), process });
  }

  /** Source of the name: Traefik documentation, metrics. */
  #openConnections(): ProcessMetrics[number] {
    const counts = this.#plane.socketCounts();
    return {
      name: 'traefik_open_connections',
      help: 'How many open connections exist, by entryPoint and protocol',
      type: 'gauge',
      aggregator: 'sum',
      values: [...counts].map(([entrypoint, value]) => ({ labels: { entrypoint, protocol: 'TCP' }, value })),
    };
  }

  get connections(): number {
    const { connections, tunnels } = this.#plane.counts();
    return connections + tunnels;
  }

  take(entryPoint: string, socket: ListeningSocket): Promise<void> {
    this.#sockets.set(entryPoint, socket);
    return this.#listen();
  }

  rest(): void {
    this.#plane.rest();
  }

  async drain(graceMs: number, isReplaced: boolean): Promise<void> {
    for (const socket of this.#sockets.values()) socket.close();
    this.#sockets.clear();
    await this.#plane.drain({ graceMs, isReplaced });
    this.#report();
    this.#control.stop();
    process.exit(0);
  }

  /** When everything is there. */
  async #listen(): Promise<void> {
    if (!this.#hasTable || this.#sockets.size < this.#entryPoints) return;
    const sockets = this.#sockets;
    this.#sockets = new Map();
    await this.#plane.listen(sockets);
    const addresses = [...this.#plane.addresses()].map(
      ([name, { address, port }]) =>
        `${name}=${address.includes(':') ? `[${address}]` : address}:${String(port)}`,
    );
    tell({ type: 'listening', addresses } satisfies FromWorker);
  }
}

let worker: Worker | undefined;

runChild({
  title: 'jtp worker',
  status: () => ({ connections: worker?.connections ?? 0 }),
  onMessage: (received, handle) => {
    const message = received as ToWorker;
    switch (message.type) {
      case 'start':
        worker = new Worker(message);
        return undefined;
      case 'socket':
        // Sent by our own supervisor with this message, and by nobody else.
        return worker?.take(message.entryPoint, handle as ListeningSocket);
      case 'rest':
        worker?.rest();
        return undefined;
      case 'drain':
        return worker?.drain(message.graceMs, message.isReplaced);
    }
  },
});
