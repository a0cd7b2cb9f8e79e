// Request → router, at a cost that does not depend on how many routers there are: a map of hosts to tries of path segments.
//
//   rule ──or──► alternatives, each: one host (or any) + one path or prefix + whatever else must hold
//   trie node: exact paths that end here · prefixes that end inside the next segment · children by segment
//
// A lookup walks one branch for the request's host and one for any host, and keeps the matching entry of the highest priority. Only
// rules without any host or path, and conditions a trie cannot express, are evaluated, and only where they could still win.

import { canonicalRulePath } from './canonical-path.ts';
import { isExactHost, plainHost, ruleHost, rulePredicate } from './matchers.ts';
import type { Predicate, RoutingRequest } from './matchers.ts';
import type { Rule } from './rule.ts';

export type { RoutingRequest } from './matchers.ts';

/** A rule that would fall into more alternatives than this is evaluated as a whole instead. */
const MAX_ALTERNATIVES = 64;

interface Entry<T> {
  readonly name: string;
  readonly priority: number;
  readonly value: T;
  /** What the place in the trie does not say already; undefined = nothing. */
  readonly condition: Predicate | undefined;
}

/** Maps that are `NONE` have to be replaced before something is put into them: most nodes are leaves, and three empty maps are 600 bytes. */
interface Node<T> {
  children: Map<string, Node<T>>;
  /** Entries for exactly this path, by what follows the last slash. */
  exact: Map<string, Entry<T>[]>;
  /** Entries for every path that goes on with the key, which contains no slash. */
  prefixes: Map<string, Entry<T>[]>;
  /** The lengths of those keys, each once. */
  lengths: readonly number[];
}

interface Placement {
  readonly host: string;
  readonly path: string;
  readonly isExact: boolean;
}

interface Alternative extends Placement {
  readonly condition: Predicate | undefined;
}

/** Stands for rules that name no host; no host name contains a blank. */
const ANY_HOST = ' ';

/** Routers by name, found by request. */
export class RoutingTable<T> {
  readonly #hosts = new Map<string, Node<T>>();
  readonly #placements = new Map<string, readonly Placement[]>();

  get size(): number {
    return this.#placements.size;
  }

  /** Adds or replaces a router; costs what the rule costs, not what the table holds. Throws ProxyError JTP_ERR_RULE_INVALID. */
  set(name: string, router: { readonly rule: Rule; readonly priority: number; readonly value: T }): void {
    // Everything that can throw comes before the first change.
    const alternatives = alternativesOf(router.rule);
    this.delete(name);
    for (const { host, path, isExact, condition } of alternatives) {
      let root = this.#hosts.get(host);
      if (root === undefined) {
        root = createNode();
        this.#hosts.set(host, root);
      }
      const entry = { name, priority: router.priority, value: router.value, condition };
      addEntry(root, path, isExact, entry);
    }
    this.#placements.set(name, alternatives);
  }

  /** Does nothing when there is no such router. */
  delete(name: string): void {
    const placements = this.#placements.get(name);
    if (placements === undefined) return;
    this.#placements.delete(name);
    for (const { host, path, isExact } of placements) {
      const root = this.#hosts.get(host);
      if (root !== undefined && removeEntry(root, path, isExact, name)) this.#hosts.delete(host);
    }
  }

  /** The router with the highest priority among those that match; of equals, the first by name. */
  lookup(request: RoutingRequest): T | undefined {
    let best: Entry<T> | undefined;
    const anywhere = this.#hosts.get(ANY_HOST);
    if (anywhere !== undefined) best = walk(anywhere, request, best);
    if (this.#hosts.size > (anywhere === undefined ? 0 : 1)) {
      const root = this.#hosts.get(plainHost(request.host));
      if (root !== undefined) best = walk(root, request, best);
    }
    return best?.value;
  }
}

/** Always empty. */
const NONE = new Map<string, never>();
const NO_LENGTHS: readonly number[] = [];

function createNode<T>(): Node<T> {
  return { children: NONE, exact: NONE, prefixes: NONE, lengths: NO_LENGTHS };
}

/** Splits `/user/zoe/x` into the nodes `user`, `zoe` and the rest `x`. */
function splitPath(path: string): { readonly segments: readonly string[]; readonly rest: string } {
  const segments = path.slice(1).split('/');
  const rest = segments.pop() ?? '';
  return { segments, rest };
}

function addEntry<T>(root: Node<T>, path: string, isExact: boolean, entry: Entry<T>): void {
  const { segments, rest } = splitPath(path);
  let node = root;
  for (const segment of segments) {
    let child = node.children.get(segment);
    if (child === undefined) {
      child = createNode();
      if (node.children === NONE) node.children = new Map();
      node.children.set(segment, child);
    }
    node = child;
  }
  if (isExact && node.exact === NONE) node.exact = new Map();
  if (!isExact && node.prefixes === NONE) node.prefixes = new Map();
  const entries = isExact ? node.exact : node.prefixes;
  const list = [...(entries.get(rest) ?? []), entry].sort(compareEntries);
  entries.set(rest, list);
  if (!isExact && !node.lengths.includes(rest.length)) node.lengths = [...node.lengths, rest.length];
}

