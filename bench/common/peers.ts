// The proxies that are compared, each with one worker and the configuration its documentation recommends for this use: connections to the
// server are kept, the client's address is passed on, no access log.

import { chpPeer } from './peer-chp.ts';
import { caddyPeer, haproxyPeer, nginxPeer } from './peer-debian.ts';
import { jtpPeer, traefikPeer } from './peer-traefik.ts';
import { peerFolder, startPeer } from './peer.ts';
import type { Peer } from './peer.ts';
import { freePort } from './processes.ts';

/** Everything that can be compared, HAProxy first: ratios are to it. */
export const PEERS: readonly Peer[] = [haproxyPeer, jtpPeer(), nginxPeer, traefikPeer, caddyPeer, chpPeer];

/** Any other command with `{port}` and `{backend}` in its arguments, for experiments; plain HTTP without routes only. */
export function commandPeer(name: string, commandLine: string): Peer {
  return {
    name,
    install: commandLine,
    version: () => 'as given',
    async start(options) {
      const folder = peerFolder(options, name);
      const port = await freePort();
      const [command = '', ...args] = commandLine
        .replaceAll('{port}', String(port))
        .replaceAll('{backend}', String(options.backendPort))
        .split(' ');
      return startPeer({ name, folder, port, command, args });
    },
  };
}
