import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startApi } from '../support/chp-api.ts';

const TARGET = 'http://127.0.0.1:1234';

const PLAIN = '(text/plain; charset=utf-8)';

describe('answers', () => {
  const cases: readonly { asks: readonly [string, string, unknown?, string?]; want: string | RegExp }[] = [
    { asks: ['GET', '/'], want: `404 ${PLAIN} Not Found` },
    { asks: ['GET', '/api'], want: `404 ${PLAIN} Not Found` },
    { asks: ['GET', '/api/'], want: `404 ${PLAIN} Not Found` },
    { asks: ['GET', '/api/routesx', undefined, ''], want: `404 ${PLAIN} Not Found` },
    { asks: ['PUT', '/api/routes/x', undefined, ''], want: `405 ${PLAIN} Method not supported` },
    { asks: ['PATCH', '/api/routes'], want: `405 ${PLAIN} Method not supported` },
    { asks: ['OPTIONS', '/api/routes/'], want: `405 ${PLAIN} Method not supported` },
    { asks: ['HEAD', '/api/routes'], want: '405' },
    { asks: ['GET', '/api/routes', undefined, ''], want: '403' },
    { asks: ['GET', '/api/routes', undefined, 'token wrong'], want: '403' },
    { asks: ['GET', '/api/routes', undefined, 'Bearer secret'], want: '403' },
    { asks: ['GET', '/api/routes', undefined, 'Token secret'], want: '403' },
    { asks: ['GET', '/api/routes', undefined, 'token \t secret'], want: '200 (application/json) {}' },
    { asks: ['POST', '/api/routes/x', '{', ''], want: '403' },
    { asks: ['POST', '/api/routes/x', ''], want: /^400 \(text.*\) Body not valid JSON: / },
    { asks: ['POST', '/api/routes/x', '{'], want: /^400 \(text.*\) Body not valid JSON: / },
    { asks: ['POST', '/api/routes/x', 'null'], want: `400 ${PLAIN} Must specify 'target' as string` },
    { asks: ['POST', '/api/routes/x', '[]'], want: `400 ${PLAIN} Must specify 'target' as string` },
    { asks: ['POST', '/api/routes/x', { target: 1 }], want: `400 ${PLAIN} Must specify 'target' as string` },
    {
      asks: ['POST', '/api/routes/x', { target: 'not a url' }],
      want: /^400 \(text.*\) target "not a url": expected/,
    },
    { asks: ['POST', '/api/routes/%zz', { target: TARGET }], want: /^400 \(text.*\) Invalid path/ },
    { asks: ['POST', '/api/routes/x', { target: TARGET }], want: '201' },
    { asks: ['GET', '/api/routes/x'], want: '404' },
    { asks: ['DELETE', '/api/routes/x'], want: '404' },
    { asks: ['DELETE', '/api/routes'], want: '404' },
    {
      asks: ['GET', '/api/routes?inactiveSince=x'],
      want: `400 ${PLAIN} Invalid datestamp 'x' must be ISO8601.`,
    },
    { asks: ['GET', '/api/routes?inactive_since='], want: '200 (application/json) {}' },
    { asks: ['GET', '/api/routes?inactiveSince=2030'], want: '200 (application/json) {}' },
  ];
  for (const { asks, want } of cases)
    it(`${asks[0]} ${asks[1]} ${JSON.stringify(asks[2]) ?? ''} ${asks[3] ?? ''}`.trim(), async (t) => {
      const { call } = await startApi(t);
      const got = await call(...asks);
      if (typeof want === 'string') assert.equal(got, want);
      else assert.match(got, want);
    });

  it('everybody when there is no token', async (t) => {
    const { call } = await startApi(t, { token: '' });
    assert.equal(await call('GET', '/api/routes', undefined, ''), '200 (application/json) {}');
  });
});

describe('a path with dots', () => {
  for (const path of [
    '/user/mallory/..',
    '/user/mallory/../',
    '/user/mallory/.%2E/x',
    '/user/%2e',
    '/user/mallory\\..\\x',
  ])
    it(`is refused: ${path}`, async (t) => {
      const { call, routes } = await startApi(t);
      assert.match(await call('POST', `/api/routes${path}`, { target: TARGET }), /^400 .*the path has "\."/);
      assert.match(await call('DELETE', `/api/routes${path}`), /^400 /);
      assert.deepEqual(await routes(), {});
    });

  it('is not refused for dots in names', async (t) => {
    const { call, routes } = await startApi(t);
    for (const path of ['/user/...', '/user/.hidden', '/user/a..b', '/user/%252e%252e'])
      assert.match(await call('POST', `/api/routes${path}`, { target: TARGET }), /^201/);
    assert.equal(Object.keys(await routes()).length, 4);
  });
});

