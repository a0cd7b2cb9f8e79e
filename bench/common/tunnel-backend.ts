// A server for WebSockets, one process: `node tunnel-backend.js PORT`. It grants every upgrade and sends every byte back.

import { createHash } from 'node:crypto';
import net from 'node:net';

const PORT = Number(process.argv[2]);
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** Some proxies look whether the key has been understood. */
function grant(head: string): string {
  const key = /\r\nsec-websocket-key: *(\S+)/i.exec(head)?.[1] ?? '';
  const accept = createHash('sha1').update(`${key}${GUID}`).digest('base64');
  return `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`;
}

net
  .createServer((socket) => {
    let head = '';
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy());
    const onHead = (chunk: Buffer): void => {
      head += chunk.toString('latin1');
      if (!head.includes('\r\n\r\n')) return;
      socket.off('data', onHead);
      socket.on('data', (bytes: Buffer) => socket.write(bytes));
      socket.write(grant(head));
    };
    socket.on('data', onHead);
  })
  .listen(PORT, '127.0.0.1', 4096);
