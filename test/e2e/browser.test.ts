// What a student sees, in a real browser: log in, JupyterLab opens, a cell runs.

import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { chromium } from 'playwright-core';
import { createHub, ROOT } from '../support/hub.ts';
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

describe('a student with a browser', () => {
  const browser = chromiumBinary();
  it('logs in, opens JupyterLab and runs a cell', { skip: browser.skip }, async (t) => {
    const hub = await createHub();
    t.after(() => hub.dispose());
    await hub.start();
    const profile = mkdtempSync(path.join(tmpdir(), 'jtp-browser-'));
    t.after(() => {
      rmSync(profile, { recursive: true, force: true });
    });
    const context = await chromium.launchPersistentContext(profile, {
      executablePath: browser.path,
      headless: true,
      args: FLAGS,
      viewport: { width: 1280, height: 800 },
    });
    t.after(() => context.close());
    const page = await context.newPage();
    page.setDefaultTimeout(120_000);
    await page.goto(hub.url);
    await page.fill('input[name=username]', 'zoe');
    await page.fill('input[name=password]', 'jupyter');
    await page.click('input[type=submit]');
    await page.waitForURL(/\/user\/zoe\/lab/);
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
    const shot = path.join(profile, 'jupyterlab.png');
    await page.screenshot({ path: shot });
    const kept = path.join(ROOT, 'docs', 'jupyterlab.png');
    mkdirSync(path.dirname(kept), { recursive: true });
    if (process.env['UPDATE_SCREENSHOT'] === '1' || !existsSync(kept)) copyFileSync(shot, kept);
  });
});
