// Request → router, at a cost that does not depend on how many routers there are: a map of hosts to tries of path segments.
//
//   rule ──or──► alternatives, each: one host (or any) + one path or prefix + whatever else must hold
//   trie node: prefixes that end with it · children by segment · rarely: exact paths, prefixes that end inside the next segment
//
// A large table is not in the processor's caches, so every object that a lookup meets costs: a hub's prefix is one map, one node and one
// entry. A lookup walks one branch for the request's host and one for any host, and keeps the matching entry of the highest priority. Only
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
  /** The next one in the same place, in order of priority. */
  next: Entry<T> | undefined;
}

/** Lists of entries are named by their first one. */
interface Node<T> {
  /** `NONE` has to be replaced before something is put into it: most nodes are leaves. */
  children: Map<string, Node<T>>;
  /** Entries for every path that begins with this node's and a slash. */
  below: Entry<T> | undefined;
  partial: PartialSegments<T> | undefined;
}

/** What a path is compared with behind its last, or its next, slash. */
interface PartialSegments<T> {
  /** Entries for exactly this path. */
  readonly exact: Map<string, Entry<T>>;
  /** Entries for every path that goes on with the key, which contains no slash and is not empty. */
  readonly prefixes: Map<string, Entry<T>>;
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
      const entry = { name, priority: router.priority, value: router.value, condition, next: undefined };
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

function createNode<T>(): Node<T> {
  return { children: NONE, below: undefined, partial: undefined };
}

function createPartial<T>(): PartialSegments<T> {
  return { exact: new Map(), prefixes: new Map(), lengths: [] };
}

/** Splits `/user/zoe/x` into the nodes `user`, `zoe` and the rest `x`. */
function splitPath(path: string): { readonly segments: readonly string[]; readonly rest: string } {
  const segments = path.slice(1).split('/');
  const rest = segments.pop() ?? '';
  return { segments, rest };
}

function addEntry<T>(root: Node<T>, path: string, isExact: boolean, entry: Entry<T>): void {
  let node = root;
  let start = 1;
  for (let slash = path.indexOf('/', 1); slash >= 0; slash = path.indexOf('/', start)) {
    const segment = path.slice(start, slash);
    let child = node.children.get(segment);
    if (child === undefined) {
      child = createNode();
      if (node.children === NONE) node.children = new Map();
      node.children.set(segment, child);
    }
    node = child;
    start = slash + 1;
  }
  const rest = path.slice(start);
  if (rest === '' && !isExact) {
    node.below = inserted(node.below, entry);
    return;
  }
  const partial = (node.partial ??= createPartial());
  const entries = isExact ? partial.exact : partial.prefixes;
  entries.set(rest, inserted(entries.get(rest), entry));
  if (!isExact && !partial.lengths.includes(rest.length)) partial.lengths = [...partial.lengths, rest.length];
}

/** The list with one more entry. */
function inserted<T>(first: Entry<T> | undefined, entry: Entry<T>): Entry<T> {
  if (first === undefined || compareEntries(entry, first) < 0) {
    entry.next = first;
    return entry;
  }
  let before = first;
  while (before.next !== undefined && compareEntries(before.next, entry) <= 0) before = before.next;
  entry.next = before.next;
  before.next = entry;
  return first;
}

/** The list without a router's entries. */
function without<T>(first: Entry<T> | undefined, name: string): Entry<T> | undefined {
  let start = first;
  while (start?.name === name) start = start.next;
  for (let entry = start; entry !== undefined; entry = entry.next)
    while (entry.next?.name === name) entry.next = entry.next.next;
  return start;
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
  if (rest === '' && !isExact) node.below = without(node.below, name);
  else removePartial(node, rest, isExact, name);
  for (let depth = nodes.length - 1; depth > 0; depth--) {
    const child = nodes[depth];
    if (child === undefined || !isEmpty(child)) break;
    nodes[depth - 1]?.children.delete(segments[depth - 1] ?? '');
  }
  return isEmpty(root);
}

function removePartial<T>(node: Node<T>, rest: string, isExact: boolean, name: string): void {
  const { partial } = node;
  if (partial === undefined) return;
  const entries = isExact ? partial.exact : partial.prefixes;
  const left = without(entries.get(rest), name);
  if (left !== undefined) entries.set(rest, left);
  else entries.delete(rest);
  // Lengths that no key has any more only cost a failing look-up; they go with the last key.
  if (partial.prefixes.size === 0) partial.lengths = [];
  if (partial.prefixes.size === 0 && partial.exact.size === 0) node.partial = undefined;
}

function isEmpty<T>(node: Node<T>): boolean {
  return node.children.size === 0 && node.below === undefined && node.partial === undefined;
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
    if (node.below !== undefined) best = better(node.below, request, best);
    const { partial } = node;
    if (partial !== undefined) {
      for (const length of partial.lengths) {
        if (start + length > end) continue;
        best = better(partial.prefixes.get(path.slice(start, start + length)), request, best);
      }
      if (slash < 0) best = better(partial.exact.get(path.slice(start)), request, best);
    }
    if (slash < 0) return best;
    if (node.children.size === 0) return best;
    node = node.children.get(path.slice(start, slash));
    start = slash + 1;
  }
  return best;
}

