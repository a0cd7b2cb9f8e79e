// configurable-http-proxy from npm, the proxy that JupyterHub comes with. Its routes are added over its REST API.

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Peer } from './peer.ts';
import { BENCH_CACHE, peerFolder, routePath, startPeer } from './peer.ts';
import { freePort, waitForPort } from './processes.ts';

const folderOf = (): string => path.join(BENCH_CACHE, 'chp/node_modules/configurable-http-proxy');

export const chpPeer: Peer = {
  name: 'CHP',
  install: 'npm run bench -- install (configurable-http-proxy from npm)',
  version() {
    const file = path.join(folderOf(), 'package.json');
    if (!existsSync(file)) return undefined;
    return (JSON.parse(readFileSync(file, 'utf8')) as { readonly version: string }).version;
  },
  async start(options) {
    const folder = peerFolder(options, 'chp');
    const port = await freePort();
    const apiPort = await freePort();
    const target = `http://127.0.0.1:${String(options.backendPort)}`;
    const args = [
      path.join(folderOf(), 'bin/configurable-http-proxy'),
      ...[
        '--ip',
        '127.0.0.1',
        '--port',
        String(port),
        '--api-ip',
        '127.0.0.1',
        '--api-port',
        String(apiPort),
      ],
      ...['--default-target', target, '--log-level', 'error'],
    ];
    if (options.tls !== undefined)
      args.push('--ssl-cert', options.tls.certificate, '--ssl-key', options.tls.key);
    const started = await startPeer({ name: 'CHP', folder, port, command: process.execPath, args });
    if (options.routes > 0) await waitForPort(apiPort, 10_000);
    for (let index = 0; index < options.routes; index++) {
      const response = await fetch(`http://127.0.0.1:${String(apiPort)}/api/routes${routePath(index)}`, {
        method: 'POST',
        body: JSON.stringify({ target }),
      });
      if (response.status !== 201) throw new Error(`CHP refused a route with ${String(response.status)}`);
    }
    return started;
  },
};
