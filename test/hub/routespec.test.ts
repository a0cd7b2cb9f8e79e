import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ProxyError } from '../../src/errors.ts';
import { normalizeRoutespec, routeName, routespecOfRouter, routeRule } from '../../src/hub/routespec.ts';
import { canonicalPath } from '../../src/router/canonical-path.ts';
import { rulePredicate } from '../../src/router/matchers.ts';
import { parseRule } from '../../src/router/rule.ts';

describe('routeName', () => {
  for (const [routespec, want] of [
    ['/', 'router__2F'],
    ['/user/zoe/', 'router__2Fuser_2Fzoe_2F'],
    ['/user/has@/', 'router__2Fuser_2Fhas_40_2F'],
    ['/user/~TestJH/', 'router__2Fuser_2F_7ETestJH_2F'],
    ['/user/%E7%A7%80%E6%A8%B9/', 'router__2Fuser_2F_25E7_25A7_2580_25E6_25A8_25B9_2F'],
    ['/has%20space/foo/', 'router__2Fhas_2520space_2Ffoo_2F'],
    ['/user/a_b/', 'router__2Fuser_2Fa_5Fb_2F'],
    ['/user/a-b.c/', 'router__2Fuser_2Fa-b_2Ec_2F'],
    ['host.name/path/', 'router_host_2Ename_2Fpath_2F'],
    ['/@/space%20word/user/zoe/', 'router__2F_40_2Fspace_2520word_2Fuser_2Fzoe_2F'],
  ] as const)
    it(`names the router of ${routespec}`, () => {
      assert.equal(routeName('router', routespec), want);
      assert.equal(routeName('service', routespec), want.replace('router', 'service'));
      assert.equal(routespecOfRouter(want), routespec);
    });
});