/** The first entry of a list that matches, if it beats what was found before. */
function better<T>(
  first: Entry<T> | undefined,
  request: RoutingRequest,
  best: Entry<T> | undefined,
): Entry<T> | undefined {
  for (let entry = first; entry !== undefined; entry = entry.next) {
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
  // A condition that several alternatives share is built once.
  const predicates = new Map<Rule, Predicate>();
  return conjunctions.map((terms) => placeConjunction(terms, predicates));
}

/**
 * Disjunctive normal form; undefined when it would be too long. What says nothing about where a router has its place, negations among it, is
 * left as it is: that is a condition, and every alternative would only be one more entry in the same place.
 */
function conjunctionsOf(rule: Rule): readonly (readonly Rule[])[] | undefined {
  if (rule.kind === 'matcher' || rule.kind === 'not' || !namesPlace(rule)) return [[rule]];
  const left = conjunctionsOf(rule.left);
  const right = conjunctionsOf(rule.right);
  if (left === undefined || right === undefined) return undefined;
  if (rule.kind === 'or')
    return left.length + right.length > MAX_ALTERNATIVES ? undefined : [...left, ...right];
  if (left.length * right.length > MAX_ALTERNATIVES) return undefined;
  return left.flatMap((a) => right.map((b) => [...a, ...b]));
}

function namesPlace(rule: Rule): boolean {
  switch (rule.kind) {
    case 'matcher':
      return rule.name === 'Path' || rule.name === 'PathPrefix' || rule.name === 'Host';
    case 'not':
      return false;
    case 'and':
    case 'or':
      return namesPlace(rule.left) || namesPlace(rule.right);
  }
}

function placeConjunction(terms: readonly Rule[], predicates: Map<Rule, Predicate>): Alternative {
  const [only] = terms;
  if (terms.length === 1 && only?.kind === 'matcher' && (only.name === 'PathPrefix' || only.name === 'Path'))
    return {
      host: ANY_HOST,
      path: canonicalRulePath(only.args[0] ?? '/'),
      isExact: only.name === 'Path',
      condition: undefined,
    };
  const host = terms.find(
    (term) => term.kind === 'matcher' && term.name === 'Host' && isExactHost(term.args[0] ?? ''),
  );
  const path = mostSpecificPath(terms);
  const others = terms
    .filter((term) => term !== host && term !== path)
    .map((term) => {
      const predicate = predicates.get(term) ?? rulePredicate(term);
      predicates.set(term, predicate);
      return predicate;
    });
  return {
    host: host?.kind === 'matcher' ? ruleHost(host.args[0] ?? '') : ANY_HOST,
    path: path?.kind === 'matcher' ? canonicalRulePath(path.args[0] ?? '/') : '/',
    isExact: path?.kind === 'matcher' && path.name === 'Path',
    condition: others.length < 2 ? others[0] : allOf(others),
  };
}

/** A function of its own: what is kept of a rule must not hold on to everything that was at hand when it was built. */
function allOf(predicates: readonly Predicate[]): Predicate {
  return (request) => predicates.every((holds) => holds(request));
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
