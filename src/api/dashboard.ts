// The dashboard: one page without anything from elsewhere, which reads the API it is served beside.

import { createHash } from 'node:crypto';

const STYLE = `
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: #212121; background: #fff; }
h1 { font-size: 1.3rem; } h2 { font-size: 1.05rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #ddd; vertical-align: top; }
td { font-family: ui-monospace, monospace; font-size: .85rem; overflow-wrap: anywhere; }
.disabled { color: #b00020; } .warning { color: #8a5a00; } .enabled { color: #1b6e2d; }
@media (prefers-color-scheme: dark) { body { color: #eee; background: #1c1c1c; } td, th { border-color: #444; } }
`;

const SCRIPT = `
const base = location.pathname.replace(/dashboard\\/?$/, '') + 'api/';
const columns = {
  entrypoints: ['name', 'address'],
  'http/routers': ['name', 'status', 'rule', 'service', 'entryPoints', 'priority', 'error'],
  'http/services': ['name', 'status', 'servers', 'usedBy', 'error'],
  'http/middlewares': ['name', 'status', 'type', 'usedBy', 'error'],
};
const text = (value) => value === undefined ? '' : Array.isArray(value) ? value.join(', ') : String(value);
async function show(path) {
  const section = document.getElementById(path);
  const response = await fetch(base + path + '?per_page=500', { credentials: 'same-origin' });
  if (!response.ok) { section.textContent = 'The API answered ' + response.status; return; }
  const rows = await response.json();
  const table = document.createElement('table');
  const head = table.insertRow();
  for (const name of columns[path]) { const cell = document.createElement('th'); cell.textContent = name; head.append(cell); }
  for (const row of rows) {
    const line = table.insertRow();
    for (const name of columns[path]) {
      const cell = line.insertCell();
      const value = name === 'servers' ? (row.loadBalancer?.servers ?? []).map((server) => server.url) : row[name];
      cell.textContent = text(value);
      if (name === 'status') cell.className = text(value);
    }
  }
  section.replaceChildren(table);
}
const refresh = () => { for (const path of Object.keys(columns)) show(path).catch((error) => console.error(error)); };
refresh();
setInterval(refresh, 5000);
`;

function hash(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}

/** The page and the hashes that its content security policy allows. */
export const DASHBOARD_PAGE = {
  styleHash: hash(STYLE),
  scriptHash: hash(SCRIPT),
  html:
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>jupyterhub-traefik-proxy</title>' +
    `<meta name="viewport" content="width=device-width"><style>${STYLE}</style></head><body>` +
    '<h1>jupyterhub-traefik-proxy</h1>' +
    '<h2>Entry points</h2><div id="entrypoints"></div><h2>Routers</h2><div id="http/routers"></div>' +
    '<h2>Services</h2><div id="http/services"></div><h2>Middlewares</h2><div id="http/middlewares"></div>' +
    `<script>${SCRIPT}</script></body></html>`,
};