describe('routeRule', () => {
  for (const [routespec, want] of [
    ['/', 'PathPrefix(`/`)'],
    ['/user/zoe/', '( PathPrefix(`/user/zoe/`) || Path(`/user/zoe`) )'],
    ['/user/%E7%A7%80%E6%A8%B9/', '( PathPrefix(`/user/秀樹/`) || Path(`/user/秀樹`) )'],
    ['/user/~tilde/', '( PathPrefix(`/user/~tilde/`) || Path(`/user/~tilde`) )'],
    ['/user/%7etilde/', '( PathPrefix(`/user/~tilde/`) || Path(`/user/~tilde`) )'],
    ['/user/a%20b/', '( PathPrefix(`/user/a b/`) || Path(`/user/a b`) )'],
    ['/user/a%2Fb/', '( PathPrefix(`/user/a%2Fb/`) || Path(`/user/a%2Fb`) )'],
    ['/user/a%2fb/', '( PathPrefix(`/user/a%2Fb/`) || Path(`/user/a%2Fb`) )'],
    ['h.org/', 'Host(`h.org`) && PathPrefix(`/`)'],
    ['H.org/user/zoe/', 'Host(`h.org`) && ( PathPrefix(`/user/zoe/`) || Path(`/user/zoe`) )'],
    ['münchen.example/', 'Host(`xn--mnchen-3ya.example`) && PathPrefix(`/`)'],
  ] as const)
    it(`writes the usual rule for ${routespec}`, () => {
      assert.deepEqual(routeRule(routespec), { rule: want });
    });

  it('lists both forms of a reserved character and keeps the precedence of one form', () => {
    assert.deepEqual(routeRule('/user/has@/'), {
      rule: '( PathPrefix(`/user/has@/`) || Path(`/user/has@`) || PathPrefix(`/user/has%40/`) || Path(`/user/has%40`) )',
      priority: '( PathPrefix(`/user/has@/`) || Path(`/user/has@`) )'.length,
    });
  });

  it('counts bytes, not characters, for the precedence', () => {
    const { priority } = routeRule('/user/%E7%A7%80@/');
    assert.equal(priority, Buffer.byteLength('( PathPrefix(`/user/秀@/`) || Path(`/user/秀@`) )'));
  });

  const matches = (routespec: string, target: string, host = 'any'): boolean => {
    const path = canonicalPath(target);
    assert.ok(path !== undefined, `${target} has a canonical form`);
    const { rule } = routeRule(routespec);
    const request = { host, path, method: 'GET', query: '', clientIp: '::1', headerValues: () => [] };
    return rulePredicate(parseRule(rule))(request);
  };

  for (const [routespec, yes, no] of [
    [
      '/user/zoe/',
      ['/user/zoe', '/user/zoe/', '/user/zoe/lab', '/user/%7Aoe/x'],
      ['/user/zoex', '/user/zo', '/'],
    ],
    ['/user/has@/', ['/user/has@/', '/user/has%40', '/user/has%40/x'], ['/user/has/', '/user/has%2540/']],
    ['/user/a%2Fb/', ['/user/a%2Fb/', '/user/a%2fb'], ['/user/a/b/', '/user/a%252Fb/']],
    ['/user/a%25b/', ['/user/a%25b/'], ['/user/ab/']],
    ['/user/a%3Fb/', ['/user/a%3Fb/x'], ['/user/a/']],
    [
      '/user/bob%2Btest@x.org/',
      [
        '/user/bob%2Btest@x.org/',
        '/user/bob+test@x.org/',
        '/user/bob%2Btest%40x.org',
        '/user/bob+test%40x.org/l',
      ],
      ['/user/bob%20test@x.org/'],
    ],
    [
      '/user/%60%29%20%7C%7C%20PathPrefix%28%60%2F/',
      ['/user/%60%29%20%7C%7C%20PathPrefix%28%60%2F/'],
      ['/user/zoe/', '/'],
    ],
    ['/user/%0A%22%5C/', ['/user/%0A%22%5C/x'], ['/user/n%22%5C/']],
    ['/user/%FF%E7/', ['/user/%FF%E7/'], ['/user/%E7/']],
    [
      "/user/a!b$c&d'e(f)g*/",
      ["/user/a!b$c&d'e(f)g*/", "/user/a!b%24c%26d'e(f)g*/", '/user/a%21b%24c%26d%27e%28f%29g%2A/'],
      ['/user/a/'],
    ],
  ] as const)
    it(`lets through what belongs to ${routespec}`, () => {
      for (const target of yes) assert.ok(matches(routespec, target), `${target} belongs`);
      for (const target of no) assert.ok(!matches(routespec, target), `${target} does not belong`);
    });

  it('holds host and path against the request', () => {
    assert.ok(matches('h.org/user/zoe/', '/user/zoe/x', 'h.org:8000'));
    assert.ok(!matches('h.org/user/zoe/', '/user/zoe/x', 'other.org'));
  });

  it('matches its own user and no other, whatever the names', () => {
    const name = fc
      .string({ unit: 'binary', minLength: 1, maxLength: 12 })
      .filter((text) => !['.', '..'].includes(text));
    fc.assert(
      fc.property(name, name, (one, other) => {
        const routespec = (user: string): string =>
          normalizeRoutespec(`/user/${encodeURIComponent(user).replaceAll('%40', '@')}/`);
        assert.ok(matches(routespec(one), routespec(one)));
        if (one !== other) assert.ok(!matches(routespec(one), routespec(other)));
      }),
      { numRuns: 500 },
    );
  });

  it('gives a longer path the higher priority, whatever is in it', () => {
    const segment = fc.string({ unit: 'binary', minLength: 1, maxLength: 8 });
    const priorityOf = (routespec: string): number => {
      const { rule, priority } = routeRule(routespec);
      return priority ?? Buffer.byteLength(rule);
    };
    fc.assert(
      fc.property(fc.array(segment, { maxLength: 3 }), segment, (path, more) => {
        const parent = `/${path.map((part) => `${encodeURIComponent(part)}/`).join('')}`;
        assert.ok(priorityOf(parent) < priorityOf(`${parent}${encodeURIComponent(more)}/`));
      }),
      { numRuns: 300 },
    );
  });
});

describe('normalizeRoutespec', () => {
  it('adds the slash at the end', () => {
    assert.equal(normalizeRoutespec('/user/zoe'), '/user/zoe/');
    assert.equal(normalizeRoutespec('h.org'), 'h.org/');
  });
  for (const routespec of [
    '',
    '/a\nb/',
    '/a?b/',
    '/a#b/',
    '/%zz/',
    '/%4',
    'h.org:80/',
    'http://h/',
    'h`) || Host(`x/',
    'a b/',
    '-x/',
  ])
    it(`refuses ${JSON.stringify(routespec)}`, () => {
      assert.throws(
        () => normalizeRoutespec(routespec),
        (error) =>
          error instanceof ProxyError && error.code === 'JTP_ERR_ROUTE_INVALID' && error.status === 400,
      );
    });
});
