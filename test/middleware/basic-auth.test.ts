import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { hashSync } from 'bcryptjs';
import { parseUsersFile } from '../../src/config/users-file.ts';
import { createBasicAuth } from '../../src/middleware/basic-auth.ts';

function basic(name: string, password: string): string {
  return `Basic ${Buffer.from(`${name}:${password}`, 'utf8').toString('base64')}`;
}

const SHA = `{SHA}${createHash('sha1').update('secret').digest('base64')}`;
const BCRYPT = hashSync('secret', 4);

describe('kinds of hashes', () => {
  const cases: readonly { readonly name: string; readonly hash: string }[] = [
    { name: 'bcrypt $2b$', hash: BCRYPT },
    { name: 'bcrypt $2y$, as htpasswd writes it', hash: BCRYPT.replace('$2b$', '$2y$') },
    { name: 'bcrypt $2a$', hash: BCRYPT.replace('$2b$', '$2a$') },
    { name: 'SHA-1', hash: SHA },
    { name: 'apr1', hash: '$apr1$saltsalt$LrttParrLPdxvgutaSXWJ0' },
  ];
  for (const { name, hash } of cases)
    it(name, async () => {
      const auth = createBasicAuth({ users: [`zoe:${hash}`] });
      assert.equal(await auth.check(basic('zoe', 'secret')), 'zoe');
      assert.equal(await auth.check(basic('zoe', 'Secret')), undefined);
      assert.equal(await auth.check(basic('zoe', '')), undefined);
      assert.equal(await auth.check(basic('bob', 'secret')), undefined);
    });

  it('looks at no password that is longer than anybody’s, whatever its hash would cost', async () => {
    const long = 'x'.repeat(1024);
    const sha = (text: string): string => `{SHA}${createHash('sha1').update(text).digest('base64')}`;
    const auth = createBasicAuth({
      users: [`zoe:${sha(long)}`, `bob:${sha(`${long}x`)}`, 'eve:$apr1$saltsalt$LrttParrLPdxvgutaSXWJ0'],
    });
    assert.equal(await auth.check(basic('zoe', long)), 'zoe');
    assert.equal(await auth.check(basic('bob', `${long}x`)), undefined);
    assert.equal(await auth.check(basic('eve', 'x'.repeat(700_000))), undefined);
  });

  it('lets nobody in with a hash that it does not know, and refuses nobody else for it', async () => {
    const auth = createBasicAuth({ users: ['zoe:secret', `bob:${SHA}`, 'eve:$5$rounds=1000$x$y', 'max:'] });
    assert.equal(await auth.check(basic('zoe', 'secret')), undefined);
    assert.equal(await auth.check(basic('eve', 'secret')), undefined);
    assert.equal(await auth.check(basic('max', '')), undefined);
    assert.equal(await auth.check(basic('bob', 'secret')), 'bob');
  });
});

describe('credentials', () => {
  const auth = createBasicAuth({ users: [`zoe:${SHA}`, `秀樹:${SHA}`] });
  const cases: readonly {
    readonly name: string;
    readonly header: string | undefined;
    readonly want: string | undefined;
  }[] = [
    { name: 'right', header: basic('zoe', 'secret'), want: 'zoe' },
    { name: 'a name beyond ASCII', header: basic('秀樹', 'secret'), want: '秀樹' },
    {
      name: 'the scheme in other letters',
      header: basic('zoe', 'secret').replace('Basic', 'bASIC'),
      want: 'zoe',
    },
    { name: 'none', header: undefined, want: undefined },
    { name: 'empty', header: '', want: undefined },
    { name: 'another scheme', header: 'Bearer abc', want: undefined },
    { name: 'no base64', header: 'Basic ***', want: undefined },
    { name: 'base64 of a wrong length', header: `${basic('zoe', 'secret').slice(0, -1)}`, want: undefined },
    { name: 'no colon', header: `Basic ${Buffer.from('zoe').toString('base64')}`, want: undefined },
    { name: 'no name', header: basic('', 'secret'), want: undefined },
    { name: 'a password with a colon', header: basic('zoe', 'secret:'), want: undefined },
    { name: 'two spaces', header: basic('zoe', 'secret').replace(' ', '  '), want: undefined },
    { name: 'something behind', header: `${basic('zoe', 'secret')}, x`, want: undefined },
  ];
  for (const { name, header, want } of cases)
    it(name, async () => {
      assert.equal(await auth.check(header), want);
    });

  it('knows at once what was accepted before, and nothing else', async () => {
    const fresh = createBasicAuth({ users: [`zoe:${SHA}`] });
    const header = basic('zoe', 'secret');
    assert.equal(fresh.checkCached(header), undefined);
    await fresh.check(basic('zoe', 'wrong'));
    await fresh.check(header);
    assert.equal(fresh.checkCached(header), 'zoe');
    assert.equal(fresh.checkCached(basic('zoe', 'wrong')), undefined);
    assert.equal(fresh.checkCached(undefined), undefined);
  });

  it('forgets the oldest of a thousand', async () => {
    const users = Array.from({ length: 1001 }, (_, at) => `u${String(at)}:${SHA}`);
    const many = createBasicAuth({ users });
    for (let at = 0; at < users.length; at++) await many.check(basic(`u${String(at)}`, 'secret'));
    assert.equal(many.checkCached(basic('u0', 'secret')), undefined);
    assert.equal(many.checkCached(basic('u1000', 'secret')), 'u1000');
  });

  it('takes the last of two users with one name', async () => {
    const other = `{SHA}${createHash('sha1').update('other').digest('base64')}`;
    const doubled = createBasicAuth({ users: [`zoe:${other}`, `zoe:${SHA}`] });
    assert.equal(await doubled.check(basic('zoe', 'secret')), 'zoe');
    assert.equal(await doubled.check(basic('zoe', 'other')), undefined);
  });
});

describe('what is refused', () => {
  const cases: readonly {
    readonly name: string;
    readonly options: Parameters<typeof createBasicAuth>[0];
    readonly message: RegExp;
  }[] = [
    {
      name: 'a user without a hash',
      options: { users: ['secret'] },
      message: /^error parsing BasicUser: secret$/,
    },
    {
      name: 'a user with too many parts, without showing them',
      options: { users: ['zoe:pass:word'] },
      message: /^error parsing BasicUser: zoe:…$/,
    },
    { name: 'a user without a name', options: { users: [`:${SHA}`] }, message: /error parsing BasicUser/ },
    {
      name: 'a line feed in a name, which would begin a header of its own',
      options: { users: [`zoe\nX-Admin:${SHA}`] },
      message: /control character/,
    },
    {
      name: 'a line feed in the realm',
      options: { users: [`zoe:${SHA}`], realm: 'a\r\nSet-Cookie: b' },
      message: /realm/,
    },
    {
      name: 'a header field that is none',
      options: { users: [`zoe:${SHA}`], headerField: 'X-User: a\r\nX' },
      message: /headerField/,
    },
    {
      name: 'a header field that decides about the connection',
      options: { users: [`zoe:${SHA}`], headerField: 'Content-Length' },
      message: /headerField/,
    },
  ];
  for (const { name, options, message } of cases)
    it(name, () => {
      assert.throws(() => createBasicAuth(options), { code: 'JTP_ERR_CONFIG_INVALID', message });
    });
});

describe('parseUsersFile', () => {
  it('skips comments and blank lines', () => {
    assert.deepEqual(parseUsersFile('# users\r\nzoe:a\r\n\r\n  bob:b \n#x\n'), ['zoe:a', 'bob:b']);
  });
});
