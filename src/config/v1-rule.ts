// Rules as version 1 wrote them, in today's syntax. `;` is "and", `,` is "or". Source: Traefik 1.7 documentation, matchers.

import { ProxyError } from '../errors.ts';

/** `Host:a,b;PathPrefix:/x` as ``(Host(`a`) || Host(`b`)) && PathPrefix(`/x`)``; throws ProxyError JTP_ERR_RULE_INVALID. */
export function translateV1Rule(text: string): string {
  const parts = text
    .split(';')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  if (parts.length === 0) throw ruleError(text, 'empty rule');
  return parts.map((part) => translatePart(part, text)).join(' && ');
}

type Translate = (args: readonly string[], rule: string) => string;

function each(matcher: (argument: string) => string): Translate {
  return (args) => {
    const terms = args.map(matcher);
    return terms.length === 1 ? (terms[0] ?? '') : `(${terms.join(' || ')})`;
  };
}

function pair(name: string): Translate {
  return (args, rule) => {
    const [key, ...value] = args;
    if (key === undefined || value.length === 0) throw ruleError(rule, `${name} needs a name and a value`);
    return `${name}(${quote(key)}, ${quote(value.join(','))})`;
  };
}

const TRANSLATIONS = new Map<string, Translate>([
  ['Host', each((host) => `Host(${quote(host.toLowerCase())})`)],
  ['HostRegexp', each((template) => `HostRegexp(${quote(`^${templateToRegexp(template)}$`)})`)],
  [
    'Path',
    each((path) =>
      path.includes('{') ? `PathRegexp(${quote(`^${templateToRegexp(path)}$`)})` : `Path(${quote(path)})`,
    ),
  ],
  [
    'PathPrefix',
    each((path) =>
      path.includes('{')
        ? `PathRegexp(${quote(`^${templateToRegexp(path)}`)})`
        : `PathPrefix(${quote(path)})`,
    ),
  ],
  ['Method', each((method) => `Method(${quote(method)})`)],
  ['Headers', pair('Header')],
  ['HeadersRegexp', pair('HeaderRegexp')],
  [
    'Query',
    (args, rule) =>
      args
        .map((argument) => {
          const [key = '', ...value] = argument.split('=');
          if (key === '') throw ruleError(rule, 'Query needs key=value');
          return `Query(${quote(key)}, ${quote(value.join('='))})`;
        })
        .join(' && '),
  ],
]);

/** They change the path, which needs middlewares that are not there yet. */
const MODIFIERS = new Set([
  'PathStrip',
  'PathPrefixStrip',
  'PathStripRegex',
  'PathPrefixStripRegex',
  'AddPrefix',
  'ReplacePath',
  'ReplacePathRegex',
]);

function translatePart(part: string, rule: string): string {
  const colon = part.indexOf(':');
  if (colon < 0) throw ruleError(rule, `expected Name:value, found "${part}"`);
  const name = part.slice(0, colon).trim();
  if (MODIFIERS.has(name))
    throw ruleError(rule, `${name} is known to Traefik 1, but not supported by this engine yet`);
  const translate = TRANSLATIONS.get(name);
  if (translate === undefined) throw ruleError(rule, `unsupported function: ${name}`);
  const args = part
    .slice(colon + 1)
    .split(',')
    .map((argument) => argument.trim());
  if (args.includes('')) throw ruleError(rule, `empty args for matcher ${name}`);
  return translate(args, rule);
}

/** A Go string literal; backticks unless the text has one itself. */
function quote(text: string): string {
  if (!text.includes('`')) return `\`${text}\``;
  return `"${text.replace(/[\\"]/g, '\\$&')}"`;
}

/** `{name:regexp}` and `{name}` in otherwise literal text. */
function templateToRegexp(template: string): string {
  return template
    .split(/(\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})/)
    .map((piece) => {
      if (!piece.startsWith('{')) return piece.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
      const colon = piece.indexOf(':');
      return colon < 0 ? '[^/]+' : `(?:${piece.slice(colon + 1, -1)})`;
    })
    .join('');
}

function ruleError(rule: string, what: string): ProxyError {
  return new ProxyError('JTP_ERR_RULE_INVALID', { message: `error while parsing rule ${rule}: ${what}` });
}
