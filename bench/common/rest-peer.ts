// Proxies whose routes are changed over configurable-http-proxy's REST API: that proxy, and ours under the same command line.

import path from 'node:path';
import { chpPeer } from './peer-chp.ts';
import { jtpPeer } from './peer-traefik.ts';
import { BENCH_CACHE, ROOT, startPeer } from './peer.ts';
import type { StartedPeer } from './peer.ts';
import { freePort, waitForPort } from './processes.ts';

/** A proxy that can be told about routes while it runs. */
export interface RestPeer {
  readonly name: string;
  readonly install: string;
  version(): string | undefined;
  start(folder: string): Promise<StartedRestPeer>;
}

/** One that runs. */
export interface StartedRestPeer extends StartedPeer {
  readonly apiPort: number;
}

function restPeer(
  peer: { readonly name: string; readonly install: string; version(): string | undefined },
  program: readonly string[],
): RestPeer {
  return {
    name: peer.name,
    install: peer.install,
    version: () => peer.version(),
    async start(folder) {
      const port = await freePort();
      const apiPort = await freePort();
      const args = [
        ...program,
        ...['--ip', '127.0.0.1', '--port', String(port)],
        ...['--api-ip', '127.0.0.1', '--api-port', String(apiPort), '--log-level', 'error'],
      ];
      const started = await startPeer({ name: peer.name, folder, port, command: process.execPath, args });
      await waitForPort(apiPort, 10_000);
      return { ...started, apiPort };
    },
  };
}

export const REST_PEERS: readonly RestPeer[] = [
  restPeer(jtpPeer(), [path.join(ROOT, 'bin/jupyterhub-traefik-proxy.js'), 'configurable-http-proxy']),
  restPeer(chpPeer, [
    path.join(BENCH_CACHE, 'chp/node_modules/configurable-http-proxy/bin/configurable-http-proxy'),
  ]),
];

/** Sets a route. */
export async function setRoute(
  { apiPort, name }: StartedRestPeer,
  route: string,
  target: string,
): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${String(apiPort)}/api/routes${route}`, {
    method: 'POST',
    body: JSON.stringify({ target }),
  });
  if (response.status !== 201) throw new Error(`${name} refused a route with ${String(response.status)}`);
}

/** Takes a route away. */
export async function deleteRoute({ apiPort, name }: StartedRestPeer, route: string): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${String(apiPort)}/api/routes${route}`, {
    method: 'DELETE',
  });
  if (response.status !== 204) throw new Error(`${name} kept a route with ${String(response.status)}`);
}
