import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseRule } from '../../src/router/rule.ts';
import type { Rule } from '../../src/router/rule.ts';

/** A rule with all its parentheses. */
function print(rule: Rule): string {
  switch (rule.kind) {
    case 'matcher':
      return `${rule.name}(${rule.args.map((argument) => JSON.stringify(argument)).join(',')})`;
    case 'not':
      return `!${print(rule.operand)}`;
    case 'and':
      return `(${print(rule.left)} && ${print(rule.right)})`;
    case 'or':
      return `(${print(rule.left)} || ${print(rule.right)})`;
  }
}

describe('parseRule', () => {
  const cases: readonly { readonly rule: string; readonly want: string }[] = [
    { rule: 'Host(`a`)', want: 'Host("a")' },
    { rule: ' PathPrefix ( "/a" ) ', want: 'PathPrefix("/a")' },
    { rule: 'HOST(`a`)', want: 'Host("a")' },
    { rule: 'pathprefix(`/a`)', want: 'PathPrefix("/a")' },
    { rule: 'Header(`A`, `b`)', want: 'Header("A","b")' },
    { rule: 'Query(`a`)', want: 'Query("a")' },
    { rule: 'Host(`a`) && Path(`/b`) || Path(`/c`)', want: '((Host("a") && Path("/b")) || Path("/c"))' },
    { rule: 'Host(`a`) || Path(`/b`) && Path(`/c`)', want: '(Host("a") || (Path("/b") && Path("/c")))' },
    { rule: '(Host(`a`) || Path(`/b`)) && Path(`/c`)', want: '((Host("a") || Path("/b")) && Path("/c"))' },
    { rule: '!Host(`a`) && !!Path(`/b`)', want: '(!Host("a") && !!Path("/b"))' },
    { rule: '!(Host(`a`) || Path(`/b`))', want: '!(Host("a") || Path("/b"))' },
    { rule: 'Host(`a`)&&Host(`b`)&&Host(`c`)', want: '((Host("a") && Host("b")) && Host("c"))' },
    { rule: 'PathRegexp(`^/a(b|c)$`)', want: 'PathRegexp("^/a(b|c)$")' },
    { rule: 'Path("/a\\"b\\\\\\x41\\u00e9")', want: 'Path("/a\\"b\\\\Aé")' },
    { rule: 'Path("/a`b")', want: 'Path("/a`b")' },
    { rule: 'Host(`a`)\n  && Path(`/b`)', want: '(Host("a") && Path("/b"))' },
  ];
  for (const { rule, want } of cases)
    it(rule, () => {
      assert.equal(print(parseRule(rule)), want);
    });

  const refused: readonly { readonly rule: string; readonly message: RegExp }[] = [
    { rule: '', message: /expected operand, found 'EOF'/ },
    { rule: '   ', message: /expected operand, found 'EOF'/ },
    { rule: 'Hots(`a`)', message: /unsupported function: Hots/ },
    { rule: 'Host', message: /expected "\("/ },
    { rule: 'Host(', message: /expected a string/ },
    { rule: 'Host()', message: /unexpected number of parameters; got 0, expected one of \[1\]/ },
    { rule: 'Host(`a`, `b`)', message: /unexpected number of parameters; got 2, expected one of \[1\]/ },
    { rule: 'Header(`a`)', message: /got 1, expected one of \[2\]/ },
    { rule: 'Host(``)', message: /empty args for matcher Host/ },
    { rule: 'Path(`a`)', message: /path "a" does not start with a '\/'/ },
    { rule: 'PathPrefix(`a`)', message: /path "a" does not start with a '\/'/ },
    { rule: 'Host(`é`)', message: /non-ASCII characters are not allowed/ },
    { rule: 'Host(`a`) &&', message: /expected a matcher, found the end/ },
    { rule: 'Host(`a`) Host(`b`)', message: /unexpected "Host/ },
    { rule: 'Host(`a`) & Host(`b`)', message: /unexpected "& Host/ },
    { rule: '(Host(`a`)', message: /expected "\)", found the end/ },
    { rule: 'Host(`a`))', message: /unexpected "\)"/ },
    { rule: 'Host(`a)', message: /raw string literal not terminated/ },
    { rule: 'Host("a)', message: /string literal not terminated/ },
    { rule: 'Host("a\nb")', message: /string literal not terminated/ },
    { rule: 'Host("\\q")', message: /unknown escape sequence/ },
    { rule: "Host('a')", message: /expected a string/ },
    { rule: `${'('.repeat(300)}Host(\`a\`)${')'.repeat(300)}`, message: /too deeply nested/ },
    { rule: `${'!'.repeat(100_000)}Host(\`a\`)`, message: /too deeply nested/ },
  ];
  for (const { rule, message } of refused)
    it(`refuses ${rule.slice(0, 30)}`, () => {
      assert.throws(
        () => parseRule(rule),
        (error: unknown) => {
          assert.ok(error instanceof Error && 'code' in error);
          assert.equal(error.code, 'JTP_ERR_RULE_INVALID');
          assert.match(error.message, message);
          return true;
        },
      );
    });

  it('reads the rules of a hub, which it takes apart at once, as it reads all others', () => {
    const word = fc.string({ unit: fc.constantFrom(...'/ax.%é\n"\\ |()&!`'), maxLength: 12 });
    fc.assert(
      fc.property(word, word, (prefix, path) => {
        const rule = `( PathPrefix(\`${prefix}\`) || Path(\`${path}\`) )`;
        // A blank at the beginning makes it any rule.
        assert.deepEqual(outcome(rule), outcome(` ${rule}`));
      }),
    );
    fc.assert(
      fc.property(word, word, (prefix, path) => {
        const rule = `( PathPrefix(\`/${prefix}\`) || Path(\`/${path}\`) )`;
        assert.deepEqual(outcome(rule), outcome(` ${rule}`));
      }),
    );
  });
});

/** The rule, or what is wrong without the text that it is wrong in. */
function outcome(text: string): unknown {
  try {
    return parseRule(text);
  } catch (error) {
    return error instanceof Error ? error.message.replaceAll(text, '') : error;
  }
}