describe('the keys of routes', () => {
  const cases: readonly { path: string; key: string; host?: boolean; also?: string }[] = [
    { path: '', key: '/' },
    { path: '/', key: '/' },
    { path: '/user/zoe/', key: '/user/zoe', also: '/user/zoe' },
    { path: '/user/has%40x', key: '/user/has@x', also: '/user/has@x' },
    { path: '/user/has%2540x', key: '/user/has%40x', also: '/user/has%2540x/' },
    { path: '/user/%E7%A7%80%E6%A8%B9/', key: '/user/秀樹' },
    { path: '/a%2Fb', key: '/a%2Fb', also: '/a%2fb' },
    { path: '/tail//', key: '/tail', also: '/tail' },
    { path: '/tail///', key: '/tail', also: '/tail//' },
    { path: '//x//y', key: '/x/y', also: '/x/y' },
    { path: '/toString', key: '/toString' },
    { path: '/__proto__', key: '/__proto__' },
    { path: '/Example.ORG/a', key: '/example.org/a', host: true, also: '/example.org/a/' },
    { path: '/example.org', key: '/example.org', host: true },
    { path: '/', key: '/', host: true },
  ];
  for (const { path, key, host = false, also } of cases)
    it(`${path} is shown as ${key}${host ? ' with host routing' : ''}`, async (t) => {
      const { call, routes } = await startApi(t, { hostRouting: host });
      assert.equal(await call('POST', `/api/routes${path}`, { target: TARGET }), '201');
      assert.deepEqual(Object.keys(await routes()), [key]);
      for (const spelling of [path, also ?? path])
        assert.match(
          await call('GET', `/api/routes${spelling}`),
          path === '' || path === '/' ? /^200/ : /"target"/,
        );
      assert.equal(await call('DELETE', `/api/routes${also ?? path}`), '204');
      assert.deepEqual(await routes(), {});
    });
});

describe('a route', () => {
  it('is what was posted, with the time of the last activity', async (t) => {
    const { call, routes } = await startApi(t);
    const before = Date.now();
    const payload = { user: 'x', deep: [{ a: null }], last_activity: '1999-01-01T00:00:00Z' };
    await call('POST', '/api/routes/a', { target: TARGET, ...payload });
    const { last_activity: activity, ...rest } = (await routes())['/a'] ?? {};
    assert.deepEqual(rest, { target: TARGET, user: 'x', deep: [{ a: null }] });
    assert.match(String(activity), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.ok(Date.parse(String(activity)) >= before);
    await call('POST', '/api/routes/a', { target: `${TARGET}5`, other: 1 });
    assert.deepEqual(Object.keys((await routes())['/a'] ?? {}).sort(), ['last_activity', 'other', 'target']);
  });

  it('is listed when it has been idle since a time', async (t) => {
    const { call } = await startApi(t);
    await call('POST', '/api/routes/a', { target: TARGET });
    for (const name of ['inactiveSince', 'inactive_since']) {
      assert.match(await call('GET', `/api/routes?${name}=2999-01-01T00:00:00Z`), /"\/a"/);
      assert.equal(
        await call('GET', `/api/routes?${name}=2001-01-01T00:00:00Z`),
        '200 (application/json) {}',
      );
    }
  });

  it('has its host with host routing', async (t) => {
    const { call, routes } = await startApi(t, { hostRouting: true });
    await call('POST', '/api/routes/x.test/a', { target: TARGET });
    assert.equal((await routes())['/x.test/a']?.['host'], 'x.test');
  });
});

it('logs each call without its query, and counts it', async (t) => {
  const { call, lines, counted } = await startApi(t);
  await call('POST', '/api/routes/a?secret', { target: TARGET });
  await call('DELETE', '/api/routes/a');
  await call('DELETE', '/api/routes/a');
  await call('GET', '/api/routes');
  assert.deepEqual(
    lines.map(({ level, msg }) => `${String(level)} ${String(msg)}`),
    [
      `30 Route added /a -> ${TARGET}`,
      '30 201 POST /api/routes/a',
      '30 Route removed /a',
      '30 204 DELETE /api/routes/a',
      '40 404 DELETE /api/routes/a',
      '30 200 GET /api/routes',
    ],
  );
  assert.deepEqual(counted, ['add', '201', 'delete', '204', 'delete', '404', 'read', '200']);
});

it('serves its own description', async (t) => {
  const { call } = await startApi(t);
  assert.match(await call('GET', '/api/openapi.json'), /^200 \(application\/json\) \{"openapi":"3\.1/);
});
