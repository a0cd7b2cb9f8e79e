import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { translateV1Rule } from '../../src/config/v1-rule.ts';
import { rulePredicate } from '../../src/router/matchers.ts';
import { parseRule } from '../../src/router/rule.ts';

describe('translateV1Rule', () => {
  const cases: readonly { readonly rule: string; readonly want: string }[] = [
    { rule: 'Host:A.org', want: 'Host(`a.org`)' },
    { rule: 'Host:a, b ;PathPrefix:/x', want: '(Host(`a`) || Host(`b`)) && PathPrefix(`/x`)' },
    { rule: 'PathPrefix:/x,/y', want: '(PathPrefix(`/x`) || PathPrefix(`/y`))' },
    { rule: 'Path:/a{id:[0-9]+}', want: 'PathRegexp(`^/a(?:[0-9]+)$`)' },
    { rule: 'PathPrefix:/a/{name}/', want: 'PathRegexp(`^/a/[^/]+/`)' },
    { rule: 'HostRegexp:{sub:[a-z]+}.a.org', want: 'HostRegexp(`^(?:[a-z]+)\\.a\\.org$`)' },
    { rule: 'Method:GET,PUT', want: '(Method(`GET`) || Method(`PUT`))' },
    { rule: 'Headers:X-A,b', want: 'Header(`X-A`, `b`)' },
    { rule: 'Query:a=1,b=2', want: 'Query(`a`, `1`) && Query(`b`, `2`)' },
    { rule: 'PathPrefix:/a`b', want: 'PathPrefix("/a`b")' },
  ];
  for (const { rule, want } of cases)
    it(rule, () => {
      assert.equal(translateV1Rule(rule), want);
      rulePredicate(parseRule(want));
    });

  for (const rule of ['', ';', 'Host', 'Hots:a', 'Host:', 'Host:a,,b', 'Headers:X-A', 'AddPrefix:/x'])
    it(`refuses ${JSON.stringify(rule)}`, () => {
      assert.throws(() => translateV1Rule(rule), { code: 'JTP_ERR_RULE_INVALID' });
    });
});
