// How many connections an API has: whoever may connect could otherwise take every descriptor of the controller, which needs some to
// write routes.

import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { Server as TlsServer } from 'node:tls';

/** The hub needs as many as it makes requests at once, ten by default. */
const MAX_CONNECTIONS = 256;

/** Told of requests that the server does not see. */
export interface ConnectionBounds {
  readonly begin: (socket: Socket) => void;
  /** Of a connection that goes on. */
  readonly end: (socket: Socket) => void;
}

/** An event of a server that comes to its end: connections without a request are closed. */
export const LEAVING = 'leaving';

/** For one connection more than `most`, the one that has been without a request for longest is closed. */
export function boundConnections(server: Server, most = MAX_CONNECTIONS): ConnectionBounds {
  /** Without a request, the longest first. */
  const quiet = new Set<Socket>();
  let open = 0;
  server.on(server instanceof TlsServer ? 'secureConnection' : 'connection', (socket: Socket) => {
    open++;
    quiet.add(socket);
    socket.once('close', () => {
      open--;
      quiet.delete(socket);
    });
    if (open <= most) return;
    const [longest] = quiet;
    longest?.destroy();
  });
  const bounds: ConnectionBounds = {
    begin: (socket) => quiet.delete(socket),
    end: (socket) => quiet.add(socket),
  };
  server.on(LEAVING, () => {
    for (const socket of quiet) socket.destroy();
  });
  server.on('request', ({ socket }, response) => {
    bounds.begin(socket);
    response.once('close', () => {
      if (!socket.destroyed) bounds.end(socket);
    });
  });
  return bounds;
}
