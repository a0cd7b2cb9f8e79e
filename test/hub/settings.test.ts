import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { verifyUser } from '../support/users.ts';
import { ConfigError, ProxyError } from '../../src/errors.ts';
import { findRoutesFile, findStaticFileToWrite } from '../../src/hub/find-files.ts';
import { userEntry } from '../../src/hub/password.ts';
import { entryPointOf, parseHubSettings, parseHubSettingsText } from '../../src/hub/settings.ts';
import { setupDynamic } from '../../src/hub/setup-dynamic.ts';
import {
  buildStaticConfiguration,
  isOurStaticFile,
  staticTree,
  writeStaticFile,
} from '../../src/hub/static-file.ts';
import { isSame, newTree } from '../../src/hub/values.ts';
import { rememberingLogger, temporaryFolder } from '../support/hub-store.ts';

const MINIMAL = { publicUrl: 'http://:8000' };

describe('the settings of the hub', () => {
  it('need nothing but the public URL', () => {
    const settings = parseHubSettings(MINIMAL);
    assert.equal(settings.shouldStart, true);
    assert.equal(settings.checkRouteTimeout, 30);
    assert.equal(settings.traefikApiUrl, 'http://localhost:8099');
    assert.equal(entryPointOf(settings), 'http');
    assert.equal(entryPointOf(parseHubSettings({ publicUrl: 'https://x' })), 'https');
  });

  for (const publicUrl of [
    'http://:8000',
    'https://127.0.0.1:443/base/',
    'http://[::1]:80',
    'http://hub.example',
    'https://0.0.0.0:8000/@/space%20word/',
  ])
    it(`take the public URL ${publicUrl}`, () => {
      assert.equal(parseHubSettings({ publicUrl }).publicUrl, publicUrl);
    });

  for (const [name, given, want] of [
    ['a missing public URL', {}, /settings: publicUrl: /],
    [
      'a public URL of another kind',
      { publicUrl: 'ftp://x' },
      /publicUrl: expected a URL such as "http:\/\/:8000"/,
    ],
    [
      'an unknown key',
      { ...MINIMAL, traefikApiUsrname: 'x' },
      /traefikApiUsrname: unknown key, did you mean "traefikApiUsername"/,
    ],
    ['a wrong type', { ...MINIMAL, workers: 'two' }, /settings: workers: /],
    [
      'a wrong ending',
      { ...MINIMAL, dynamicConfigFile: 'rules.json' },
      /dynamicConfigFile: expected a file name that ends in/,
    ],
    [
      'a socket without a path',
      { ...MINIMAL, publicUrl: 'http+unix://proxy.sock' },
      /publicUrl: expected a URL such as .*http\+unix:\/\/%2Frun%2Fproxy\.sock/,
    ],
    [
      'a socket for a Traefik',
      { ...MINIMAL, publicUrl: 'http+unix://%2Frun%2Fproxy.sock', engine: 'traefik' },
      /publicUrl: .*only the engine of this program listens on Unix sockets/,
    ],
    [
      'error pages from nowhere',
      { ...MINIMAL, errorTarget: '/hub/error' },
      /errorTarget: expected a URL such as "http:\/\/127\.0\.0\.1:8081\/hub\/error"/,
    ],
    [
      'error pages for an engine that has none',
      { ...MINIMAL, errorTarget: 'http://127.0.0.1:8081/hub/error', shouldStart: false },
      /errorTarget: only the engine of this program/,
    ],
    [
      'a log level that does not exist',
      { ...MINIMAL, traefikLogLevel: 'LOUD' },
      /traefikLogLevel: expected one of TRACE/,
    ],
    ['half a certificate', { ...MINIMAL, sslCert: '/x' }, /sslKey: a certificate needs its key/],
    ['a relative state file', { ...MINIMAL, stateFile: 'x' }, /stateFile: expected an absolute path/],
    [
      'a timeout of nothing',
      { ...MINIMAL, checkRouteTimeout: 0 },
      /checkRouteTimeout: expected a number of seconds above 0/,
    ],
    ['two mistakes', { ...MINIMAL, workers: -1, apiPort: 70000 }, /workers.*\n.*apiPort/],
  ] as const)
    it(`are refused for ${name}, by name`, () => {
      assert.throws(
        () => parseHubSettings(given),
        (error) =>
          error instanceof ProxyError &&
          error.code === 'JTP_ERR_SETTINGS_INVALID' &&
          want.test(error.message),
      );
    });

  it('never show up in the message when they are no JSON', () => {
    assert.throws(
      () => parseHubSettingsText('{"traefikApiPassword": "secret" oops', 'standard input'),
      (error) =>
        error instanceof ProxyError &&
        /standard input: the settings are not valid JSON/.test(error.message) &&
        !error.message.includes('secret'),
    );
  });
});

