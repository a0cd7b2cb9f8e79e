// What a student sees, in a real browser: log in, JupyterLab opens, a terminal answers, a cell runs. Once in plain
// HTTP/1.1, once over TLS, where Chromium speaks HTTP/2 and opens its WebSockets as streams of it (RFC 8441).

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { chromium } from 'playwright-core';
import type { BrowserContext, Page } from 'playwright-core';
import { Authority } from '../support/authority.ts';
import { createHub, ROOT, until } from '../support/hub.ts';
import type { Hub } from '../support/hub.ts';
import { chromiumBinary } from '../support/tools.ts';

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** What JupyterHub is told about the certificate, whose files are in its folder. */
const TLS_CONFIG = `
import os
c.JupyterHub.ssl_cert = os.path.abspath("tls.crt")
c.JupyterHub.ssl_key = os.path.abspath("tls.key")
c.JupyterHub.bind_url = c.JupyterHub.bind_url.replace("http:", "https:")
`;

/** How the browser came by what it has. */
interface Transports {
  /** `nextHopProtocol` of the document, and of every request to an API. */
  readonly document: string;
  readonly api: readonly string[];
  readonly webSockets: WebSockets;
}

/** What passed on WebSockets, by what they are for: `channels` of a kernel, `terminal`, or the last part of their path. */
interface WebSockets {
  /** Of the answers to their handshakes: 101 in HTTP/1.1, 200 in HTTP/2. */
  readonly statuses: ReadonlyMap<string, number>;
  /** All that was received, as text. */
  readonly received: ReadonlyMap<string, string>;
}

async function openBrowser(t: TestContext, executablePath: string): Promise<BrowserContext> {
  const profile = mkdtempSync(path.join(tmpdir(), 'jtp-browser-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    args: FLAGS,
    viewport: { width: 1280, height: 800 },
    ignoreHTTPSErrors: true,
  });
  t.after(async () => {
    await context.close();
    // Not before: it writes to it until the end.
    rmSync(profile, { recursive: true, force: true });
  });
  return context;
}

/** What is known of the WebSockets of a page, as it comes. */
async function watchWebSockets(page: Page): Promise<WebSockets> {
  const session = await page.context().newCDPSession(page);
  const names = new Map<string, string>();
  const statuses = new Map<string, number>();
  const received = new Map<string, string>();
  session.on('Network.webSocketCreated', ({ requestId, url }) => {
    const { pathname } = new URL(url);
    names.set(requestId, pathname.includes('/terminals/') ? 'terminal' : path.posix.basename(pathname));
  });
  session.on('Network.webSocketHandshakeResponseReceived', ({ requestId, response }) => {
    statuses.set(names.get(requestId) ?? '', response.status);
  });
  session.on('Network.webSocketFrameReceived', ({ requestId, response }) => {
    const name = names.get(requestId) ?? '';
    received.set(name, (received.get(name) ?? '') + response.payloadData);
  });
  await session.send('Network.enable');
  return { statuses, received };
}

/** Opens a terminal from the launcher and runs a command in it. */
async function useTerminal(page: Page, { received }: WebSockets): Promise<void> {
  await page.locator('.jp-LauncherCard', { hasText: 'Terminal' }).click();
  const terminal = page.locator('.jp-Terminal');
  await terminal.waitFor();
  // Its prompt: what is typed before is lost.
  await until('the terminal to speak', () => (received.get('terminal') ?? '').includes('stdout'));
  await terminal.click();
  await page.keyboard.type('echo $((6 * 7000))');
  await page.keyboard.press('Enter');
  await until('the answer of the terminal', () => (received.get('terminal') ?? '').includes('42000'));
  await page.locator('[data-command="launcher:create"]').first().click();
}

/** Log in, start the server, use a terminal, run a cell. */
async function journey(page: Page, hub: Hub): Promise<Transports> {
  page.setDefaultTimeout(120_000);
  const webSockets = await watchWebSockets(page);
  await page.goto(hub.url);
  await page.fill('input[name=username]', 'zoe');
  await page.fill('input[name=password]', 'jupyter');
  await page.click('input[type=submit]');
  await page.waitForURL(/\/user\/zoe\/lab/);
  await useTerminal(page, webSockets);
  // The launcher's card for a notebook.
  await page.locator('.jp-LauncherCard[data-category="Notebook"]').first().click();
  const cell = page.locator('.jp-Notebook .jp-Cell .cm-content').first();
  // What is run before the kernel answers is dropped by JupyterLab.
  await page.getByText(/\| Idle$/).waitFor();
  await cell.click();
  await page.keyboard.type('sum(range(10))');
  await page.keyboard.press('Shift+Enter');
  const output = page.locator('.jp-OutputArea-output').first();
  await output.waitFor();
  assert.match((await output.textContent()) ?? '', /45/);
  keepScreenshot(await page.screenshot());

  // As text, because it is compiled without the names of the browser.
  const seen = await page.evaluate<{ document: string; api: string[] }>(`({
    document: performance.getEntriesByType('navigation')[0].nextHopProtocol,
    api: performance.getEntriesByType('resource')
      .filter((entry) => new URL(entry.name).pathname.startsWith('/user/zoe/api/'))
      .map((entry) => entry.nextHopProtocol),
  })`);
  return { ...seen, webSockets };
}

function keepScreenshot(shot: Buffer): void {
  const kept = path.join(ROOT, 'docs', 'jupyterlab.png');
  mkdirSync(path.dirname(kept), { recursive: true });
  if (process.env['UPDATE_SCREENSHOT'] === '1' || !existsSync(kept)) writeFileSync(kept, shot);
}

/** The journey's document, API requests, and WebSockets all came by `protocol`. */
function assertTransports(seen: Transports, protocol: string, handshake: number): void {
  assert.equal(seen.document, protocol);
  assert.deepEqual([...new Set(seen.api)], [protocol]);
  for (const name of ['channels', 'terminal'])
    assert.equal(seen.webSockets.statuses.get(name), handshake, `the WebSocket: ${name}`);
}

describe('a student with a browser', () => {
  const browser = chromiumBinary();
  it('logs in, opens JupyterLab, uses a terminal and runs a cell', { skip: browser.skip }, async (t) => {
    const hub = await createHub();
    t.after(() => hub.dispose());
    await hub.start();
    const context = await openBrowser(t, browser.path);
    assertTransports(await journey(await context.newPage(), hub), 'http/1.1', 101);
  });

  it('does so over TLS, all of it in HTTP/2', { skip: browser.skip }, async (t) => {
    const authority = await Authority.create();
    const { cert, key } = await authority.issue(['127.0.0.1']);
    const hub = await createHub(TLS_CONFIG, { ca: authority.cert });
    t.after(() => hub.dispose());
    writeFileSync(path.join(hub.folder, 'tls.crt'), cert);
    writeFileSync(path.join(hub.folder, 'tls.key'), key, { mode: 0o600 });
    await hub.start();
    const context = await openBrowser(t, browser.path);
    assertTransports(await journey(await context.newPage(), hub), 'h2', 200);
  });
});
