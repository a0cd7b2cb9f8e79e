// HAProxy, nginx and Caddy as Debian packages them.

import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Peer, PeerOptions } from './peer.ts';
import { peerFolder, routePath, startPeer, versionOf } from './peer.ts';
import { freePort } from './processes.ts';

export const haproxyPeer: Peer = {
  name: 'HAProxy',
  install: 'apt-get install haproxy',
  version: () => versionOf('haproxy', ['-v'], /version (\S+?)[-\s]/),
  async start(options) {
    const folder = peerFolder(options, 'haproxy');
    const port = await freePort();
    const file = path.join(folder, 'haproxy.cfg');
    writeFileSync(file, haproxyConfiguration(options, folder, port));
    return startPeer({ name: 'HAProxy', folder, port, command: 'haproxy', args: ['-db', '-f', file] });
  },
};

function haproxyConfiguration(options: PeerOptions, folder: string, port: number): string {
  let bind = `bind 127.0.0.1:${String(port)}`;
  if (options.tls !== undefined) {
    const pem = path.join(folder, 'both.pem');
    writeFileSync(
      pem,
      `${readFileSync(options.tls.certificate, 'utf8')}\n${readFileSync(options.tls.key, 'utf8')}`,
    );
    bind += ` ssl crt ${pem} alpn h2,http/1.1`;
  }
  let choice = '  default_backend app\n';
  if (options.routes > 0) {
    const map = path.join(folder, 'routes.map');
    writeFileSync(
      map,
      Array.from({ length: options.routes }, (_, index) => `${routePath(index)} app\n`).join(''),
    );
    choice = `  use_backend %[path,map_beg(${map},app)]\n`;
  }
  const mode =
    'mode http\n  timeout connect 30s\n  timeout client 180s\n  timeout server 180s\n  timeout tunnel 24h\n';
  return (
    `global\n  nbthread ${String(options.workers)}\n  maxconn 8000\ndefaults\n  ${mode}  option forwardfor\n` +
    `frontend web\n  ${bind}\n${choice}backend app\n  server app 127.0.0.1:${String(options.backendPort)}\n`
  );
}

export const nginxPeer: Peer = {
  name: 'nginx',
  install: 'apt-get install nginx-light',
  version: () => versionOf('nginx', ['-v'], /nginx\/(\S+)/),
  async start(options) {
    const folder = peerFolder(options, 'nginx');
    const port = await freePort();
    const file = path.join(folder, 'nginx.conf');
    writeFileSync(file, nginxConfiguration(options, folder, port));
    return startPeer({
      name: 'nginx',
      folder,
      port,
      command: 'nginx',
      args: ['-c', file, '-p', folder, '-e', path.join(folder, 'error.log')],
    });
  },
};

/** As JupyterHub's documentation shows it, with connections to the server kept. */
function nginxConfiguration(options: PeerOptions, folder: string, port: number): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${folder}/tmp-${kind};`)
    .join(' ');
  const tls =
    options.tls === undefined
      ? ''
      : `ssl_certificate ${options.tls.certificate}; ssl_certificate_key ${options.tls.key};`;
  const secure = options.tls === undefined ? '' : ' ssl http2';
  const pass =
    'proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host; ' +
    'proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Scheme $scheme;';
  const places = Array.from(
    { length: options.routes },
    (_, index) => `location ${routePath(index)} { ${pass} }\n`,
  );
  // Its workers would otherwise be somebody who may not write into the scratch folder.
  const user = process.getuid?.() === 0 ? 'user root; ' : '';
  return (
    `${user}daemon off; worker_processes ${String(options.workers)}; pid ${folder}/pid; error_log ${folder}/error.log;\n` +
    `events { worker_connections 8192; }\nhttp { access_log off; keepalive_requests 100000000; client_max_body_size 0; ${temporary}\n` +
    `upstream app { server 127.0.0.1:${String(options.backendPort)}; keepalive 256; keepalive_requests 100000000; }\n` +
    `server { listen 127.0.0.1:${String(port)}${secure} backlog=4096; ${tls}\nlocation / { ${pass} }\n${places.join('')}} }\n`
  );
}

export const caddyPeer: Peer = {
  name: 'Caddy',
  install: 'apt-get install caddy',
  version: () => versionOf('caddy', ['version'], /^v?([0-9][^\s]*)/m),
  async start(options) {
    const folder = peerFolder(options, 'caddy');
    const port = await freePort();
    const file = path.join(folder, 'caddy.json');
    writeFileSync(file, JSON.stringify(caddyConfiguration(options, port)));
    const env = { GOMAXPROCS: String(options.workers), XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder };
    return startPeer({ name: 'Caddy', folder, port, command: 'caddy', args: ['run', '--config', file], env });
  },
};

function caddyConfiguration(options: PeerOptions, port: number): unknown {
  const handle = [
    { handler: 'reverse_proxy', upstreams: [{ dial: `127.0.0.1:${String(options.backendPort)}` }] },
  ];
  const routes: unknown[] = Array.from({ length: options.routes }, (_, index) => ({
    match: [{ path: [`${routePath(index)}*`] }],
    handle,
  }));
  routes.push({ handle });
  const { tls } = options;
  return {
    admin: { disabled: true },
    logging: { logs: { default: { level: 'ERROR' } } },
    apps: {
      http: {
        servers: {
          web: {
            listen: [`127.0.0.1:${String(port)}`],
            routes,
            automatic_https: { disable: true },
            ...(tls === undefined ? {} : { tls_connection_policies: [{}] }),
          },
        },
      },
      ...(tls === undefined
        ? {}
        : { tls: { certificates: { load_files: [{ certificate: tls.certificate, key: tls.key }] } } }),
    },
  };
}
