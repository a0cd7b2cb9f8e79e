import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { chpCommand, givenOptions } from '../../src/cli/chp-options.ts';
import type { ChpOptions } from '../../src/cli/chp-options.ts';
import { setUpChp } from '../../src/cli/chp-setup.ts';
import type { ChpSetup } from '../../src/cli/chp-setup.ts';
import { errorText } from '../../src/errors.ts';
import { createSelfSignedCertificate } from '../../src/tls/self-signed.ts';
import { temporaryFolder } from '../support/hub-store.ts';

const TOKEN = { CONFIGPROXY_AUTH_TOKEN: 't' };

/** What the program would be started with; throws what it would say. */
function setUp(args: readonly string[], env: Record<string, string> = TOKEN): ChpSetup {
  let said = '';
  const command = chpCommand()
    .exitOverride()
    .configureOutput({ writeErr: (text) => (said += text), writeOut: (text) => (said += text) });
  try {
    command.parse([...args], { from: 'user' });
  } catch (error) {
    throw new Error(`${said}${errorText(error)}`, { cause: error });
  }
  return setUpChp(
    givenOptions(command.opts<ChpOptions>()),
    (name) => command.getOptionValueSource(name) === 'cli',
    env,
  );
}

describe('the addresses', () => {
  const cases: readonly { args: readonly string[]; web: unknown; api: unknown; metrics?: unknown }[] = [
    { args: [], web: { host: '', port: 8000 }, api: { host: 'localhost', port: 8001 } },
    {
      args: ['--ip', '', '--port=9000'],
      web: { host: '', port: 9000 },
      api: { host: 'localhost', port: 9001 },
    },
    { args: ['--ip=*', '--api-ip', ''], web: { host: '', port: 8000 }, api: { host: '', port: 8001 } },
    {
      args: ['--ip=::1', '--api-port', '7'],
      web: { host: '::1', port: 8000 },
      api: { host: 'localhost', port: 7 },
    },
    {
      args: ['--socket', '/p'],
      web: { host: '', port: 0, path: '/p' },
      api: { host: 'localhost', port: 8001 },
    },
    ...(
      [
        [['--metrics-port=1'], { host: '', port: 1 }],
        [['--metrics-port=1', '--metrics-ip=*'], { host: '', port: 1 }],
        [['--metrics-ip=::1', '--metrics-port=2'], { host: '::1', port: 2 }],
        [['--metrics-ip=::1'], undefined],
        [['--metrics-socket=/m'], { path: '/m' }],
      ] as const
    ).map(([args, metrics]) => ({
      args,
      metrics,
      web: { host: '', port: 8000 },
      api: { host: 'localhost', port: 8001 },
    })),
    { args: ['--api-socket=/a'], web: { host: '', port: 8000 }, api: { path: '/a' } },
  ];
  for (const { args, web, api, metrics } of cases)
    it(args.join(' ') || 'by default', () => {
      const { static: configuration, controller } = setUp(args);
      assert.deepEqual(configuration.entryPoints.get('public')?.address, web);
      assert.deepEqual(controller.api.address, api);
      assert.deepEqual(controller.metrics, metrics);
      assert.equal(configuration.chp?.hasMetrics, metrics !== undefined);
    });
});

describe('what is refused, and how', () => {
  const cases: readonly { args: readonly string[]; says: RegExp }[] = [
    { args: ['--prot', '8000'], says: /unknown option '--prot'\n\(Did you mean --port\?\)/ },
    { args: ['--port'], says: /argument missing/ },
    { args: ['--port', 'x'], says: /'x' is invalid. Expected a port/ },
    { args: ['--api-port', '65536'], says: /Expected a port/ },
    { args: ['extra'], says: /too many arguments/ },
    { args: ['--log-level', 'inof'], says: /Did you mean info\?/ },
    { args: ['--timeout', '1s'], says: /Expected a number of milliseconds/ },
    { args: ['--custom-header', 'k'], says: /colon was expected/ },
    { args: ['--custom-header', ':k'], says: /colon was expected/ },
    { args: ['--custom-header', 'a b: k'], says: /cannot be the name/ },
    { args: ['--custom-header', 'Connection: close'], says: /own to decide/ },
    { args: ['--protocol-rewrite', 'ftp'], says: /Expected http or https/ },
    { args: ['--ssl-protocol', 'TLSv9'], says: /Expected TLSv1_2/ },
    {
      args: ['--storage-backend', 'some-module'],
      says: /expected "memory", a file .* or a module: Cannot find module 'some-module'$/,
    },
    { args: ['--socket=/p', '--port=1'], says: /--socket cannot be combined/ },
    { args: ['--socket=/p', '--ip='], says: /--socket cannot be combined/ },
    { args: ['--api-socket=/p', '--api-ip=x'], says: /--api-socket cannot be combined/ },
    { args: ['--metrics-socket=/p', '--metrics-port=1'], says: /--metrics-socket cannot be combined/ },
    { args: ['--error-target=http://x', '--error-path=/tmp'], says: /cannot be combined with --error-path/ },
    { args: ['--error-path=/nowhere/at/all'], says: /no such folder/ },
    { args: ['--default-target=localhost:80'], says: /--default-target "localhost:80": expected http:/ },
    { args: ['--error-target=ftp://x'], says: /--error-target "ftp:\/\/x": expected/ },
    { args: ['--redirect-port=80'], says: /--redirect-port needs --ssl-key/ },
    { args: ['--redirect-to=443'], says: /--redirect-to needs --redirect-port/ },
    { args: ['--ssl-key=/x'], says: /give both --ssl-key and --ssl-cert/ },
    { args: ['--api-ssl-cert=/x'], says: /give both --api-ssl-key and --api-ssl-cert/ },
    { args: ['--client-ssl-cert=/x'], says: /give both --client-ssl-key/ },
    { args: ['--ssl-ca=/x'], says: /--ssl-ca needs --ssl-key/ },
    { args: ['--client-ssl-ca=/nowhere.pem'], says: /--client-ssl-ca: ENOENT/ },
    { args: ['--ssl-key=/nowhere.pem', '--ssl-cert=/nowhere.pem'], says: /--ssl-key: ENOENT/ },
  ];
  for (const { args, says } of cases)
    it(args.join(' '), () => {
      assert.throws(() => setUp(args), says);
    });
});

