// The rule language: text → tree. Source: Traefik documentation, routers, rules (syntax v3). Errors have Traefik's wording, because
// JupyterHub administrators find them by searching for it.

import { ProxyError } from '../errors.ts';

/** One matcher of a rule, `PathPrefix(`/user/`)`. */
export interface Matcher {
  readonly kind: 'matcher';
  /** As documented: `PathPrefix`. */
  readonly name: MatcherName;
  readonly args: readonly string[];
}

/** A parsed rule. */
export type Rule =
  | Matcher
  | { readonly kind: 'and'; readonly left: Rule; readonly right: Rule }
  | { readonly kind: 'or'; readonly left: Rule; readonly right: Rule }
  | { readonly kind: 'not'; readonly operand: Rule };

/** Name → the numbers of arguments it takes. */
const MATCHERS = {
  Host: [1],
  HostRegexp: [1],
  Path: [1],
  PathPrefix: [1],
  PathRegexp: [1],
  Header: [2],
  HeaderRegexp: [2],
  Method: [1],
  Query: [1, 2],
  QueryRegexp: [1, 2],
  ClientIP: [1],
} as const satisfies Record<string, readonly number[]>;

/** The matchers of the language. */
export type MatcherName = keyof typeof MATCHERS;

const SPELLINGS = new Map<string, MatcherName>();
for (const name of Object.keys(MATCHERS) as MatcherName[]) {
  SPELLINGS.set(name, name);
  SPELLINGS.set(name.toLowerCase(), name);
  SPELLINGS.set(name.toUpperCase(), name);
  SPELLINGS.set(name.charAt(0) + name.slice(1).toLowerCase(), name);
}

const WORD = /[A-Za-z][A-Za-z0-9]*/y;

/** Nesting deeper than this is refused: the parser recurses. */
const MAX_DEPTH = 200;

const SIMPLE_ESCAPES = new Map([
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
  ['a', '\x07'],
  ['b', '\b'],
  ['f', '\f'],
  ['v', '\v'],
  ['\\', '\\'],
  ['"', '"'],
]);

/** Nearly all rules of a hub: a prefix, and the path without its last slash. Taking them apart is a good part of a start with many routes. */
const OF_A_HUB = /^\( PathPrefix\(`(\/[^`]*)`\) \|\| Path\(`(\/[^`]*)`\) \)$/;

/** Parses a rule; throws ProxyError JTP_ERR_RULE_INVALID. */
export function parseRule(text: string): Rule {
  const [, prefix, path] = OF_A_HUB.exec(text) ?? [];
  if (prefix === undefined || path === undefined) return new RuleParser(text).parse();
  return {
    kind: 'or',
    left: { kind: 'matcher', name: 'PathPrefix', args: [prefix] },
    right: { kind: 'matcher', name: 'Path', args: [path] },
  };
}

