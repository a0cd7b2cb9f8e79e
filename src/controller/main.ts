// Entry of the controller process; which controller it becomes is told by the supervisor.

import type { ListeningSocket } from '../entrypoint/listening-socket.ts';
import { createLogger } from '../log.ts';
import { runChild } from '../supervisor/child.ts';
import type { ControllerStart, ToController } from '../supervisor/messages.ts';
import { HeldServers } from './held-servers.ts';

/** What every kind of controller can be told. */
export interface RunningController {
  readonly setAccepting: (workerIds: readonly number[]) => void;
  readonly reload: () => Promise<void>;
  readonly onServing: () => Promise<void>;
  readonly terminate: () => void;
  /** Finishes what has been begun; the process ends after it. `isReplaced`: another controller is about to take over. */
  readonly stop?: (isReplaced: boolean) => Promise<void>;
}

const servers = new HeldServers();
let running: Promise<RunningController> | undefined;

/** Each kind is loaded with what it needs, and nothing else. */
const LOAD = {
  traefik: () => import('./traefik-controller.ts'),
  hub: () => import('./hub-controller.ts'),
  chp: () => import('./chp-controller.ts'),
};

/** What the kind named at the start needs, before it is known what it is to do; what goes wrong is said when that is known. */
function preload(kind: string | undefined): void {
  if (kind === 'traefik' || kind === 'hub' || kind === 'chp') LOAD[kind]().catch(() => undefined);
}

async function start(message: ControllerStart): Promise<RunningController> {
  const log = createLogger('controller', message.static.log);
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'the controller met a mistake of the program');
    process.exit(1);
  });
  switch (message.controller.kind) {
    case 'traefik':
      return (await LOAD.traefik()).startTraefikController(message, log);
    case 'hub':
      return (await LOAD.hub()).startHubController({ ...message, servers }, message.controller.settings, log);
    case 'chp':
      return (await LOAD.chp()).startChpController({ ...message, servers }, message.controller.settings, log);
  }
}

async function onMessage(received: unknown, handle: unknown): Promise<void> {
  const message = received as ToController;
  if (message.type === 'socket') {
    // Sent by our own supervisor with this message, and by nobody else.
    servers.add(message.server, handle as ListeningSocket);
    return;
  }
  if (message.type === 'start') {
    running = start(message);
    await running;
    return;
  }
  const controller = await running;
  switch (message.type) {
    case 'accepting':
      controller?.setAccepting(message.workerIds);
      return;
    case 'reload':
      await controller?.reload();
      return;
    case 'serving':
      await controller?.onServing();
      return;
    case 'terminating':
      controller?.terminate();
      return;
    case 'stop':
      await controller?.stop?.(message.isReplaced);
      process.exit(0);
  }
}

preload(process.argv[2]);
runChild({ title: 'jtp controller', onMessage });
