// The addresses that this program has bound. They outlive workers and generations, so that a connection made between two of them waits in
// the kernel.

import type { EntryPointConfiguration } from '../config/static.ts';
import {
  bindAddress,
  bindEntryPoint,
  listenError,
  serverListenError,
} from '../entrypoint/listening-socket.ts';
import type { ListeningSocket } from '../entrypoint/listening-socket.ts';
import { ProxyError } from '../errors.ts';
import type { ControllerServer } from './messages.ts';

type EntryPoints = ReadonlyMap<string, EntryPointConfiguration>;

/** By address; entry points on any free port by their name. */
function keyOf({ name, address: { host, port, path } }: EntryPointConfiguration): string {
  if (path !== undefined) return path;
  return port === 0 ? `any port for ${name}` : `${host}:${String(port)}`;
}

/** Binds what controllers accept on; rejects with JTP_ERR_ENTRYPOINT_LISTEN, with nothing bound. */
export async function bindControllerServers(
  servers: readonly ControllerServer[],
): Promise<ReadonlyMap<string, ListeningSocket>> {
  const sockets = new Map<string, ListeningSocket>();
  for (const { name, what, address } of servers)
    try {
      sockets.set(name, await bindAddress(address));
    } catch (cause) {
      for (const socket of sockets.values()) socket.close();
      throw serverListenError(what, address, cause);
    }
  return sockets;
}

/** All entry points' listening sockets of one supervisor. */
export class ListeningSockets {
  readonly #sockets = new Map<string, { readonly socket: ListeningSocket; readonly port: number }>();

  /** Binds what is not bound yet; rejects with JTP_ERR_ENTRYPOINT_LISTEN, with nothing bound that was not before. */
  async open(entryPoints: EntryPoints): Promise<ReadonlyMap<string, ListeningSocket>> {
    const opened: string[] = [];
    const sockets = new Map<string, ListeningSocket>();
    const used = new Set<string>();
    try {
      for (const [name, configuration] of entryPoints) {
        const key = keyOf(configuration);
        if (used.has(key))
          throw listenError(configuration, new Error('another entry point has the same address'));
        used.add(key);
        let socket = this.#sockets.get(key)?.socket;
        if (socket === undefined) {
          socket = await this.#bind(configuration);
          this.#sockets.set(key, { socket, port: configuration.address.port });
          opened.push(key);
        }
        sockets.set(name, socket);
      }
      return sockets;
    } catch (error) {
      for (const key of opened) this.#close(key);
      throw error;
    }
  }

  /** Closes what these entry points do not use. */
  keepOnly(entryPoints: EntryPoints): void {
    const used = new Set([...entryPoints.values()].map(keyOf));
    for (const key of this.#sockets.keys()) if (!used.has(key)) this.#close(key);
  }

  async #bind(configuration: EntryPointConfiguration): Promise<ListeningSocket> {
    try {
      return await bindEntryPoint(configuration);
    } catch (cause) {
      const { port } = configuration.address;
      const isOurs = [...this.#sockets.values()].some((open) => open.port === port && port !== 0);
      if (!isOurs) throw cause;
      throw new ProxyError('JTP_ERR_ENTRYPOINT_LISTEN', {
        message: `entry point "${configuration.name}" cannot listen on ${configuration.addressText} while this program listens on another address of the same port: restart it for this change`,
        cause,
      });
    }
  }

  #close(key: string): void {
    this.#sockets.get(key)?.socket.close();
    this.#sockets.delete(key);
  }
}
