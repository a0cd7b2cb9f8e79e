import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { canonicalPath } from '../../src/router/canonical-path.ts';
import { plainHost, rulePredicate } from '../../src/router/matchers.ts';
import type { RoutingRequest } from '../../src/router/matchers.ts';
import { parseRule } from '../../src/router/rule.ts';

interface Asked {
  readonly host?: string;
  readonly path?: string;
  readonly method?: string;
  readonly query?: string;
  readonly ip?: string;
  readonly headers?: Readonly<Record<string, readonly string[]>>;
}

function request({
  host = 'h',
  path = '/',
  method = 'GET',
  query = '',
  ip = '10.0.0.1',
  headers = {},
}: Asked): RoutingRequest {
  const canonical = canonicalPath(path);
  assert.ok(canonical !== undefined);
  return { host, path: canonical, method, query, clientIp: ip, headerValues: (name) => headers[name] ?? [] };
}

describe('matchers', () => {
  const cases: readonly {
    readonly rule: string;
    readonly yes: readonly Asked[];
    readonly no: readonly Asked[];
  }[] = [
    {
      rule: 'Host(`Hub.Example.org.`)',
      yes: [{ host: 'hub.example.org' }, { host: 'HUB.example.ORG:8000' }, { host: 'hub.example.org.:80' }],
      no: [{ host: 'example.org' }, { host: 'hub.example.org.evil' }, { host: '' }],
    },
    {
      rule: 'Host(`*.example.org`)',
      yes: [{ host: 'zoe.example.org' }],
      no: [
        { host: 'example.org' },
        { host: 'a.b.example.org' },
        { host: '.example.org' },
        { host: 'zoeexample.org' },
      ],
    },
    { rule: 'Host(`*`)', yes: [{}, { host: '' }], no: [] },
    { rule: 'Host(`::1`)', yes: [{ host: '[::1]:80' }, { host: '[::1]' }], no: [{ host: '::1' }] },
    {
      rule: 'HostRegexp(`^[a-z]+\\.example\\.org$`)',
      yes: [{ host: 'zoe.example.org:1' }],
      no: [{ host: 'zoe1.example.org' }],
    },
    {
      rule: 'Path(`/a`)',
      yes: [{ path: '/a' }, { path: '/b/../a' }, { path: '//a' }, { path: '/%61' }],
      no: [{ path: '/a/' }, { path: '/ab' }, { path: '/A' }],
    },
    {
      rule: 'PathPrefix(`/foo`)',
      yes: [{ path: '/foo' }, { path: '/foobar' }, { path: '/foo/x' }],
      no: [{ path: '/fo' }, { path: '/x/foo' }, { path: '/foo/..' }],
    },
    {
      rule: 'PathPrefix(`/user/has@/`)',
      yes: [{ path: '/user/has@/' }, { path: '/user/has%40/x' }],
      no: [{ path: '/user/has/' }],
    },
    {
      rule: 'PathPrefix(`/user/秀樹/`)',
      yes: [{ path: '/user/%e7%a7%80%E6%A8%B9/' }],
      no: [{ path: '/user/%E7/' }],
    },
    { rule: 'PathRegexp(`^/(a|b)/秀$`)', yes: [{ path: '/a/%E7%A7%80' }], no: [{ path: '/c/%E7%A7%80' }] },
    { rule: 'Method(`post`)', yes: [{ method: 'POST' }], no: [{ method: 'GET' }] },
    {
      rule: 'Header(`X-A`, `b`)',
      yes: [{ headers: { 'x-a': ['b'] } }, { headers: { 'x-a': ['c', 'b'] } }],
      no: [{}, { headers: { 'x-a': ['bb'] } }],
    },
    {
      rule: 'HeaderRegexp(`X-A`, `^b+$`)',
      yes: [{ headers: { 'x-a': ['bbb'] } }],
      no: [{ headers: { 'x-a': ['abb'] } }],
    },
    {
      rule: 'Query(`a`, `b c`)',
      yes: [{ query: 'a=b+c' }, { query: 'x&a=b%20c' }, { query: 'a=1&a=b%20c' }],
      no: [{ query: 'a=b' }, { query: '' }],
    },
    { rule: 'Query(`a`)', yes: [{ query: 'a' }, { query: 'a=' }], no: [{ query: 'a=b' }, { query: 'b' }] },
    { rule: 'QueryRegexp(`a`, `^\\d+$`)', yes: [{ query: 'a=12' }], no: [{ query: 'a=1x' }] },
    {
      rule: 'ClientIP(`10.0.0.0/8`)',
      yes: [{ ip: '10.255.0.1' }],
      no: [{ ip: '11.0.0.1' }, { ip: '::1' }, { ip: '' }],
    },
    { rule: 'ClientIP(`::1`)', yes: [{ ip: '::1' }], no: [{ ip: '::2' }, { ip: '127.0.0.1' }] },
    {
      rule: 'Host(`a`) && !PathPrefix(`/b`) || Method(`PUT`)',
      yes: [{ host: 'a' }, { host: 'x', method: 'PUT', path: '/b' }],
      no: [{ host: 'a', path: '/b' }, { host: 'x' }],
    },
  ];
  for (const { rule, yes, no } of cases)
    it(rule, () => {
      const holds = rulePredicate(parseRule(rule));
      for (const asked of yes) assert.equal(holds(request(asked)), true, JSON.stringify(asked));
      for (const asked of no) assert.equal(holds(request(asked)), false, JSON.stringify(asked));
    });

  const refused: readonly { readonly rule: string; readonly message: RegExp }[] = [
    { rule: 'PathRegexp(`(`)', message: /error while adding rule PathRegexp/ },
    // Backtracking is what makes a regular expression dangerous.
    { rule: 'PathRegexp(`(a)\\1`)', message: /error while adding rule PathRegexp/ },
    { rule: 'HostRegexp(`(?=a)`)', message: /error while adding rule HostRegexp/ },
    { rule: 'ClientIP(`10.0.0.0/33`)', message: /invalid value "10.0.0.0\/33"/ },
    { rule: 'ClientIP(`nowhere`)', message: /invalid value "nowhere"/ },
  ];
  for (const { rule, message } of refused)
    it(`refuses ${rule}`, () => {
      assert.throws(() => rulePredicate(parseRule(rule)), { code: 'JTP_ERR_RULE_INVALID', message });
    });
});

