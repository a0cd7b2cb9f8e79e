// A real JupyterHub in a folder of its own, with the example's configuration and a service that may do everything.

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import {
  createWriteStream,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Agent, request } from 'undici';
import WebSocket from 'ws';

/** The checkout; this file runs as dist/test/support/hub.js. */
export const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
export const PYTHON = process.env['JTP_PYTHON'] ?? path.join(ROOT, '.venv', 'bin', 'python');
export const PROGRAM = path.join(ROOT, 'bin', 'jupyterhub-traefik-proxy.js');

const TOKEN = 'a-token-of-the-tests';
/** Python starts slowly on a busy machine. */
const START_MS = 90_000;

/** Ports that nobody used a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<net.Server>((resolve) => {
          const server = net.createServer();
          server.listen(0, '127.0.0.1', () => {
            resolve(server);
          });
        }),
    ),
  );
  const ports = servers.map((server) => {
    const address = server.address();
    return address !== null && typeof address === 'object' ? address.port : 0;
  });
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** Asks again until `isTrue` or the time is over; `what` is for the error. */
export async function until(
  what: string,
  isTrue: () => Promise<boolean> | boolean,
  ms = 60_000,
): Promise<void> {
  const deadline = Date.now() + ms;
  let last: unknown;
  while (Date.now() < deadline) {
    try {
      if (await isTrue()) return;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`waited too long for ${what}`, { cause: last });
}

/** An answer with its body read. */
export interface Answer {
  readonly status: number;
  readonly text: string;
}

/** Where a hub is reached that its configuration has put elsewhere than at `publicPort`. */
export interface HubPlace {
  readonly port?: number;
  /** A Unix socket. */
  readonly socket?: string;
  /** For requests that name no host. */
  readonly host?: string;
  /** Base URL without the slash at its end. */
  readonly base?: string;
  /** PEM of the authority of its certificate, when it is reached with TLS. */
  readonly ca?: string;
}

/** One JupyterHub. */
export class Hub {
  readonly folder: string;
  readonly publicPort: number;
  readonly #ports: { readonly api: number; readonly hub: number };
  readonly #extraConfig: string;
  readonly #place: HubPlace;
  readonly #agent: Agent;
  #process: ChildProcess | undefined;

  constructor(folder: string, ports: readonly number[], extraConfig: string, place: HubPlace) {
    const [publicPort = 0, api = 0, hub = 0] = ports;
    this.folder = folder;
    this.publicPort = place.port ?? publicPort;
    this.#place = place;
    this.#agent = new Agent({
      connect: {
        ...(place.socket === undefined ? {} : { socketPath: place.socket }),
        ...(place.ca === undefined ? {} : { ca: place.ca }),
      },
    });
    this.#ports = { api, hub };
    this.#extraConfig = extraConfig;
  }

  get url(): string {
    const scheme = this.#place.ca === undefined ? 'http' : 'https';
    return `${scheme}://127.0.0.1:${String(this.publicPort)}`;
  }

  get apiPort(): number {
    return this.#ports.api;
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  get rules(): string {
    return readFileSync(path.join(this.folder, 'rules.toml'), 'utf8');
  }

  get log(): string {
    return readFileSync(path.join(this.folder, 'hub.log'), 'utf8');
  }

  /** The supervisor of the proxy that the hub runs with. */
  get supervisorPid(): number {
    const state: unknown = JSON.parse(
      readFileSync(path.join(this.folder, 'jupyterhub-traefik-proxy.json'), 'utf8'),
    );
    return typeof state === 'object' && state !== null && 'pid' in state ? Number(state.pid) : 0;
  }

  async start(): Promise<void> {
    writeFileSync(
      path.join(this.folder, 'config.py'),
      [
        `load_subconfig(${JSON.stringify(path.join(ROOT, 'examples', 'jupyterhub_config.py'))})`,
        `c.TraefikProxy.command = ${JSON.stringify([process.execPath, PROGRAM])}`,
        `c.JupyterHub.services = [{"name": "tests", "api_token": ${JSON.stringify(TOKEN)}}]`,
        'c.JupyterHub.load_roles = [{"name": "tests", "services": ["tests"], "scopes": ["admin:users", "admin:servers", "access:servers", "tokens", "proxy"]}]',
        'c.JupyterHub.last_activity_interval = 0',
        this.#extraConfig,
      ].join('\n'),
    );
    const log = createWriteStream(path.join(this.folder, 'hub.log'), { flags: 'a' });
    const child = spawn(PYTHON, ['-m', 'jupyterhub', '-f', 'config.py'], {
      cwd: this.folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      env: {
        ...process.env,
        HOST: '127.0.0.1',
        PORT: String(this.publicPort),
        API_PORT: String(this.#ports.api),
        HUB_PORT: String(this.#ports.hub),
        PATH: `${path.dirname(PYTHON)}${path.delimiter}${process.env['PATH'] ?? ''}`,
        PYTHONUNBUFFERED: '1',
      },
    });
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    this.#process = child;
    const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null;
    await until(
      'JupyterHub to start',
      async () => hasEnded() || (await this.request('GET', this.#api(''))).status === 200,
      START_MS,
    ).catch((error: unknown) => {
      throw new Error(`JupyterHub did not start:\n${this.log.slice(-3000)}`, { cause: error });
    });
    if (hasEnded()) throw new Error(`JupyterHub has ended:\n${this.log.slice(-3000)}`);
  }

  #api(target: string): string {
    return `${this.#place.base ?? ''}/hub/api/${target}`;
  }

  /** A request through the proxy with the service's token; `target` is a path, or a URL, of which the host counts. */
  async request(method: string, target: string, body?: unknown): Promise<Answer> {
    const { host, path: asked } = this.#address(target);
    // Unlike fetch, this sends the Host it is given.
    const { statusCode, body: answer } = await request(this.url + asked, {
      method: method as 'GET',
      dispatcher: this.#agent,
      headers: {
        ...(host === undefined ? {} : { host }),
        authorization: `token ${TOKEN}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: statusCode, text: await answer.text() };
  }

  #address(target: string): { readonly host: string | undefined; readonly path: string } {
    if (target.startsWith('/')) return { host: this.#place.host, path: target };
    const { host, pathname, search } = new URL(target);
    return { host, path: pathname + search };
  }

  /** The same, as JSON; throws when the status is not a success. */
  async json(method: string, target: string, body?: unknown): Promise<Record<string, unknown>> {
    const { status, text } = await this.request(method, target, body);
    if (status >= 300) throw new Error(`${method} ${target}: ${String(status)} ${text.slice(0, 300)}`);
    const value: unknown = text === '' ? {} : JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : {};
  }

  /** Makes a user and starts a server; returns the server's path, `/user/zoe/`. */
  async startServer(user: string, server = ''): Promise<string> {
    const name = encodeURIComponent(user);
    const made = await this.request('POST', this.#api(`users/${name}`));
    if (made.status !== 201 && made.status !== 409) throw new Error(`user ${user}: ${made.text}`);
    const target = this.#api(server === '' ? `users/${name}/server` : `users/${name}/servers/${server}`);
    const started = await this.request('POST', target, {});
    if (started.status >= 300 && !started.text.includes('already running'))
      throw new Error(`server of ${user}: ${String(started.status)} ${started.text}`);
    let url = '';
    await until(`the server of ${user}`, async () => {
      const model = await this.json('GET', this.#api(`users/${name}`));
      const servers = model['servers'];
      if (typeof servers !== 'object' || servers === null) return false;
      const found: unknown = Object.getOwnPropertyDescriptor(servers, server)?.value;
      if (typeof found !== 'object' || found === null || !('ready' in found) || found.ready !== true)
        return false;
      url = 'url' in found ? String(found.url) : '';
      return true;
    });
    return url;
  }

  async stopServer(user: string, server = ''): Promise<void> {
    const name = encodeURIComponent(user);
    const target = this.#api(server === '' ? `users/${name}/server` : `users/${name}/servers/${server}`);
    await this.request('DELETE', target);
    await until(`the server of ${user} to stop`, async () => {
      const model = await this.json('GET', this.#api(`users/${name}`));
      const servers = model['servers'];
      return typeof servers === 'object' && servers !== null && !(server in servers);
    });
  }

  /** A kernel of the user's server with its WebSocket. */
  async openKernel(server: string): Promise<Kernel> {
    const kernel = await this.json('POST', `${server}api/kernels`, { name: 'python3' });
    const { host, path: asked } = this.#address(`${server}api/kernels/${String(kernel['id'])}/channels`);
    const { socket, ca } = this.#place;
    const base = socket === undefined ? this.url.replace('http', 'ws') : `ws+unix:${socket}:`;
    return Kernel.open(base + asked, host, ca);
  }

  /** The hub process alone, without any farewell. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (child?.pid === undefined) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    process.kill(child.pid, 'SIGKILL');
    await ended;
  }

  /** Ends everything, orderly; returns when the hub has ended. */
  async stop(): Promise<void> {
    const child = this.#process;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), 30_000);
    await ended;
    clearTimeout(timer);
  }

  /** Ends everything that is still there and removes the folder. */
  async dispose(): Promise<void> {
    await this.stop();
    await this.#agent.close();
    endLeftOvers(this.folder);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A hub that is not started yet; whoever makes it calls `dispose`. */
export async function createHub(extraConfig = '', place: HubPlace = {}): Promise<Hub> {
  const folder = mkdtempSync(path.join(tmpdir(), 'jtp-e2e-'));
  return new Hub(folder, await freePorts(3), extraConfig, place);
}

/** Whatever a killed hub has left behind: its proxy, its servers and their kernels work in its folder. */
function endLeftOvers(folder: string): void {
  for (const pid of readdirSync('/proc')) {
    if (!/^[0-9]+$/.test(pid)) continue;
    try {
      const place = readlinkSync(`/proc/${pid}/cwd`);
      if (place === folder || place.startsWith(`${folder}/`)) process.kill(Number(pid), 'SIGKILL');
    } catch {
      // It has ended in the meantime, or is somebody else's.
    }
  }
}

/** Process ids of the children of a process whose title begins with `title`. */
export function childrenOf(pid: number, title: string): number[] {
  const ids = readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, 'utf8')
    .split(' ')
    .filter((id) => id.trim() !== '')
    .map(Number);
  return ids.filter((id) => readFileSync(`/proc/${String(id)}/cmdline`, 'utf8').startsWith(title));
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !readFileSync(`/proc/${String(pid)}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}

/** The WebSocket of a kernel. */
export class Kernel {
  readonly #socket: WebSocket;
  readonly #session = `session-${String(Math.random())}`;
  isClosed = false;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('close', () => {
      this.isClosed = true;
    });
    socket.on('error', () => {
      this.isClosed = true;
    });
  }

  static async open(url: string, host?: string, ca?: string): Promise<Kernel> {
    const headers = { authorization: `token ${TOKEN}`, ...(host === undefined ? {} : { host }) };
    const socket = new WebSocket(url, { headers, ...(ca === undefined ? {} : { ca }) });
    await new Promise((resolve, reject) => {
      socket.once('open', resolve);
      socket.once('error', reject);
    });
    return new Kernel(socket);
  }

  /** Runs code and returns what it printed. */
  run(code: string): Promise<string> {
    const id = `message-${String(Math.random())}`;
    return new Promise((resolve, reject) => {
      let printed = '';
      const timer = setTimeout(() => {
        reject(new Error(`the kernel did not answer; it printed ${JSON.stringify(printed)}`));
      }, 60_000);
      const listen = (data: WebSocket.RawData): void => {
        const message = JSON.parse((data as Buffer).toString('utf8')) as {
          parent_header: { msg_id?: string };
          header: { msg_type: string };
          content: { text?: string; execution_state?: string };
        };
        if (message.parent_header.msg_id !== id) return;
        if (message.header.msg_type === 'stream') printed += message.content.text ?? '';
        if (message.header.msg_type !== 'status' || message.content.execution_state !== 'idle') return;
        clearTimeout(timer);
        this.#socket.off('message', listen);
        resolve(printed);
      };
      this.#socket.on('message', listen);
      this.#socket.send(
        JSON.stringify({
          header: {
            msg_id: id,
            msg_type: 'execute_request',
            username: '',
            session: this.#session,
            version: '5.3',
            date: '',
          },
          parent_header: {},
          metadata: {},
          channel: 'shell',
          content: { code, silent: false, store_history: false, user_expressions: {}, allow_stdin: false },
        }),
      );
    });
  }

  close(): void {
    this.#socket.terminate();
  }
}