/** Recursive descent: or → and → unary → primary, the precedence of Go's operators. */
class RuleParser {
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): Rule {
    this.#skipBlanks();
    if (this.#at === this.#text.length) throw this.#error("1:1: expected operand, found 'EOF'");
    const rule = this.#or();
    if (this.#at < this.#text.length) throw this.#error(`unexpected ${this.#here()}`);
    return rule;
  }

  #or(): Rule {
    let left = this.#and();
    while (this.#take('||')) left = { kind: 'or', left, right: this.#and() };
    return left;
  }

  #and(): Rule {
    let left = this.#unary();
    while (this.#take('&&')) left = { kind: 'and', left, right: this.#unary() };
    return left;
  }

  #unary(): Rule {
    this.#depth++;
    if (this.#depth > MAX_DEPTH) throw this.#error('too deeply nested');
    try {
      if (this.#take('!')) return { kind: 'not', operand: this.#unary() };
      if (!this.#take('(')) return this.#matcher();
      const rule = this.#or();
      if (!this.#take(')')) throw this.#error(`expected ")", found ${this.#here()}`);
      return rule;
    } finally {
      this.#depth--;
    }
  }

  #matcher(): Matcher {
    WORD.lastIndex = this.#at;
    const spelling = WORD.exec(this.#text)?.[0];
    if (spelling === undefined) throw this.#error(`expected a matcher, found ${this.#here()}`);
    this.#at += spelling.length;
    this.#skipBlanks();
    const name = SPELLINGS.get(spelling);
    if (name === undefined) throw this.#error(`unsupported function: ${spelling}`);
    if (!this.#take('(')) throw this.#error(`expected "(" after ${spelling}, found ${this.#here()}`);
    const args: string[] = [];
    if (!this.#take(')')) {
      do args.push(this.#string());
      while (this.#take(','));
      if (!this.#take(')')) throw this.#error(`expected ")", found ${this.#here()}`);
    }
    this.#check(name, args);
    return { kind: 'matcher', name, args };
  }

  #check(name: MatcherName, args: readonly string[]): void {
    const counts: readonly number[] = MATCHERS[name];
    if (!counts.includes(args.length))
      throw this.#addingError(
        'adding',
        name,
        `unexpected number of parameters; got ${String(args.length)}, expected one of [${counts.join(' ')}]`,
      );
    if (args.includes(''))
      throw this.#addingError('checking', name, `empty args for matcher ${name}, [${args.join(' ')}]`);
    const [first = ''] = args;
    if ((name === 'Path' || name === 'PathPrefix') && !first.startsWith('/'))
      throw this.#addingError('adding', name, `path "${first}" does not start with a '/'`);
    // Host names arrive in their ASCII form (punycode) only.
    if ((name === 'Host' || name === 'HostRegexp') && !/^[\x20-\x7e]*$/.test(first))
      throw this.#addingError(
        'adding',
        name,
        `invalid value "${first}" for ${name} matcher, non-ASCII characters are not allowed`,
      );
  }

  #string(): string {
    const quote = this.#text[this.#at];
    if (quote !== '`' && quote !== '"') throw this.#error(`expected a string, found ${this.#here()}`);
    if (quote === '"') return this.#quoted();
    const end = this.#text.indexOf('`', this.#at + 1);
    if (end < 0) throw this.#error('raw string literal not terminated');
    const value = this.#text.slice(this.#at + 1, end);
    this.#at = end + 1;
    this.#skipBlanks();
    return value;
  }

  #quoted(): string {
    let value = '';
    for (let at = this.#at + 1; at < this.#text.length; at++) {
      const character = this.#text[at] ?? '';
      if (character === '"') {
        this.#at = at + 1;
        this.#skipBlanks();
        return value;
      }
      if (character === '\n') break;
      if (character !== '\\') {
        value += character;
        continue;
      }
      const escape = /\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|[nrtabfv\\"])/y;
      escape.lastIndex = at;
      const sequence = escape.exec(this.#text)?.[0];
      if (sequence === undefined) throw this.#error('unknown escape sequence');
      value +=
        SIMPLE_ESCAPES.get(sequence.slice(1)) ?? String.fromCharCode(Number.parseInt(sequence.slice(2), 16));
      at += sequence.length - 1;
    }
    throw this.#error('string literal not terminated');
  }

  #take(token: string): boolean {
    if (!this.#text.startsWith(token, this.#at)) return false;
    this.#at += token.length;
    this.#skipBlanks();
    return true;
  }

  #skipBlanks(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      // Blank, tab, carriage return, line feed; NaN behind the end.
      if (code !== 0x20 && code !== 0x09 && code !== 0x0d && code !== 0x0a) return;
      this.#at++;
    }
  }

  #here(): string {
    return this.#at >= this.#text.length ? 'the end' : `"${this.#text.slice(this.#at, this.#at + 12)}"`;
  }

  /** The text can be read, but a matcher cannot be made of it. */
  #addingError(step: 'adding' | 'checking', name: MatcherName, what: string): ProxyError {
    return new ProxyError('JTP_ERR_RULE_INVALID', {
      message: `error while parsing rule ${this.#text}: adding rule ${this.#text}: error while ${step} rule ${name}: ${what}`,
    });
  }

  #error(what: string): ProxyError {
    return new ProxyError('JTP_ERR_RULE_INVALID', {
      message: `error while parsing rule ${this.#text}: parsing rule ${this.#text}: ${what}`,
    });
  }
}
