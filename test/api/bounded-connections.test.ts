import assert from 'node:assert/strict';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { boundConnections } from '../../src/api/bounded-connections.ts';
import { connect, until } from '../support/sockets.ts';

const GET = 'GET / HTTP/1.1\r\nHost: h\r\n\r\n';

describe('the connections of an API', () => {
  it('are bounded: one more takes the place of the one that has been without a request for longest', async (t) => {
    const held: http.ServerResponse[] = [];
    const server = http.createServer((_request, response) => held.push(response));
    boundConnections(server, 3);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => {
      server.close();
      server.closeAllConnections();
    });
    const { port } = server.address() as AddressInfo;
    const busy = await connect(t, port);
    busy.send(GET);
    await until(() => held.length === 1, 'a request');
    const used = await connect(t, port);
    used.send(GET);
    await until(() => held.length === 2, 'a request');
    const silent = await connect(t, port);
    held[1]?.end('one');
    await used.read('one');
    // Silent for longer than the other has been without a request.
    const fourth = await connect(t, port);
    await silent.readToEnd();
    const fifth = await connect(t, port);
    await used.readToEnd();
    for (const peer of [fourth, fifth]) assert.equal(peer.hasEnded, false);
    held[0]?.end('two');
    await busy.read('two');
  });
});
