// `npm start`: sets everything up inside the checkout, then runs a real JupyterHub behind the proxy until it is stopped.

import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import {
  build,
  checkNode,
  PYTHON,
  ROOT,
  runMain,
  say,
  setUpPackages,
  setUpPython,
  SetupError,
} from './setup.mjs';

const RUN = path.join(ROOT, 'run');
/** The hub lets servers and requests finish; after this it is killed. */
const PATIENCE_MS = 20_000;

function publicAddress() {
  const host = process.env.HOST || '127.0.0.1';
  const text = process.env.PORT || '8000';
  const port = Number(text);
  if (!/^[0-9]+$/.test(text) || port < 1 || port > 65535)
    throw new SetupError(`PORT must be a number from 1 to 65535, not "${text}"`);
  return { host, port };
}

async function assertFree({ host, port }) {
  const server = net.createServer();
  await new Promise((resolve, reject) => {
    server.once('error', (error) => {
      const reasons = {
        EADDRINUSE: `port ${port} on ${host} is in use by another program: choose another one with PORT=… npm start`,
        EACCES: `no permission for port ${port}: choose one above 1023 with PORT=… npm start`,
      };
      reject(new SetupError(reasons[error.code] ?? `cannot listen on ${host}:${port}: ${error.message}`));
    });
    server.listen({ host, port }, resolve);
  });
  await new Promise((resolve) => server.close(resolve));
}

function isAnswering({ host, port }) {
  return new Promise((resolve) => {
    const socket = net.connect({ host, port }, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

function announce({ host, port }) {
  say('');
  say(`  JupyterHub   http://${host}:${port}`);
  say(
    `  log in       any name, password "${process.env.DEMO_PASSWORD || 'jupyter'}"; "admin" is an administrator`,
  );
  say(`  traefik.toml ${path.join(RUN, 'traefik.toml')}`);
  say(`  rules.toml   ${path.join(RUN, 'rules.toml')}`);
  say('  stop         Ctrl-C');
  say('');
}

runMain(async () => {
  checkNode();
  const address = publicAddress();
  await assertFree(address);
  await setUpPackages();
  await build();
  await setUpPython();
  mkdirSync(RUN, { recursive: true, mode: 0o700 });
  const hub = spawn(PYTHON, ['-m', 'jupyterhub', '-f', path.join(ROOT, 'examples', 'jupyterhub_config.py')], {
    cwd: RUN,
    stdio: 'inherit',
    // A group of its own: Ctrl-C reaches it once, through us, and not twice.
    detached: true,
    env: {
      ...process.env,
      HOST: address.host,
      PORT: String(address.port),
      PATH: `${path.dirname(PYTHON)}${path.delimiter}${process.env.PATH ?? ''}`,
      PYTHONUNBUFFERED: '1',
    },
  });
  let timer;
  const stop = () => {
    if (timer !== undefined) {
      process.kill(-hub.pid, 'SIGKILL');
      return;
    }
    hub.kill('SIGTERM');
    timer = setTimeout(() => process.kill(-hub.pid, 'SIGKILL'), PATIENCE_MS);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, stop);
  const ended = new Promise((resolve) => hub.once('exit', (code, signal) => resolve({ code, signal })));
  const waiting = setInterval(async () => {
    if (!(await isAnswering(address))) return;
    clearInterval(waiting);
    announce(address);
  }, 250);
  const { code } = await ended;
  clearInterval(waiting);
  clearTimeout(timer);
  if (timer === undefined) {
    say(`JupyterHub ended by itself (exit code ${code}); its last lines say why`);
    process.exitCode = code || 1;
  }
});
