// A service manager's side of sd_notify(3): a datagram socket, which Node does not have, so Python holds it.

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { eventually } from './engine.ts';
import { temporaryFolder } from './hub-store.ts';

const RECEIVER = `import json, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print(json.dumps(""), flush=True)
while True:
    print(json.dumps(s.recv(65536).decode()), flush=True)`;

/** What has been told, one message per entry. */
export interface NotifySocket {
  readonly path: string;
  readonly messages: readonly string[];
}

/** Opens a socket that ends with the test. */
export async function openNotifySocket(t: TestContext): Promise<NotifySocket> {
  const path = join(temporaryFolder(t), 'notify.sock');
  const child = spawn('python3', ['-c', RECEIVER, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  t.after(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  let text = '';
  let isOpen = false;
  const messages: string[] = [];
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString('utf8');
    const lines = text.split('\n');
    text = lines.pop() ?? '';
    for (const line of lines) {
      const message: unknown = JSON.parse(line);
      if (!isOpen) isOpen = true;
      // systemd-notify asks at the end of each message whether it has been read.
      else if (typeof message === 'string' && message !== 'BARRIER=1') messages.push(message);
    }
  });
  await eventually('the receiver', () => isOpen);
  return { path, messages };
}
