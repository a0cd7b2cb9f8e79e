// The sockets that the supervisor holds for its controllers: it has bound them, the controller accepts on them, and the next controller will.

import net from 'node:net';
import { setTimeout } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { LEAVING } from '../api/bounded-connections.ts';
import { serverListenError } from '../entrypoint/listening-socket.ts';
import type { ListeningSocket } from '../entrypoint/listening-socket.ts';
import type { ControllerServer, ControllerStart } from '../supervisor/messages.ts';

/** What a controller with servers is started with. */
export interface ServerStart extends ControllerStart {
  readonly servers: HeldServers;
}

/** Whoever is connected may have sent something for so long. */
const ON_ITS_WAY_MS = 200;
/** Nobody is waited for longer; the supervisor would end this process. */
const LEAVING_MS = 1500;

/** What a controller was given to accept on. */
export class HeldServers {
  readonly #held = new Map<
    ControllerServer['name'],
    { readonly server: ControllerServer; readonly socket: ListeningSocket }
  >();

  add(server: ControllerServer, socket: ListeningSocket): void {
    this.#held.set(server.name, { server, socket });
  }

  /** Lets an API accept; rejects with ProxyError JTP_ERR_ENTRYPOINT_LISTEN. Closing the API closes its connections. */
  async listen(name: ControllerServer['name'], app: FastifyInstance): Promise<void> {
    const held = this.#held.get(name);
    if (held === undefined) throw new Error(`no socket for ${name}`);
    // It closes connections only of servers that it has let listen itself.
    app.addHook('preClose', (done) => {
      app.server.closeAllConnections();
      done();
    });
    await app.ready();
    await new Promise<void>((resolve, reject) => {
      app.server.once('error', (cause) => {
        reject(serverListenError(held.server.what, held.server.address, cause));
      });
      app.server.listen(held.socket, resolve);
    });
  }
}

/**
 * Leaves accepting to the next controller, which is about to start, and answers those who have come before. Resolves when they are gone, or
 * have had their time.
 */
export async function leaveServer({ server }: FastifyInstance): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    // That of HTTP servers closes at once what has no request yet.
    net.Server.prototype.close.call(server, () => {
      resolve();
    });
  });
  const timer = setInterval(() => {
    server.emit(LEAVING);
  }, ON_ITS_WAY_MS);
  await Promise.race([closed, setTimeout(LEAVING_MS)]);
  clearInterval(timer);
}
