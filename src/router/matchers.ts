// Matchers and whole rules as functions of a request. Each matcher is one entry of a table; what can be prepared is prepared once.

import { createRequire } from 'node:module';
import { BlockList, isIP } from 'node:net';
import type { RE2JS } from 're2js';
import { errorText, ProxyError } from '../errors.ts';
import { canonicalRulePath, decodedPath } from './canonical-path.ts';
import type { MatcherName, Rule } from './rule.ts';

/** What rules can ask about a request. */
export interface RoutingRequest {
  /** As in Host, a port may follow. */
  readonly host: string;
  /** Canonical (canonical-path.ts). */
  readonly path: string;
  readonly method: string;
  /** Without the question mark. */
  readonly query: string;
  /** Address of the peer. */
  readonly clientIp: string;
  /** All values of a header; the name in lower case. */
  readonly headerValues: (name: string) => readonly string[];
}

/** A condition on a request. */
export type Predicate = (request: RoutingRequest) => boolean;

/** A host without port and trailing dot, in lower case. */
export function plainHost(host: string): string {
  let end = host.length;
  if (host.startsWith('[')) {
    const bracket = host.indexOf(']');
    if (bracket > 0) return host.slice(1, bracket).toLowerCase();
  } else {
    const colon = host.indexOf(':');
    if (colon >= 0) end = colon;
  }
  if (end > 0 && host.charCodeAt(end - 1) === 0x2e) end--;
  return (end === host.length ? host : host.slice(0, end)).toLowerCase();
}

/** A host as a rule names it: whatever it is, it is taken for a host without a port. */
export function ruleHost(argument: string): string {
  return argument.toLowerCase().replace(/\.$/, '');
}

/** True for a Host argument that names exactly one host. */
export function isExactHost(argument: string): boolean {
  return argument !== '*' && !argument.startsWith('*.');
}

function hostPredicate(argument: string): Predicate {
  if (argument === '*') return () => true;
  const wanted = ruleHost(argument);
  if (isExactHost(argument)) return ({ host }) => plainHost(host) === wanted;
  const suffix = wanted.slice(1);
  return ({ host }) => {
    const plain = plainHost(host);
    return (
      plain.endsWith(suffix) && !plain.slice(0, -suffix.length).includes('.') && plain.length > suffix.length
    );
  };
}

let engine: typeof RE2JS | undefined;

/** Loaded with the first expression: most tables have none, and a worker that replaces another one has no time to lose. */
function loadEngine(): typeof RE2JS {
  engine ??= (createRequire(import.meta.url)('re2js') as { RE2JS: typeof RE2JS }).RE2JS;
  return engine;
}

/** Thousands of rules may have the same expression, and a compiled one is many kilobytes: this many of the last ones are shared. */
const MAX_SHARED = 64;
/** The least recently asked for comes first. */
const shared = new Map<string, RE2JS>();

function compile(matcher: MatcherName, expression: string): RE2JS {
  const pattern = shared.get(expression) ?? compileAnew(matcher, expression);
  shared.delete(expression);
  shared.set(expression, pattern);
  const [oldest] = shared.keys();
  if (shared.size > MAX_SHARED && oldest !== undefined) shared.delete(oldest);
  return pattern;
}

function compileAnew(matcher: MatcherName, expression: string): RE2JS {
  try {
    return loadEngine().compile(expression);
  } catch (cause) {
    throw new ProxyError('JTP_ERR_RULE_INVALID', {
      message: `error while adding rule ${matcher}: compiling ${matcher === 'PathRegexp' ? 'PathPrefix' : matcher} matcher: ${errorText(cause)}`,
      cause,
    });
  }
}

function clientIpPredicate(range: string): Predicate {
  const [address = '', bits] = range.split('/');
  const family = isIP(address);
  const width = family === 6 ? 128 : 32;
  if (family === 0 || (bits !== undefined && !(/^[0-9]{1,3}$/.test(bits) && Number(bits) <= width)))
    throw new ProxyError('JTP_ERR_RULE_INVALID', {
      message: `error while adding rule ClientIP: invalid value "${range}" for ClientIP matcher, expected an IP address or a CIDR`,
    });
  const list = new BlockList();
  list.addSubnet(address, bits === undefined ? width : Number(bits), family === 6 ? 'ipv6' : 'ipv4');
  return ({ clientIp }) => {
    const peer = isIP(clientIp);
    return peer !== 0 && list.check(clientIp, peer === 6 ? 'ipv6' : 'ipv4');
  };
}

const PREDICATES: Record<MatcherName, (first: string, second: string | undefined) => Predicate> = {
  Host: hostPredicate,
  HostRegexp(expression) {
    const pattern = compile('HostRegexp', expression);
    return ({ host }) => pattern.matcher(plainHost(host)).find();
  },
  Path(wanted) {
    const path = canonicalRulePath(wanted);
    return (request) => request.path === path;
  },
  PathPrefix(wanted) {
    const prefix = canonicalRulePath(wanted);
    return ({ path }) => path.startsWith(prefix);
  },
  PathRegexp(expression) {
    const pattern = compile('PathRegexp', expression);
    return ({ path }) => pattern.matcher(decodedPath(path)).find();
  },
  Header(name, value) {
    const lower = name.toLowerCase();
    return ({ headerValues }) => headerValues(lower).includes(value ?? '');
  },
  HeaderRegexp(name, expression) {
    const lower = name.toLowerCase();
    const pattern = compile('HeaderRegexp', expression ?? '');
    return ({ headerValues }) => headerValues(lower).some((value) => pattern.matcher(value).find());
  },
  Method(name) {
    const wanted = name.toUpperCase();
    return ({ method }) => method === wanted;
  },
  Query(key, value = '') {
    return ({ query }) => new URLSearchParams(query).getAll(key).includes(value);
  },
  QueryRegexp(key, expression) {
    if (expression === undefined) return ({ query }) => new URLSearchParams(query).getAll(key).includes('');
    const pattern = compile('QueryRegexp', expression);
    return ({ query }) =>
      new URLSearchParams(query).getAll(key).some((value) => pattern.matcher(value).find());
  },
  ClientIP: clientIpPredicate,
};

/** A rule as one function; throws ProxyError JTP_ERR_RULE_INVALID for a bad regular expression or address. */
export function rulePredicate(rule: Rule): Predicate {
  switch (rule.kind) {
    case 'matcher':
      return PREDICATES[rule.name](rule.args[0] ?? '', rule.args[1]);
    case 'not': {
      const operand = rulePredicate(rule.operand);
      return (request) => !operand(request);
    }
    case 'and': {
      const left = rulePredicate(rule.left);
      const right = rulePredicate(rule.right);
      return (request) => left(request) && right(request);
    }
    case 'or': {
      const left = rulePredicate(rule.left);
      const right = rulePredicate(rule.right);
      return (request) => left(request) || right(request);
    }
  }
}
