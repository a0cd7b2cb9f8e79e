// The server behind every proxy, one process: `node backend.js PORT`. It finds the end of a head by its last bytes and answers with
// what was made ready before, so that little of the machine goes to it. GET /… : 60 bytes; GET …/1m : 1 MiB; requests with a
// Content-Length are read to their end first.

import net from 'node:net';

const PORT = Number(process.argv[2]);
const HEAD_END = Buffer.from('\r\n\r\n');
const MEBIBYTE = 1024 * 1024;

function answer(length: number): string {
  return (
    'HTTP/1.1 200 OK\r\nServer: TornadoServer/6.4.1\r\nContent-Type: text/html; charset=UTF-8\r\nDate: Tue, 02 Jun 2026 08:00:00 GMT\r\n' +
    "X-Content-Type-Options: nosniff\r\nContent-Security-Policy: frame-ancestors 'self'; report-uri /hub/security/csp-report\r\n" +
    `Etag: "5f1ad2cbb3c8e3a6a9e8c1a0b1c2d3e4"\r\nContent-Length: ${String(length)}\r\n\r\n`
  );
}

const SMALL = Buffer.from(answer(60) + 'x'.repeat(60), 'latin1');
const LARGE = Buffer.from(answer(MEBIBYTE) + 'x'.repeat(MEBIBYTE), 'latin1');

function serve(socket: net.Socket): void {
  let before: Buffer | undefined;
  let rest = 0;
  let reply = SMALL;
  socket.setNoDelay(true);
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk: Buffer) => {
    let bytes = chunk;
    if (before !== undefined) bytes = Buffer.concat([before, chunk]);
    before = undefined;
    let at = 0;
    while (at < bytes.length) {
      if (rest > 0) {
        const taken = Math.min(rest, bytes.length - at);
        rest -= taken;
        at += taken;
        if (rest > 0) return;
        socket.write(reply);
        continue;
      }
      const end = bytes.indexOf(HEAD_END, at);
      if (end < 0) {
        before = bytes.subarray(at);
        return;
      }
      const isGet = bytes[at] === 0x47;
      const line = bytes.latin1Slice(at, bytes.indexOf(13, at));
      reply = line.endsWith('/1m HTTP/1.1') ? LARGE : SMALL;
      if (!isGet) rest = Number(/\r\ncontent-length: *([0-9]+)/i.exec(bytes.latin1Slice(at, end))?.[1] ?? 0);
      at = end + HEAD_END.length;
      if (rest === 0) socket.write(reply);
    }
  });
}

net.createServer(serve).listen(PORT, '127.0.0.1', 4096);
