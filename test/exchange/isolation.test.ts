// No byte of one user's answer reaches another: servers answer each request with bytes that say whose they are, in pieces of all sizes, to
// clients of all speeds, at the same time.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import {
  entryPoint,
  router,
  service,
  startDataPlane,
  staticConfiguration,
  table,
} from '../support/data-plane.ts';
import { within } from '../support/sockets.ts';

const USERS = 16;
const ROUNDS = 8;
/** Around the sizes at which something changes on the way: joined writes, shared buffers, single reads. */
const SIZES = [0, 1, 100, 4096, 16_383, 16_384, 16_385, 20_000, 65_536, 70_000, 300_000];

function isSlow(user: number): boolean {
  return user % 4 === 0;
}

/** The answer to round `round` of user `user`: a mark, over and over. */
function bodyOf(user: number, round: number): Buffer {
  // Slow users get answers that do not fit into the buffers of the kernel.
  const size = (SIZES[(user + round * 5) % SIZES.length] ?? 0) * (isSlow(user) ? 12 : 1);
  const mark = `<user ${String(user)} round ${String(round)}>`;
  return Buffer.from(mark.repeat(Math.ceil(size / mark.length)).slice(0, size), 'latin1');
}

/** Answers in a few writes of different sizes, with a length or in chunks. */
async function startServer(t: TestContext): Promise<string> {
  const server = createServer((request, response) => {
    const [, user = 0, round = 0] = (request.url ?? '').split('/').map(Number);
    const body = bodyOf(user, round);
    const marks = { 'X-User': String(user), 'X-Round': String(round) };
    response.writeHead(200, (user + round) % 2 === 0 ? { ...marks, 'Content-Length': body.length } : marks);
    let at = 0;
    const writeOn = (): void => {
      if (at >= body.length) {
        response.end();
        return;
      }
      const end = Math.min(body.length, at + 1 + ((at * 7 + user * 31 + round * 101) % 40_000));
      response.write(body.subarray(at, end));
      at = end;
      setImmediate(writeOn);
    };
    writeOn();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
}

/** Takes the body out of an answer that is complete; undefined: more is to come. */
function completeBody(
  text: string,
): { readonly head: string; readonly body: string; readonly rest: string } | undefined {
  const headEnd = text.indexOf('\r\n\r\n');
  if (headEnd < 0) return undefined;
  const head = text.slice(0, headEnd);
  const content = text.slice(headEnd + 4);
  const length = /content-length: (\d+)/i.exec(head)?.[1];
  if (length !== undefined)
    return content.length < Number(length)
      ? undefined
      : { head, body: content.slice(0, Number(length)), rest: content.slice(Number(length)) };
  const pieces: string[] = [];
  let at = 0;
  for (;;) {
    const lineEnd = content.indexOf('\r\n', at);
    if (lineEnd < 0) return undefined;
    const size = Number.parseInt(content.slice(at, lineEnd), 16);
    const next = lineEnd + 2 + size + 2;
    if (content.length < next) return undefined;
    if (size === 0) return { head, body: pieces.join(''), rest: content.slice(next) };
    pieces.push(content.slice(lineEnd + 2, lineEnd + 2 + size));
    at = next;
  }
}

/** One user: asks for all rounds at once, and reads nothing before `begin`. */
function readAll(t: TestContext, port: number, user: number, begin: Promise<unknown>): Promise<void> {
  const socket = net.connect({ port, host: '127.0.0.1' });
  t.after(() => socket.destroy());
  const chunks: Buffer[] = [];
  return new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('end', () => {
      try {
        let text = Buffer.concat(chunks).toString('latin1');
        for (let round = 0; round < ROUNDS; round++) {
          const name = `user ${String(user)}, round ${String(round)}`;
          const answer = completeBody(text);
          assert.ok(answer !== undefined, `${name}: incomplete`);
          assert.match(answer.head, new RegExp(`X-User: ${String(user)}\r\nX-Round: ${String(round)}\r\n`));
          assert.ok(
            answer.body === bodyOf(user, round).toString('latin1'),
            `${name}: bytes of somebody else`,
          );
          text = answer.rest;
        }
        assert.equal(text, '');
        resolve();
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    });
    const requests = Array.from({ length: ROUNDS }, (_, at) => {
      const close = at === ROUNDS - 1 ? 'Connection: close\r\n' : '';
      return `GET /${String(user)}/${String(at)} HTTP/1.1\r\nHost: h\r\n${close}\r\n`;
    });
    socket.write(requests.join(''));
    socket.pause();
    void begin.then(() => socket.resume());
  });
}

describe('users at the same time', () => {
  it('get their own bytes, all of them and nothing else', async (t) => {
    const urls = await Promise.all([startServer(t), startServer(t)]);
    const { port } = await startDataPlane(
      t,
      staticConfiguration([entryPoint('web')]),
      table([router('all', 'PathPrefix(`/`)', 'app')], [service('app', urls)]),
    );
    const users = Array.from({ length: USERS }, (_, user) => user);
    const fast = Promise.all(
      users.filter((user) => !isSlow(user)).map((user) => readAll(t, port('web'), user, Promise.resolve())),
    );
    const slow = users.filter(isSlow).map((user) => readAll(t, port('web'), user, fast));
    await within(Promise.all([fast, ...slow]), 'all answers');
  });
});
