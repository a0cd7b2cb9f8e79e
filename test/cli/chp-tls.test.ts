// TLS of the configurable-http-proxy command on all three sides, with client certificates.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import https from 'node:https';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { Agent } from 'undici';
import { Authority } from '../support/authority.ts';
import type { IssuedPair } from '../support/authority.ts';
import { CHP_TOKEN, startServingChp } from '../support/chp.ts';
import { freePorts } from '../support/free-ports.ts';
import { listenLocally } from '../support/http-servers.ts';
import { temporaryFolder } from '../support/hub-store.ts';
import { until } from '../support/sockets.ts';

/** A server that wants to know who asks. */
async function startTarget(t: TestContext, authority: Authority, pair: IssuedPair): Promise<string> {
  const server = https.createServer(
    { ...pair, ca: authority.cert, requestCert: true, rejectUnauthorized: true },
    (asked, answer) => {
      answer.end(`hello ${String((asked.socket as TLSSocket).getPeerCertificate().subject.CN)}`);
    },
  );
  return `https://127.0.0.1:${String(await listenLocally(t, server))}`;
}

describe('configurable-http-proxy with TLS', () => {
  it('asks clients and callers of the API for certificates, and has one to show to targets', async (t) => {
    const folder = temporaryFolder(t);
    const authority = await Authority.create();
    const server = await authority.issue(['localhost', '127.0.0.1']);
    const client = await authority.issue(['proxy-client']);
    const stranger = await (await Authority.create('CN=another')).issue(['stranger']);
    const file = (name: string, text: string): string => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    const cert = file('server.crt', server.cert);
    const key = file('server.key', server.key);
    const ca = file('ca.crt', authority.cert);
    const [redirectPort = 0] = await freePorts(1);
    const target = await startTarget(t, authority, server);
    const chp = await startServingChp(t, {
      args: [
        ...['--ssl-key', key, '--ssl-cert', cert, '--ssl-ca', ca, '--ssl-request-cert'],
        ...['--ssl-reject-unauthorized', '--ssl-protocol', 'TLSv1_2'],
        ...['--api-ssl-key', key, '--api-ssl-cert', cert, '--api-ssl-ca', ca],
        ...['--api-ssl-request-cert', '--api-ssl-reject-unauthorized'],
        ...[
          '--client-ssl-key',
          file('client.key', client.key),
          '--client-ssl-cert',
          file('client.crt', client.cert),
        ],
        ...['--client-ssl-ca', ca, '--client-ssl-request-cert', '--client-ssl-reject-unauthorized'],
        ...['--redirect-port', String(redirectPort), '--default-target', target],
      ],
    });
    const added = /Added HTTP to HTTPS redirection from http:\/\/\*:\d+ to https:\/\/127\.0\.0\.1:\d+\n/;
    await until(() => added.test(chp.output()), 'the redirection to be told');
    const ask = async (port: number, pair: Partial<IssuedPair>, path = '/'): Promise<string> => {
      const agent = new Agent({ connect: { ca: authority.cert, ...pair } });
      t.after(() => agent.destroy());
      const { statusCode, body } = await agent.request({
        origin: `https://127.0.0.1:${String(port)}`,
        method: 'GET',
        path,
        headers: { authorization: `token ${CHP_TOKEN}` },
      });
      return `${String(statusCode)} ${await body.text()}`;
    };
    assert.equal(await ask(chp.port, client), '200 hello proxy-client');
    assert.match(await ask(chp.apiPort, client, '/api/routes'), /^200 \{"\/"/);
    for (const port of [chp.port, chp.apiPort]) {
      await assert.rejects(ask(port, {}), 'without a certificate');
      await assert.rejects(ask(port, stranger), 'with somebody else’s');
    }
    const plain = new Agent();
    t.after(() => plain.destroy());
    const { statusCode, headers, body } = await plain.request({
      origin: `http://127.0.0.1:${String(redirectPort)}`,
      method: 'GET',
      path: '/a?b',
    });
    await body.dump();
    assert.equal(statusCode, 301);
    assert.equal(headers['location'], `https://127.0.0.1:${String(chp.port)}/a?b`);
  });
});
