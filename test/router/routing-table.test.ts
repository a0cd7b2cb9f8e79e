import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { canonicalPath } from '../../src/router/canonical-path.ts';
import { rulePredicate } from '../../src/router/matchers.ts';
import { RoutingTable } from '../../src/router/routing-table.ts';
import type { RoutingRequest } from '../../src/router/routing-table.ts';
import { parseRule } from '../../src/router/rule.ts';

interface Router {
  readonly name: string;
  readonly rule: string;
  readonly priority: number;
}

function router(rule: string, priority = rule.length, name = rule): Router {
  return { name, rule, priority };
}

function tableOf(routers: readonly Router[]): RoutingTable<string> {
  const table = new RoutingTable<string>();
  for (const { name, rule, priority } of routers)
    table.set(name, { rule: parseRule(rule), priority, value: name });
  return table;
}

function request(path: string, host = 'h', method = 'GET'): RoutingRequest {
  return { host, path: canonicalPath(path) ?? '', method, query: '', clientIp: '', headerValues: () => [] };
}

/** What Traefik does: all routers in order of priority, the first that matches. */
function lookupSlowly(routers: readonly Router[], asked: RoutingRequest): string | undefined {
  return [...routers]
    .sort((a, b) => b.priority - a.priority || (a.name < b.name ? -1 : 1))
    .find(({ rule }) => rulePredicate(parseRule(rule))(asked))?.name;
}

