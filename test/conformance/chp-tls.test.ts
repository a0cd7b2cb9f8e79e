// TLS of the configurable-http-proxy command beside the program of that name: who gets in, and with what. Where the two differ, both
// answers are here, and the difference in docs/differences.md.

import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import https from 'node:https';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import tls from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { Authority } from '../support/authority.ts';
import { CHP_TOKEN, startServingChp } from '../support/chp.ts';
import type { Chp } from '../support/chp.ts';
import { temporaryFolder } from '../support/hub-store.ts';
import { listenLocally } from '../support/http-servers.ts';
import { REAL_CHP } from './chp-peer.ts';

const authority = await Authority.create();
const stranger = await Authority.create('CN=another authority');
const server = await authority.issue(['localhost', '127.0.0.1']);
const member = await authority.issue(['member']);
const outsider = await stranger.issue(['outsider']);

/** What arguments mean by these names. */
const FILES: Readonly<Record<string, string>> = {
  CERT: server.cert,
  KEY: server.key,
  ENCRYPTED: createPrivateKey(server.key)
    .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'a passphrase' })
    .toString(),
  CA: authority.cert,
  BOTH_CAS: `${stranger.cert}\n${authority.cert}`,
  MEMBER_CERT: member.cert,
  MEMBER_KEY: member.key,
};

const CLIENTS = {
  nobody: {},
  member,
  outsider,
  'nobody, TLS 1.2': { maxVersion: 'TLSv1.2' },
  'nobody, TLS 1.3': { minVersion: 'TLSv1.3' },
  'nobody, TLS 1.1': { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' },
} as const satisfies Readonly<Record<string, tls.ConnectionOptions>>;

type Client = keyof typeof CLIENTS;

interface Case {
  readonly name: string;
  /** Of the public side; the REST API gets the same where it has such options. */
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** What comes of it: `in` with a protocol and a suite where these matter, or `out`. Two: theirs, and ours. */
  readonly want: Readonly<Partial<Record<Client, string | readonly [theirs: string, ours: string]>>>;
}

const PAIR = ['--ssl-key', 'KEY', '--ssl-cert', 'CERT'];
const EVERYBODY = { nobody: 'in', member: 'in', outsider: 'in' } as const;
const MEMBERS = { nobody: 'out', member: 'in', outsider: 'out' } as const;

const CASES: readonly Case[] = [
  {
    name: 'a key with a passphrase, and a certificate',
    args: ['--ssl-key', 'ENCRYPTED', '--ssl-cert', 'CERT', '--ssl-ca', 'CA', '--ssl-allow-rc4'],
    env: {
      CONFIGPROXY_SSL_KEY_PASSPHRASE: 'a passphrase',
      CONFIGPROXY_API_SSL_KEY_PASSPHRASE: 'a passphrase',
    },
    want: { ...EVERYBODY, 'nobody, TLS 1.2': 'in', 'nobody, TLS 1.3': 'in', 'nobody, TLS 1.1': 'out' },
  },
  {
    name: 'certificates of clients',
    args: [...PAIR, '--ssl-ca', 'CA', '--ssl-request-cert', '--ssl-reject-unauthorized'],
    want: MEMBERS,
  },
  {
    name: 'certificates of clients of two authorities, and one version',
    args: [...PAIR, '--ssl-ca', 'BOTH_CAS', '--ssl-request-cert', '--ssl-protocol', 'TLSv1_2'],
    want: { nobody: 'out', member: 'in', outsider: 'in', 'nobody, TLS 1.3': 'out' },
  },
  {
    name: 'certificates that nobody is asked for',
    args: [...PAIR, '--ssl-ca', 'CA', '--ssl-reject-unauthorized'],
    want: { nobody: ['in', 'out'], member: 'in', outsider: ['in', 'out'] },
  },
  {
    name: 'ciphers, in their order',
    args: [...PAIR, '--ssl-ciphers', 'ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256'],
    want: { 'nobody, TLS 1.2': 'in ECDHE-ECDSA-AES256-GCM-SHA384', 'nobody, TLS 1.3': 'in' },
  },
];

/** The arguments for both sides, with files instead of their names. */
function argumentsOf(args: readonly string[], folder: string): string[] {
  const api = args.map((text) =>
    text.replace(/^--ssl-(?=key|cert|ca|request-cert|reject-unauthorized)/, '--api-ssl-'),
  );
  return [...new Set([...pairs(args), ...pairs(api)].map((pair) => pair.join(' ')))]
    .flatMap((pair) => pair.split(' '))
    .map((text) => (text in FILES ? join(folder, text) : text));
}

/** Options with their values. */
function pairs(args: readonly string[]): string[][] {
  const found: string[][] = [];
  for (const text of args)
    if (text.startsWith('--')) found.push([text]);
    else found.at(-1)?.push(text);
  return found;
}

function writeFiles(t: TestContext): string {
  const folder = temporaryFolder(t);
  for (const [name, text] of Object.entries(FILES)) writeFileSync(join(folder, name), text);
  return folder;
}

function startBoth(
  t: TestContext,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<readonly Chp[]> {
  return Promise.all(
    [{ program: REAL_CHP }, {}].map((program) => startServingChp(t, { args, env, ...program })),
  );
}

/** `in …` when there is an answer. */
function enter(port: number, path: string, client: Client): Promise<string> {
  return new Promise((resolve) => {
    let received = '';
    let suite = '';
    const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...CLIENTS[client] });
    socket.on('secureConnect', () => {
      suite = socket.getCipher().name;
      socket.write(
        `GET ${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: token ${CHP_TOKEN}\r\nConnection: close\r\n\r\n`,
      );
    });
    socket.on('data', (chunk: Buffer) => (received += chunk.toString('latin1')));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      resolve(received.startsWith('HTTP/1.1 200') ? `in ${suite}` : 'out');
    });
  });
}

