// The server behind tunnels, one process: `node echo-backend.js PORT`. An upgrade gets 101 and then everything back; any other GET gets a
// short answer.

import net from 'node:net';

const PORT = Number(process.argv[2]);
const ANSWER = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok';
const SWITCH =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n';

function serve(socket: net.Socket): void {
  let head = '';
  let isTunnel = false;
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk: Buffer) => {
    if (isTunnel) {
      socket.write(chunk);
      return;
    }
    head += chunk.toString('latin1');
    if (!head.includes('\r\n\r\n')) return;
    isTunnel = /\r\nupgrade: websocket/i.test(head);
    socket.write(isTunnel ? SWITCH : ANSWER);
    head = '';
  });
}

net.createServer({ noDelay: true }, serve).listen(PORT, '127.0.0.1', 4096);