describe('regular expressions', () => {
  it('keep their meaning however many there are, and wherever each is used', () => {
    const rules = Array.from({ length: 200 }, (_, index) => [
      rulePredicate(parseRule(`PathRegexp(\`^/u${String(index)}$\`)`)),
      rulePredicate(parseRule(`HeaderRegexp(\`X-Path\`, \`^/u${String(index)}$\`)`)),
    ]);
    // Some of the first once more.
    rules.push(...rules.slice(0, 2), [rulePredicate(parseRule('PathRegexp(`^/u1$`)'))]);
    for (const [index, holds] of rules.entries()) {
      const path = `/u${String(index < 200 ? index : index === 202 ? 1 : index - 200)}`;
      for (const predicate of holds) {
        assert.equal(predicate(request({ path, headers: { 'x-path': [path] } })), true);
        assert.equal(predicate(request({ path: `${path}0`, headers: { 'x-path': ['/u'] } })), false);
      }
    }
  });
});

describe('plainHost', () => {
  const cases: readonly { readonly host: string; readonly want: string }[] = [
    { host: 'A.b', want: 'a.b' },
    { host: 'a:80', want: 'a' },
    { host: 'a.:80', want: 'a' },
    { host: '[2001:DB8::1]:80', want: '2001:db8::1' },
    { host: '', want: '' },
    { host: ':80', want: '' },
  ];
  for (const { host, want } of cases)
    it(JSON.stringify(host), () => {
      assert.equal(plainHost(host), want);
    });
});