describe('TLS beside configurable-http-proxy', () => {
  for (const { name, args, env = {}, want } of CASES)
    it(name, async (t) => {
      const given = argumentsOf(args, writeFiles(t));
      for (const [index, chp] of (await startBoth(t, given, env)).entries()) {
        for (const [client, wanted] of Object.entries(want) as [Client, string | readonly string[]][]) {
          const expected = typeof wanted === 'string' ? wanted : (wanted[index] ?? '');
          for (const [port, path] of [
            [chp.port, '/_chp_healthz'],
            [chp.apiPort, '/api/routes'],
          ] as const) {
            const seen = await enter(port, path, client);
            assert.ok(
              seen.startsWith(expected),
              `${index === 0 ? 'theirs' : 'ours'}, ${path}, ${client}: ${seen}, expected ${expected}`,
            );
          }
        }
      }
    });
});

describe('https targets beside configurable-http-proxy', () => {
  const asking = { ...server, ca: authority.cert, requestCert: true, rejectUnauthorized: true };
  const targets: Readonly<Record<string, https.ServerOptions>> = {
    known: server,
    stranger: outsider,
    asking,
    'TLS 1.3': { ...server, minVersion: 'TLSv1.3' },
  };
  const cases: readonly {
    readonly name: string;
    readonly args: readonly string[];
    readonly env?: readonly string[];
    readonly want: Readonly<Record<string, number | readonly [theirs: number, ours: number]>>;
  }[] = [
    {
      name: 'an authority of the environment',
      args: [],
      env: ['NODE_EXTRA_CA_CERTS'],
      want: { known: 200, stranger: 503 },
    },
    { name: '--insecure', args: ['--insecure'], want: { known: [503, 200], stranger: [503, 200] } },
    {
      name: 'an authority, with options of the public side that do not count here',
      args: ['--client-ssl-ca', 'BOTH_CAS', '--ssl-protocol', 'TLSv1_2'],
      want: { known: 200, 'TLS 1.3': 200, asking: 503 },
    },
    {
      name: 'a certificate to show',
      args: [
        ...['--client-ssl-ca', 'CA', '--client-ssl-key', 'MEMBER_KEY', '--client-ssl-cert', 'MEMBER_CERT'],
        ...['--client-ssl-request-cert', '--client-ssl-reject-unauthorized'],
      ],
      want: { asking: 200, known: 200, stranger: 503 },
    },
  ];
  for (const { name, args, env = [], want } of cases)
    it(name, async (t) => {
      const folder = writeFiles(t);
      const given = args.map((text) => (text in FILES ? join(folder, text) : text));
      const environment = Object.fromEntries(env.map((variable) => [variable, join(folder, 'CA')]));
      const urls = new Map<string, string>();
      for (const target of Object.keys(want)) {
        const peer = https.createServer(targets[target] ?? {}, (asked, answer) => {
          answer.end(String((asked.socket as TLSSocket).authorized));
        });
        peer.on('tlsClientError', () => undefined);
        urls.set(target, `https://127.0.0.1:${String(await listenLocally(t, peer))}`);
      }
      for (const [index, chp] of (await startBoth(t, given, environment)).entries()) {
        for (const [target, wanted] of Object.entries(want)) {
          const path = `/${encodeURIComponent(target)}`;
          await chp.call('POST', `/api/routes${path}`, { target: urls.get(target) });
          const { status } = await fetch(`http://127.0.0.1:${String(chp.port)}${path}`);
          const expected = typeof wanted === 'number' ? wanted : wanted[index];
          assert.equal(status, expected, `${index === 0 ? 'theirs' : 'ours'}: ${target}`);
        }
      }
    });
});