describe('the files of the hub', () => {
  it('are searched for in /etc/traefik, ~/.traefik and the working directory', (t) => {
    const root = temporaryFolder(t);
    const options = { cwd: join(root, 'cwd'), env: { HOME: join(root, 'home') }, etc: join(root, 'etc') };
    for (const folder of ['cwd', 'home/.traefik', 'etc/traefik'])
      mkdirSync(join(root, folder), { recursive: true });
    assert.equal(findRoutesFile(undefined, options), join(root, 'cwd', 'rules.toml'));
    for (const folder of ['cwd', 'home/.traefik', 'etc/traefik']) {
      const file = join(root, folder, 'rules.toml');
      writeFileSync(file, '');
      assert.equal(findRoutesFile(undefined, options), file);
    }
    assert.equal(findRoutesFile('here.toml', options), join(root, 'cwd', 'here.toml'));
    assert.equal(findRoutesFile('/there.yaml', options), '/there.yaml');
  });

  it('leave alone a static file of the machine that somebody else wrote', async (t) => {
    const root = temporaryFolder(t);
    const options = { cwd: join(root, 'cwd'), env: { HOME: join(root, 'home') }, etc: join(root, 'etc') };
    for (const folder of ['cwd', 'etc/traefik']) mkdirSync(join(root, folder), { recursive: true });
    const shared = join(root, 'etc', 'traefik', 'traefik.toml');
    writeFileSync(shared, '[api]\n');
    const find = (): string => findStaticFileToWrite(undefined, isOurStaticFile, options);
    assert.equal(find(), join(root, 'cwd', 'traefik.toml'));
    const { text } = buildStaticConfiguration(parseHubSettings(MINIMAL), {
      staticFile: shared,
      routesFile: '/r.toml',
    });
    await writeStaticFile(shared, text, rememberingLogger().log);
    assert.equal(find(), shared);
  });
});

describe('the static file', () => {
  const tree = (given: Record<string, unknown>): unknown =>
    staticTree(parseHubSettings({ ...MINIMAL, ...given }), '/abs/rules.toml');

  it('has today’s keys and an absolute routes file', () => {
    assert.ok(
      isSame(tree({}), {
        api: {},
        providers: { providersThrottleDuration: '0s', file: { filename: '/abs/rules.toml', watch: true } },
        entryPoints: { http: { address: ':8000' }, auth_api: { address: '127.0.0.1:8099' } },
      }),
    );
  });

  for (const [given, address] of [
    [{ publicUrl: 'http://' }, ':80'],
    [{ publicUrl: 'http://[::1]' }, '[::1]:80'],
    [{ publicUrl: 'http://127.0.0.1:8000/base/' }, '127.0.0.1:8000'],
    [{ publicUrl: 'http+unix://%2Frun%2Fproxy.sock/base/' }, '/run/proxy.sock'],
  ] as const)
    it(`listens on ${address} for ${given.publicUrl}`, () => {
      assert.deepEqual((tree(given) as { entryPoints: { http: unknown } }).entryPoints.http, { address });
    });

  it('turns TLS on for an https URL, and uses the names and level it is given', () => {
    assert.ok(
      isSame(
        tree({
          publicUrl: 'https://h',
          traefikEntrypoint: 'web',
          traefikApiEntrypoint: 'api',
          traefikApiUrl: 'https://h:1/x/',
          traefikLogLevel: 'debug',
          traefikProvidersThrottleDuration: '1s',
        }),
        {
          api: { basePath: '/x' },
          log: { level: 'DEBUG' },
          providers: { providersThrottleDuration: '1s', file: { filename: '/abs/rules.toml', watch: true } },
          entryPoints: {
            web: { address: 'h:443', http: { tls: { options: 'default' } } },
            api: { address: 'h:1', http: { tls: { options: 'default' } } },
          },
        },
      ),
    );
  });

  for (const file of ['/x/traefik.toml', '/x/traefik.yaml'])
    it(`is what the engine is started with, extra keys merged in last: ${file}`, () => {
      const settings = parseHubSettings({
        ...MINIMAL,
        extraStaticConfig: { log: { level: 'WARN' }, entryPoints: { http: { asDefault: true } } },
      });
      const { configuration } = buildStaticConfiguration(settings, {
        staticFile: file,
        routesFile: '/abs/rules.toml',
      });
      assert.equal(configuration.log.level, 'WARN');
      assert.equal(configuration.entryPoints.get('http')?.asDefault, true);
      assert.equal(configuration.providers.file?.filename, '/abs/rules.toml');
      assert.equal(configuration.providers.throttleMs, 0);
    });

  it('is refused with the key when the extra part is wrong', () => {
    const settings = parseHubSettings({
      ...MINIMAL,
      extraStaticConfig: { certificatesResolvers: { x: {} }, lgo: {} },
    });
    assert.throws(
      () => buildStaticConfiguration(settings, { staticFile: '/x/traefik.toml', routesFile: '/r.toml' }),
      (error) =>
        error instanceof ConfigError &&
        /certificatesResolvers: known to Traefik/.test(error.message) &&
        /^settings: extraStaticConfig: lgo: unknown key, did you mean "log"/m.test(error.message),
    );
  });

  it('is refused when users and API would share an entry point', () => {
    const settings = parseHubSettings({ ...MINIMAL, traefikApiEntrypoint: 'http' });
    assert.throws(
      () => buildStaticConfiguration(settings, { staticFile: '/x/t.toml', routesFile: '/r.toml' }),
      /traefikApiEntrypoint/,
    );
  });

  it('keeps the file of somebody else beside it, once', async (t) => {
    const file = join(temporaryFolder(t), 'traefik.toml');
    writeFileSync(file, '[api]\n# mine\n');
    const { log, lines } = rememberingLogger();
    const { text } = buildStaticConfiguration(parseHubSettings(MINIMAL), {
      staticFile: file,
      routesFile: '/r.toml',
    });
    await writeStaticFile(file, text, log);
    await writeStaticFile(file, `${text}\n`, log);
    assert.equal(lines.length, 1);
    assert.equal(lines[0]?.['kept'], `${file}.orig`);
  });
});

