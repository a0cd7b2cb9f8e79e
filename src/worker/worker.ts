// Entry of a worker process: the data plane, fed by the controller. It accepts nothing before it has a complete table.

import { join } from 'node:path';
import { ControlClient } from '../channel/control-client.ts';
import { API_SOCKET, CONTROL_SOCKET } from '../controller/engine-controller.ts';
import { errorText } from '../errors.ts';
import { createLogger } from '../log.ts';
import { runChild, tell } from '../supervisor/child.ts';
import type { FromWorker, ToWorker, WorkerStart } from '../supervisor/messages.ts';
import { DataPlane } from './data-plane.ts';

let plane: DataPlane | undefined;
let control: ControlClient | undefined;

function start({ static: configuration, runtimeFolder, workerId }: WorkerStart): void {
  const log = createLogger(`worker ${String(workerId)}`, configuration.log);
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'the worker met a mistake of the program');
    process.exit(1);
  });
  const dataPlane = new DataPlane({
    static: configuration,
    apiSocket: join(runtimeFolder, API_SOCKET),
    log,
    workerId,
  });
  plane = dataPlane;
  let isListening = false;
  control = new ControlClient({
    path: join(runtimeFolder, CONTROL_SOCKET),
    workerId,
    log,
    onPiece: (change) => {
      dataPlane.apply(change);
    },
    onChange: (change) => {
      dataPlane.apply(change);
      if (isListening) return;
      isListening = true;
      dataPlane.listen().then(
        () => {
          const addresses = [...dataPlane.addresses()].map(
            ([name, { address, port }]) =>
              `${name}=${address.includes(':') ? `[${address}]` : address}:${String(port)}`,
          );
          tell({ type: 'listening', addresses } satisfies FromWorker);
        },
        (error: unknown) => {
          tell({ type: 'failed', message: errorText(error) } satisfies FromWorker);
        },
      );
    },
  });
  control.start();
}

async function drain(graceMs: number): Promise<void> {
  await plane?.drain(graceMs);
  control?.stop();
  process.exit(0);
}

runChild('jtp worker', (received) => {
  const message = received as ToWorker;
  switch (message.type) {
    case 'start':
      start(message);
      return undefined;
    case 'drain':
      return drain(message.graceMs);
  }
});