describe('the options', () => {
  it('have the meaning of the reference when none is given', () => {
    const { static: configuration, controller, warnings } = setUp([], {});
    assert.deepEqual(configuration.chp, {
      forwarded: 'appended',
      includePrefix: true,
      prependPath: true,
      headers: [],
      autoRewrite: false,
      hasMetrics: false,
    });
    const web = configuration.entryPoints.get('public');
    assert.equal(web?.transport.respondingTimeouts.idleTimeoutMs, 5000);
    assert.equal(web.transport.respondingTimeouts.silenceTimeoutMs, undefined);
    assert.equal(configuration.log.level, 'INFO');
    assert.equal(configuration.serversTransport.insecureSkipVerify, false);
    assert.equal(configuration.serversTransport.forwardingTimeouts.responseHeaderTimeoutMs, 0);
    assert.deepEqual(controller, {
      api: { address: { host: 'localhost', port: 8001 } },
      token: '',
      entryPoint: 'public',
      hostRouting: false,
      changeOrigin: false,
    });
    assert.match(warnings.join('\n'), /CONFIGPROXY_AUTH_TOKEN/);
  });

  it('reach the part that has to know them', () => {
    const {
      static: configuration,
      controller,
      warnings,
    } = setUp([
      ...['--no-x-forward', '--no-prepend-path', '--no-include-prefix', '--auto-rewrite', '--change-origin'],
      ...['--protocol-rewrite', 'https:', '--custom-header', ' k2 : host:123 ', '--custom-header', 'a:'],
      ...['--insecure', '--host-routing', '--log-level', 'WARN', '--timeout', '7', '--proxy-timeout', '8'],
      ...[
        '--keep-alive-timeout',
        '9',
        '--error-target',
        'http://e/x',
        '--default-target',
        'http+unix://%2Ft',
      ],
      ...[
        '--storage-backend',
        '/r/x.toml',
        '--statsd-host',
        'h',
        '--statsd-port',
        '1',
        '--statsd-prefix',
        'p',
      ],
      ...['--client-ssl-request-cert', '--client-ssl-reject-unauthorized', '--ssl-allow-rc4'],
    ]);
    assert.deepEqual(configuration.chp, {
      forwarded: 'untouched',
      includePrefix: false,
      prependPath: false,
      headers: [
        { name: 'k2', value: 'host:123' },
        { name: 'a', value: '' },
      ],
      autoRewrite: true,
      protocolRewrite: 'https',
      hasMetrics: false,
      errorTarget: 'http://e/x',
    });
    const { respondingTimeouts } = configuration.entryPoints.get('public')?.transport ?? {};
    assert.equal(respondingTimeouts?.idleTimeoutMs, 9);
    assert.equal(respondingTimeouts.silenceTimeoutMs, 7);
    assert.equal(configuration.log.level, 'WARN');
    assert.equal(configuration.serversTransport.insecureSkipVerify, true);
    assert.equal(configuration.serversTransport.forwardingTimeouts.responseHeaderTimeoutMs, 8);
    assert.equal(controller.hostRouting, true);
    assert.equal(controller.changeOrigin, true);
    assert.equal(controller.defaultTarget, 'http+unix://%2Ft');
    assert.equal(controller.routesFile, '/r/x.toml');
    assert.equal(controller.token, 't');
    assert.match(warnings.join('\n'), /statsd[^]*rc4/i);
  });

  it('are not given when they are empty', () => {
    const flags = [
      'port socket api-port api-socket metrics-port metrics-socket ssl-key ssl-cert ssl-ca ssl-protocol ssl-ciphers',
      'ssl-dhparam api-ssl-key api-ssl-cert api-ssl-ca client-ssl-key client-ssl-cert client-ssl-ca default-target',
      'error-target error-path redirect-port redirect-to pid-file protocol-rewrite log-level timeout proxy-timeout',
      'keep-alive-timeout storage-backend statsd-host statsd-port statsd-prefix',
    ].flatMap((line) => line.split(' '));
    const empty = setUp(flags.filter((flag) => !/socket/.test(flag)).map((flag) => `--${flag}=`));
    assert.deepEqual(empty, setUp([]));
    assert.deepEqual(setUp(flags.filter((flag) => /socket/.test(flag)).map((flag) => `--${flag}=`)), empty);
  });

  it('take the other levels of that program, and 0 ms of keep-alive for its default', () => {
    const level = (name: string): string => setUp([`--log-level=${name}`]).static.log.level;
    assert.deepEqual(['http', 'verbose', 'silly', 'DEBUG'].map(level), ['INFO', 'INFO', 'DEBUG', 'DEBUG']);
    const web = setUp(['--keep-alive-timeout=0']).static.entryPoints.get('public');
    assert.equal(web?.transport.respondingTimeouts.idleTimeoutMs, 5000);
  });

  it('have one custom header of a name, the last', () => {
    const args = ['x-a:1', 'b:', 'X-A: 2'].flatMap((header) => ['--custom-header', header]);
    assert.deepEqual(setUp(args).static.chp?.headers, [
      { name: 'b', value: '' },
      { name: 'X-A', value: '2' },
    ]);
  });

  it('are remarked on in the words of that program', () => {
    assert.deepEqual(setUp(['--auto-rewrite', '--change-origin', '--protocol-rewrite=https']).remarks, [
      'AutoRewrite of Location headers enabled.',
      'Change Origin of host headers enabled.',
      'ProtocolRewrite enabled. Rewriting to https',
    ]);
    assert.deepEqual(setUp([]).remarks, []);
  });

  it('include a token in a file', (t) => {
    const file = join(temporaryFolder(t), 'token');
    writeFileSync(file, 'secret\n');
    const env = { CONFIGPROXY_AUTH_TOKEN_FILE: file };
    assert.equal(setUp([], env).controller.token, 'secret');
    assert.equal(setUp([], { CONFIGPROXY_AUTH_TOKEN_FILE: '', ...TOKEN }).controller.token, 't');
    assert.throws(() => setUp([], { ...env, ...TOKEN }), /TOKEN cannot be combined with .*_FILE/);
    writeFileSync(file, '\n');
    assert.throws(() => setUp([], env), /the file is empty/);
    assert.throws(() => setUp([], { CONFIGPROXY_AUTH_TOKEN_FILE: '/nowhere' }), /_FILE: ENOENT/);
  });

  it('read certificates and decrypt keys with the passphrases of the environment', async (t) => {
    const folder = temporaryFolder(t);
    const { cert, key } = await createSelfSignedCertificate();
    const privateKey = createPrivateKey(key);
    const certFile = join(folder, 'c.pem');
    const keyFile = join(folder, 'k.pem');
    writeFileSync(certFile, cert);
    writeFileSync(
      keyFile,
      privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' }),
    );
    const plain = privateKey.export({ type: 'pkcs8', format: 'pem' });
    const args = [
      ...[`--ssl-key=${keyFile}`, `--ssl-cert=${certFile}`, `--ssl-ca=${certFile}`, '--ssl-request-cert'],
      ...[`--api-ssl-key=${keyFile}`, `--api-ssl-cert=${certFile}`, '--api-ssl-reject-unauthorized'],
      ...['--ssl-protocol=TLSv1_2', '--ssl-ciphers=HIGH', '--redirect-port=80', '--redirect-to=443'],
      `--client-ssl-ca=${certFile}`,
    ];
    const env = {
      ...TOKEN,
      CONFIGPROXY_SSL_KEY_PASSPHRASE: 'secret',
      CONFIGPROXY_API_SSL_KEY_PASSPHRASE: 'secret',
    };
    const { static: configuration, controller } = setUp(args, env);
    assert.deepEqual(controller.api.tls, {
      key: plain,
      cert,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.2',
      ciphers: 'HIGH',
    });
    assert.deepEqual(configuration.serversTransport.rootCAs, [cert]);
    assert.deepEqual(configuration.entryPoints.get('public')?.serverTls, {
      ...controller.api.tls,
      ca: cert,
    });
    assert.deepEqual(configuration.chp?.redirect, { entryPoint: 'redirect', port: 443 });
    assert.equal(configuration.entryPoints.get('redirect')?.address.port, 80);
    assert.throws(() => setUp([...args, '--ssl-ciphers=nonsense'], env), /--ssl-\*: these options/);
    assert.throws(() => setUp(args, TOKEN), /--ssl-key .*is CONFIGPROXY_SSL_KEY_PASSPHRASE set and right\?/);
  });
});