describe('the settings’ part of the routes file', () => {
  const setup = async (
    given: Record<string, unknown>,
    present = newTree(),
  ): Promise<Record<string, unknown>> =>
    await setupDynamic(parseHubSettings({ ...MINIMAL, ...given }), present);
  const CREDENTIALS = { traefikApiUsername: 'api_admin', traefikApiPassword: 'admin' };

  it('opens the API to its user only', async () => {
    const tree = await setup(CREDENTIALS);
    const { routers, middlewares } = tree['http'] as {
      routers: { route_api: Record<string, unknown> };
      middlewares: { auth_api: { basicAuth: { users: [string] } } };
    };
    assert.ok(
      isSame(routers.route_api, {
        rule: '( PathPrefix(`/api`) || PathPrefix(`/dashboard`) )',
        entryPoints: ['auth_api'],
        service: 'api@internal',
        middlewares: ['auth_api'],
      }),
    );
    const [user] = middlewares.auth_api.basicAuth.users;
    assert.equal(await verifyUser(user, 'api_admin', 'admin'), true);
    assert.equal(await verifyUser(user, 'api_admin', 'other'), false);
  });

  it('keeps the hash that is in the file when it is still right', async () => {
    const first = await setup(CREDENTIALS);
    assert.ok(isSame(await setup(CREDENTIALS, first), first));
    assert.ok(!isSame(await setup({ ...CREDENTIALS, traefikApiPassword: 'new' }, first), first));
  });

  it('uses the hash it is given, and a cheap one for a random password', async () => {
    const hashed = await setup({ ...CREDENTIALS, traefikApiHashedPassword: '$apr1$x$y' });
    assert.match(JSON.stringify(hashed), /api_admin:\$apr1\$x\$y/);
    const cheap = await userEntry({ username: 'u', password: 'ab'.repeat(32), hashed: '' });
    assert.match(cheap, /^u:\{SHA\}/);
    assert.equal(await verifyUser(cheap, 'u', 'ab'.repeat(32)), true);
    assert.equal(await verifyUser(cheap, 'u', 'ab'.repeat(31)), false);
    assert.match(await userEntry({ username: 'u', password: 'chosen', hashed: '' }), /^u:\$2[aby]\$10\$/);
  });

  it('refuses what bcrypt or basic authentication cannot take', async () => {
    await assert.rejects(
      userEntry({ username: 'u', password: 'é'.repeat(40), hashed: '' }),
      /at most 72 bytes/,
    );
    await assert.rejects(userEntry({ username: 'u:v', password: 'x', hashed: '' }), /no colon/);
  });

  it('is empty for an engine of somebody else without credentials, or when it is not wanted', async () => {
    assert.ok(isSame(await setup({ shouldStart: false }), {}));
    assert.ok(
      isSame(await setup({ ...CREDENTIALS, shouldStart: false, enableSetupDynamicConfig: false }), {}),
    );
  });

  it('answers only to the names of the API where the entry point may be shared', async () => {
    const rule = async (traefikApiUrl: string): Promise<unknown> => {
      const tree = await setup({ ...CREDENTIALS, shouldStart: false, traefikApiUrl });
      return (tree['http'] as { routers: { route_api: { rule: string } } }).routers.route_api.rule;
    };
    assert.equal(
      await rule('http://t.example:8099'),
      'Host(`t.example`) && ( PathPrefix(`/api`) || PathPrefix(`/dashboard`) )',
    );
    assert.match(
      String(await rule('http://localhost:8099')),
      /^\( Host\(`localhost`\) \|\| Host\(`127\.0\.0\.1`\)/,
    );
  });

  it('has the certificate, and the extra part last', async () => {
    const tree = await setup({
      ...CREDENTIALS,
      sslKey: '/k',
      sslCert: '/c',
      extraDynamicConfig: { http: { middlewares: { auth_api: { basicAuth: { realm: 'x' } } } }, other: 1 },
    });
    assert.ok(
      isSame(tree['tls'], { stores: { default: { defaultCertificate: { certFile: '/c', keyFile: '/k' } } } }),
    );
    assert.equal(tree['other'], 1);
    assert.match(JSON.stringify(tree), /"realm":"x"/);
    assert.match(JSON.stringify(tree), /api_admin:/);
  });
});
