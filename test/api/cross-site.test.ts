// What pages of other sites in a browser on the machine can do with an API that asks for no token: nothing.

import assert from 'node:assert/strict';
import { hostname } from 'node:os';
import { describe, it } from 'node:test';
import { startApi } from '../support/chp-api.ts';

const TARGET = 'http://127.0.0.1:1234';
const REFUSED = /^403 \(text\/plain; charset=utf-8\) This API /;

const cases: readonly {
  name: string;
  method?: string;
  headers: Readonly<Record<string, string>>;
  isRefused: boolean;
  host?: string;
}[] = [
  { name: 'a program', headers: {}, isRefused: false },
  { name: 'the page of another site', headers: { origin: 'https://evil.test' }, isRefused: true },
  { name: 'a page that hides where it is from', headers: { origin: 'null' }, isRefused: true },
  { name: 'nonsense', headers: { origin: 'evil' }, isRefused: true },
  {
    name: 'a page on another port of this machine',
    headers: { host: 'localhost:8001', origin: 'http://localhost:8888' },
    isRefused: true,
  },
  {
    name: 'a page on another port that does not tell',
    headers: { host: 'localhost:8001', 'sec-fetch-site': 'same-site' },
    isRefused: true,
  },
  { name: 'a link on another site', headers: { 'sec-fetch-site': 'cross-site' }, isRefused: true },
  {
    name: 'a page of its own',
    headers: { host: 'localhost:8001', origin: 'http://localhost:8001', 'sec-fetch-site': 'same-origin' },
    isRefused: false,
  },
  { name: 'a person', headers: { host: 'localhost:8001', 'sec-fetch-site': 'none' }, isRefused: false },
  {
    name: 'a name that means this machine since a moment',
    headers: { host: 'evil.test:8001' },
    isRefused: true,
  },
  {
    name: 'the same with an origin that fits',
    headers: { host: 'evil.test:8001', origin: 'http://evil.test:8001', 'sec-fetch-site': 'same-origin' },
    isRefused: true,
  },
  { name: 'a name that only begins well', headers: { host: 'localhost.evil.test' }, isRefused: true },
  { name: 'an address', headers: { host: '127.0.0.1:8001' }, isRefused: false },
  { name: 'an address of version 6', headers: { host: '[::1]:8001' }, isRefused: false },
  { name: 'localhost with a dot', headers: { host: 'LocalHost.:8001' }, isRefused: false },
  { name: 'a name below localhost', headers: { host: 'hub.localhost' }, isRefused: false },
  { name: 'localhost.localdomain', headers: { host: 'localhost.localdomain:8001' }, isRefused: false },
  { name: 'a name without a domain', headers: { host: 'hub:8001' }, isRefused: false },
  { name: 'the name of this machine', headers: { host: hostname() }, isRefused: false },
  { name: 'any name, from elsewhere', host: '0.0.0.0', headers: { host: 'hub.test' }, isRefused: false },
  {
    name: 'the page of another site, from elsewhere',
    host: '0.0.0.0',
    headers: { origin: 'https://evil.test' },
    isRefused: true,
  },
];

describe('the API without a token', () => {
  for (const { name, headers, isRefused, host = '127.0.0.1' } of cases)
    it(`${isRefused ? 'refuses' : 'answers'} ${name}`, async (t) => {
      const { call, routes } = await startApi(t, { token: '', address: { host, port: 0 } });
      await call('POST', '/api/routes/old', { target: TARGET }, '');
      const ask = (method: string, path: string, body?: unknown) => call(method, path, body, headers);
      const answers = [
        await ask('GET', '/api/routes'),
        await ask('POST', '/api/routes/new', { target: TARGET }),
        await ask('DELETE', '/api/routes/old'),
      ];
      for (const answer of answers)
        if (isRefused) assert.match(answer, REFUSED);
        else assert.match(answer, /^20[014]/);
      assert.deepEqual(Object.keys(await routes()), [isRefused ? '/old' : '/new']);
    });

  it('listens on a Unix socket under any name', async (t) => {
    const { call } = await startApi(t, { token: '', address: { path: '/run/api.sock' } });
    assert.match(await call('GET', '/api/routes', undefined, { host: 'hub.test' }), /^200/);
  });
});

describe('the API with a token', () => {
  it('cares for nothing else', async (t) => {
    const { call } = await startApi(t);
    const headers = { host: 'hub.test', origin: 'https://hub.test', 'sec-fetch-site': 'same-site' };
    assert.match(
      await call('GET', '/api/routes', undefined, { ...headers, authorization: 'token secret' }),
      /^200/,
    );
    assert.equal(await call('GET', '/api/routes', undefined, headers), '403');
  });
});