/** Returns true when the trie is empty afterwards. */
function removeEntry<T>(root: Node<T>, path: string, isExact: boolean, name: string): boolean {
  const { segments, rest } = splitPath(path);
  const nodes: Node<T>[] = [root];
  for (const segment of segments) {
    const child = nodes.at(-1)?.children.get(segment);
    if (child === undefined) return false;
    nodes.push(child);
  }
  const node = nodes.at(-1);
  if (node === undefined) return false;
  const entries = isExact ? node.exact : node.prefixes;
  const left = (entries.get(rest) ?? []).filter((entry) => entry.name !== name);
  if (left.length > 0) entries.set(rest, left);
  else {
    entries.delete(rest);
    // Lengths that no key has any more only cost a failing look-up; they go with the last key.
    if (node.prefixes.size === 0) node.lengths = NO_LENGTHS;
  }
  for (let depth = nodes.length - 1; depth > 0; depth--) {
    const child = nodes[depth];
    if (child === undefined || !isEmpty(child)) break;
    nodes[depth - 1]?.children.delete(segments[depth - 1] ?? '');
  }
  return isEmpty(root);
}

function isEmpty<T>(node: Node<T>): boolean {
  return node.children.size === 0 && node.exact.size === 0 && node.prefixes.size === 0;
}

function compareEntries<T>(a: Entry<T>, b: Entry<T>): number {
  if (a.priority !== b.priority) return b.priority - a.priority;
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

/** Goes down the branch of the request's path. */
function walk<T>(root: Node<T>, request: RoutingRequest, before: Entry<T> | undefined): Entry<T> | undefined {
  const { path } = request;
  let best = before;
  let node: Node<T> | undefined = root;
  let start = 1;
  while (node !== undefined) {
    const slash = path.indexOf('/', start);
    const end = slash < 0 ? path.length : slash;
    for (const length of node.lengths) {
      if (start + length > end) continue;
      const entries = node.prefixes.get(length === 0 ? '' : path.slice(start, start + length));
      if (entries !== undefined) best = better(entries, request, best);
    }
    if (slash < 0) {
      if (node.exact.size > 0) {
        const entries = node.exact.get(path.slice(start));
        if (entries !== undefined) best = better(entries, request, best);
      }
      return best;
    }
    if (node.children.size === 0) return best;
    node = node.children.get(path.slice(start, slash));
    start = slash + 1;
  }
  return best;
}

/** The first entry that matches, if it beats what was found before; entries are in order of priority. */
function better<T>(
  entries: readonly Entry<T>[],
  request: RoutingRequest,
  best: Entry<T> | undefined,
): Entry<T> | undefined {
  for (const entry of entries) {
    if (best !== undefined && compareEntries(entry, best) >= 0) return best;
    if (entry.condition === undefined || entry.condition(request)) return entry;
  }
  return best;
}

/** The alternatives of a rule, each with the most selective place in the tries. */
function alternativesOf(rule: Rule): readonly Alternative[] {
  const conjunctions = conjunctionsOf(rule);
  if (conjunctions === undefined)
    return [{ host: ANY_HOST, path: '/', isExact: false, condition: rulePredicate(rule) }];
  return conjunctions.map(placeConjunction);
}

/** Disjunctive normal form; undefined when it would be too long. Negations are left as they are: they are conditions. */
function conjunctionsOf(rule: Rule): readonly (readonly Rule[])[] | undefined {
  if (rule.kind === 'matcher' || rule.kind === 'not') return [[rule]];
  const left = conjunctionsOf(rule.left);
  const right = conjunctionsOf(rule.right);
  if (left === undefined || right === undefined) return undefined;
  if (rule.kind === 'or')
    return left.length + right.length > MAX_ALTERNATIVES ? undefined : [...left, ...right];
  if (left.length * right.length > MAX_ALTERNATIVES) return undefined;
  return left.flatMap((a) => right.map((b) => [...a, ...b]));
}

function placeConjunction(terms: readonly Rule[]): Alternative {
  const host = terms.find(
    (term) => term.kind === 'matcher' && term.name === 'Host' && isExactHost(term.args[0] ?? ''),
  );
  const path = mostSpecificPath(terms);
  const others = terms.filter((term) => term !== host && term !== path).map(rulePredicate);
  return {
    host: host?.kind === 'matcher' ? ruleHost(host.args[0] ?? '') : ANY_HOST,
    path: path?.kind === 'matcher' ? canonicalRulePath(path.args[0] ?? '/') : '/',
    isExact: path?.kind === 'matcher' && path.name === 'Path',
    condition: others.length === 0 ? undefined : (request) => others.every((holds) => holds(request)),
  };
}

function mostSpecificPath(terms: readonly Rule[]): Rule | undefined {
  let best: Rule | undefined;
  let bestLength = -1;
  for (const term of terms) {
    if (term.kind !== 'matcher') continue;
    const length = term.args[0]?.length ?? 0;
    if (term.name === 'Path' || (term.name === 'PathPrefix' && length > bestLength)) {
      best = term;
      bestLength = term.name === 'Path' ? Infinity : length;
    }
  }
  return best;
}
