// A bound address that several processes accept on. The supervisor binds it and keeps it for as long as it lives; workers get copies over
// their channel and accept by themselves. What connects while no worker is there waits in the kernel and is not refused.

import { statSync, unlinkSync } from 'node:fs';
import { lookup } from 'node:dns/promises';
import net, { isIP } from 'node:net';
import { getSystemErrorName } from 'node:util';
import type { EntryPointConfiguration, ListenAddress } from '../config/static.ts';
import { errnoOf, errorText, ProxyError } from '../errors.ts';

/** A bound socket as Node passes it between processes; `net.Server.listen` takes it. */
export interface ListeningSocket {
  readonly close: () => void;
}

/** Binds without accepting, which no documented call of Node does; `node:cluster` uses the same one for the same purpose. */
type Bind = (
  ...place: [address: string, port: number, family: 4 | 6 | -1, fd: number, flags: number]
) => BoundHandle | number;
interface BoundHandle extends ListeningSocket {
  /** Not of Unix sockets. */
  readonly getsockname?: (out: { port?: number }) => number;
}
const bind = (net as unknown as { readonly _createServerHandle: Bind })._createServerHandle;

/** Binds an entry point's address; rejects with ProxyError JTP_ERR_ENTRYPOINT_LISTEN. */
export async function bindEntryPoint(configuration: EntryPointConfiguration): Promise<ListeningSocket> {
  try {
    return await bindAddress(configuration.address);
  } catch (cause) {
    throw listenError(configuration, cause);
  }
}

/** Binds an address; rejects with Node's system errors. */
export async function bindAddress({ host, port, path }: ListenAddress): Promise<ListeningSocket> {
  if (path !== undefined) return bindPath(path);
  if (host === '') {
    try {
      return bindOne('::', port, 6);
    } catch (error) {
      // A machine without IPv6.
      if (errnoOf(error) !== 'EAFNOSUPPORT') throw error;
      return bindOne('0.0.0.0', port, 4);
    }
  }
  const { address, family } = isIP(host) === 0 ? await lookup(host) : { address: host, family: isIP(host) };
  return bindOne(address, port, family === 6 ? 6 : 4);
}

/** A file that a killed program has left behind is in nobody's way. The new one goes when the socket is closed. */
async function bindPath(path: string): Promise<ListeningSocket> {
  try {
    return bindOne(path, -1, -1);
  } catch (error) {
    if (errnoOf(error) !== 'EADDRINUSE') throw error;
    if (statSync(path, { throwIfNoEntry: false })?.isSocket() === false)
      throw Object.assign(new Error('there is a file of this name, which is no socket'), {
        code: 'ENOTSOCK',
      });
    if (await isAnswered(path)) throw error;
    unlinkSync(path);
    return bindOne(path, -1, -1);
  }
}

/** Whether somebody listens on a Unix socket, or it cannot be told. */
export function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = net.connect(path);
    probe.on('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.on('error', (error) => {
      resolve(errnoOf(error) !== 'ECONNREFUSED');
    });
  });
}

function bindOne(address: string, port: number, family: 4 | 6 | -1): ListeningSocket {
  const socket = bind(address, port, family, -1, 0);
  if (typeof socket === 'number') throw systemError(socket, address, port);
  // A port in use shows only now: libuv keeps that error back.
  const failure = socket.getsockname?.({}) ?? 0;
  if (failure === 0) return socket;
  socket.close();
  throw systemError(failure, address, port);
}

function systemError(errno: number, address: string, port: number): Error {
  const code = getSystemErrorName(errno);
  const place = port < 0 ? address : `${address}:${String(port)}`;
  return Object.assign(new Error(`listen ${code}: ${place}`), { code });
}

/** Address as a person writes it. */
function shownAddress({ host, port, path }: ListenAddress): string {
  return path ?? `${host.includes(':') ? `[${host}]` : host}:${String(port)}`;
}

/** One line about a server that is no entry point, such as "the REST API". */
export function serverListenError(what: string, address: ListenAddress, cause: unknown): ProxyError {
  const reason =
    errnoOf(cause) === 'EADDRINUSE'
      ? `another program uses the ${address.path === undefined ? 'port' : 'socket'} (EADDRINUSE); stop it, or choose another one`
      : errorText(cause);
  return new ProxyError('JTP_ERR_ENTRYPOINT_LISTEN', {
    message: `${what} cannot listen on ${shownAddress(address)}: ${reason}`,
    cause,
  });
}

/** One line that says what to do. */
export function listenError(configuration: EntryPointConfiguration, cause: unknown): ProxyError {
  const { name, address, addressText } = configuration;
  const hints = new Map([
    ['EADDRINUSE', `the ${address.path === undefined ? 'port' : 'socket'} is in use by another program`],
    ['EACCES', 'no permission for this port (ports below 1024 need CAP_NET_BIND_SERVICE)'],
    ['EADDRNOTAVAIL', 'this machine does not have the address'],
  ]);
  return new ProxyError('JTP_ERR_ENTRYPOINT_LISTEN', {
    message: `entry point "${name}" cannot listen on ${addressText}: ${hints.get(errnoOf(cause)) ?? errorText(cause)}`,
    cause,
  });
}