describe('RoutingTable', () => {
  const cases: readonly {
    readonly name: string;
    readonly routers: readonly Router[];
    readonly asked: RoutingRequest;
    readonly want: string | undefined;
  }[] = [
    { name: 'is empty', routers: [], asked: request('/'), want: undefined },
    {
      name: 'the longest prefix',
      routers: [router('PathPrefix(`/`)'), router('PathPrefix(`/user/zoe/`)')],
      asked: request('/user/zoe/tree'),
      want: 'PathPrefix(`/user/zoe/`)',
    },
    {
      name: 'a shorter one when the longer does not match',
      routers: [router('PathPrefix(`/`)'), router('PathPrefix(`/user/zoe/`)')],
      asked: request('/user/zoey/'),
      want: 'PathPrefix(`/`)',
    },
    {
      name: 'a prefix that ends inside a segment',
      routers: [router('PathPrefix(`/fo`)')],
      asked: request('/foobar/x'),
      want: 'PathPrefix(`/fo`)',
    },
    {
      name: 'a prefix without its last slash',
      routers: [router('PathPrefix(`/user/zoe/`)')],
      asked: request('/user/zoe'),
      want: undefined,
    },
    {
      name: 'an exact path',
      routers: [router('Path(`/a/b`)', 1), router('PathPrefix(`/a`)', 0)],
      asked: request('/a/b'),
      want: 'Path(`/a/b`)',
    },
    {
      name: 'not an exact path with more behind',
      routers: [router('Path(`/a/b`)')],
      asked: request('/a/b/'),
      want: undefined,
    },
    {
      name: 'priority before length',
      routers: [router('PathPrefix(`/a/b/c`)', 1), router('PathPrefix(`/`)', 2)],
      asked: request('/a/b/c'),
      want: 'PathPrefix(`/`)',
    },
    {
      name: 'the first name among equals',
      routers: [router('PathPrefix(`/a`)', 1, 'z'), router('PathPrefix(`/`)', 1, 'b')],
      asked: request('/a'),
      want: 'b',
    },
    {
      name: 'a host before any host',
      routers: [router('PathPrefix(`/`)'), router('Host(`zoe.org`) && PathPrefix(`/`)')],
      asked: request('/', 'ZOE.org:8000'),
      want: 'Host(`zoe.org`) && PathPrefix(`/`)',
    },
    {
      name: 'not the router of another host',
      routers: [router('Host(`bob.org`)')],
      asked: request('/', 'zoe.org'),
      want: undefined,
    },
    {
      name: 'alternatives',
      routers: [router('Host(`a`) && (Path(`/x`) || Path(`/y`))')],
      asked: request('/y', 'a'),
      want: 'Host(`a`) && (Path(`/x`) || Path(`/y`))',
    },
    {
      name: 'a condition that does not hold',
      routers: [router('PathPrefix(`/`) && Method(`PUT`)', 9), router('PathPrefix(`/`)', 1)],
      asked: request('/'),
      want: 'PathPrefix(`/`)',
    },
    {
      name: 'a negation',
      routers: [router('!PathPrefix(`/api`)')],
      asked: request('/api/x'),
      want: undefined,
    },
    {
      name: 'two hosts that cannot both be',
      routers: [router('Host(`a`) && Host(`b`)')],
      asked: request('/', 'a'),
      want: undefined,
    },
    {
      name: 'two prefixes that both hold',
      routers: [router('PathPrefix(`/a`) && PathPrefix(`/a/b`)')],
      asked: request('/a/b'),
      want: 'PathPrefix(`/a`) && PathPrefix(`/a/b`)',
    },
    {
      name: 'two prefixes of which one holds',
      routers: [router('PathPrefix(`/a`) && PathPrefix(`/a/b`)')],
      asked: request('/a/c'),
      want: undefined,
    },
    {
      name: 'names of objects as segments',
      routers: [router('PathPrefix(`/__proto__/constructor`)')],
      asked: request('/__proto__/constructor'),
      want: 'PathPrefix(`/__proto__/constructor`)',
    },
  ];
  for (const { name, routers, asked, want } of cases)
    it(name, () => {
      assert.equal(tableOf(routers).lookup(asked), want);
      assert.equal(lookupSlowly(routers, asked), want, 'one after the other');
    });

  const segment = fc.constantFrom('a', 'b', 'user', 'zoe', '~x', 'a%20b');
  const pathText = fc
    .tuple(fc.array(segment, { maxLength: 3 }), fc.constantFrom('', '/'))
    .map(([segments, end]) => `/${segments.join('/')}${segments.length > 0 ? end : ''}`);
  const matcher = fc.oneof(
    pathText.map((path) => `Path(\`${path}\`)`),
    pathText.map((path) => `PathPrefix(\`${path}\`)`),
    fc.constantFrom('h', 'g').map((host) => `Host(\`${host}\`)`),
    fc.constantFrom('Method(`PUT`)', 'PathRegexp(`z`)', 'HostRegexp(`g`)'),
  );
  const rule: fc.Arbitrary<string> = fc.letrec<{ rule: string }>((tie) => ({
    rule: fc.oneof(
      { maxDepth: 3 },
      matcher,
      tie('rule').map((inner) => `!(${inner})`),
      fc
        .tuple(tie('rule'), fc.constantFrom('&&', '||'), tie('rule'))
        .map(([a, operator, b]) => `(${a}) ${operator} (${b})`),
    ),
  })).rule;
  const routers = fc.array(fc.tuple(rule, fc.nat(3)), { maxLength: 8 });
  const asked = fc.tuple(pathText, fc.constantFrom('h', 'g'), fc.constantFrom('GET', 'PUT'));

  it('finds what trying one rule after the other finds', () => {
    fc.assert(
      fc.property(routers, fc.array(asked, { minLength: 1, maxLength: 5 }), (rules, requests) => {
        const written = rules.map(([text, priority], index) => router(text, priority, `r${String(index)}`));
        const table = tableOf(written);
        for (const [path, host, method] of requests) {
          const one = request(path, host, method);
          assert.equal(table.lookup(one), lookupSlowly(written, one));
        }
      }),
      { numRuns: 500 },
    );
  });

  it('is after any changes what it would be if it were built anew', () => {
    const change = fc.tuple(fc.nat(4), fc.option(fc.tuple(rule, fc.nat(3))));
    fc.assert(
      fc.property(
        fc.array(change, { maxLength: 15 }),
        fc.array(asked, { maxLength: 4 }),
        (changes, requests) => {
          const present = new Map<string, Router>();
          const table = new RoutingTable<string>();
          for (const [number, definition] of changes) {
            const name = `r${String(number)}`;
            if (definition === null) {
              present.delete(name);
              table.delete(name);
              continue;
            }
            const [text, priority] = definition;
            present.set(name, router(text, priority, name));
            table.set(name, { rule: parseRule(text), priority, value: name });
          }
          assert.equal(table.size, present.size);
          for (const [path, host, method] of requests) {
            const one = request(path, host, method);
            assert.equal(table.lookup(one), lookupSlowly([...present.values()], one));
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('keeps the router it had when a new rule for it is refused', () => {
    const table = tableOf([router('PathPrefix(`/`)', 1, 'r')]);
    assert.throws(() => {
      table.set('r', { rule: parseRule('PathRegexp(`(`)'), priority: 1, value: 'new' });
    });
    assert.equal(table.lookup(request('/')), 'r');
  });
});

describe('users and their prefixes', () => {
  const users = ['zoe', 'zoey', 'bob', '~tilde', 'has@', 'a b', '秀樹', 'a%2Fb', 'a', '..', '.', 'user'];
  const prefixes = users.map((name) =>
    name.includes('%') ? `/user/${name}/` : `/user/${encodeURIComponent(name)}/`,
  );
  const table = tableOf([
    router('PathPrefix(`/`)', 0, 'hub'),
    ...users.map((name, index) => router(`PathPrefix(\`/user/${name}/\`)`, 10 + index, name)),
  ]);
  const piece = fc.constantFrom(
    '/',
    '//',
    '.',
    '..',
    '%2e',
    '%2E%2e',
    '%2f',
    '%2F',
    '%252f',
    '%5c',
    '\\',
    ';',
    '%00',
    'zoe',
    'bob',
    'user',
    'a',
    '@',
    '%40',
    '~',
    '%7E',
    '%20',
    'x',
  );
  const path = fc.array(piece, { maxLength: 14 }).map((pieces) => pieces.join(''));

  it('no path that begins in one prefix and resolves inside it reaches anybody else', () => {
    fc.assert(
      fc.property(fc.nat(users.length - 1), path, (index, rest) => {
        const prefix = prefixes[index] ?? '';
        const canonical = canonicalPath(`${prefix}${rest}`);
        const own = canonicalPath(prefix);
        if (canonical === undefined || own === undefined) return;
        const reached = table.lookup({ ...request('/'), path: canonical });
        // Whoever is reached, the resolved path stands in the prefix of that one.
        const reachedPrefix = prefixes[users.indexOf(reached ?? '')];
        if (reached !== 'hub')
          assert.ok(
            reachedPrefix !== undefined && canonical.startsWith(canonicalPath(reachedPrefix) ?? '?'),
            canonical,
          );
        if (canonical.startsWith(own) && own !== '/' && own !== '/user/')
          assert.equal(reached, users[index], `${canonical} of ${prefix}`);
      }),
      { numRuns: 5000 },
    );
  });

  it('an escaped slash makes no other user', () => {
    for (const [path, want] of [
      ['/user/a%2Fb/', 'a%2Fb'],
      ['/user/a%2fb/', 'a%2Fb'],
      ['/user/a/b/', 'a'],
      ['/user/zoe%2Fbob/', 'hub'],
      ['/user%2Fzoe/', 'hub'],
      ['/user/zoe%2f..%2fbob/', 'hub'],
    ] as const)
      assert.equal(table.lookup(request(path)), want, path);
  });
});
