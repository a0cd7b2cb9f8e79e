// The sockets that the supervisor holds for its controllers: it has bound them, the controller accepts on them, and the next controller will.

import type { FastifyInstance } from 'fastify';
import { serverListenError } from '../entrypoint/listening-socket.ts';
import type { ListeningSocket } from '../entrypoint/listening-socket.ts';
import type { ControllerServer, ControllerStart } from '../supervisor/messages.ts';

/** What a controller with servers is started with. */
export interface ServerStart extends ControllerStart {
  readonly servers: HeldServers;
}

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
