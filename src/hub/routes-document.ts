// The routes file as text: what is the hub's in it, and what is somebody else's. The hub's part is a router, a service and an entry of
// `[jupyterhub.routes]` per route, the layout of the Python jupyterhub-traefik-proxy, which is read as well; every other key is kept.
// Text of a route is made once. Empty tables are never written: Traefik refuses a file for them.

import { extname } from 'node:path';
import { parse as parseToml, stringify as stringifyToml } from 'smol-toml';
import { parseSource } from '../config/source.ts';
import { yaml } from '../config/yaml.ts';
import { ConfigError } from '../errors.ts';
import type { ElementOptions, HubRoute, Json, RouteElements } from './route.ts';
import { normalizeRoute, routeElements } from './route.ts';
import {
  fitsToml,
  isSame,
  isTree,
  newTree,
  quoted,
  subtree,
  toData,
  toJson,
  tomlInline,
  tomlKey,
} from './values.ts';
import type { Tree } from './values.ts';

const GENERATION = /^# Generation ([0-9]{1,15})\. /m;

function headerOf(generation: number): string {
  return `# Routes of JupyterHub, written by jupyterhub-traefik-proxy.
# Generation ${String(generation)}. Routers, services and middlewares of your own in this file are kept; comments are not. Changes to the routes
# below [jupyterhub.routes] are undone.
`;
}

/** The generation that a file says it is; 0 when it says nothing. */
export function generationOf(text: string): number {
  return Number(GENERATION.exec(text.slice(0, 1000))?.[1] ?? 0);
}

/** The two forms of the file, by its ending. */
export type Format = 'toml' | 'yaml';

/** A route with the router and the service that the file has for it. */
export interface WrittenRoute {
  readonly route: HubRoute;
  readonly elements: RouteElements;
}

/** Some routes as text. TOML: all of it in `routers`. YAML: their entries in each of the three mappings. */
export interface RoutesText {
  readonly routers: Buffer;
  readonly services: Buffer;
  readonly entries: Buffer;
}

interface RouteText {
  readonly router: string;
  readonly service: string;
  readonly entry: string;
}

/** A file taken apart. */
export interface ParsedDocument {
  readonly routes: readonly HubRoute[];
  /** Routes whose router, service or entry is not what it should be, by router name. */
  readonly damaged: ReadonlySet<string>;
  /** Everything else. */
  readonly foreign: Tree;
  /** Entries that are no routes, and why. */
  readonly complaints: readonly string[];
}

/** Throws ConfigError for other endings. */
export function formatOf(file: string): Format {
  switch (extname(file).toLowerCase()) {
    case '.toml':
      return 'toml';
    case '.yaml':
    case '.yml':
      return 'yaml';
    default:
      throw new ConfigError([{ file, message: 'expected a name that ends in .toml, .yaml or .yml' }]);
  }
}

/** Makes the router and the service of a route. */
export function writeRoute(route: HubRoute, options: ElementOptions): WrittenRoute {
  return { route, elements: routeElements(route, options) };
}

/** Makes the text of some routes, in the order given. */
export function renderRoutes(format: Format, routes: readonly WrittenRoute[]): RoutesText {
  let routers = '';
  let services = '';
  let entries = '';
  for (const { route, elements } of routes)
    if (format === 'toml') {
      const { router, service, entry } = tomlRoute(route, elements);
      routers += router + service + entry;
    } else {
      const { router, service, entry } = yamlRoute(route, elements);
      routers += router;
      services += service;
      entries += entry;
    }
  return { routers: Buffer.from(routers), services: Buffer.from(services), entries: Buffer.from(entries) };
}

function tomlRoute(route: HubRoute, elements: RouteElements): RouteText {
  const { routerName, serviceName, router, service } = elements;
  const data = fitsToml(route.data)
    ? `data = ${tomlInline(route.data)}`
    : `dataJson = ${quoted(JSON.stringify(route.data))}`;
  const priority = router.priority === undefined ? '' : `priority = ${String(router.priority)}\n`;
  const servers = (service.loadBalancer?.servers ?? []).map((server) => tomlInline({ ...server }));
  const transport = service.loadBalancer?.serversTransport;
  return {
    router: `
[http.routers.${tomlKey(routerName)}]
rule = ${quoted(router.rule)}
${priority}entryPoints = ${tomlInline(router.entryPoints ?? [])}
service = ${quoted(serviceName)}
`,
    service: `[http.services.${tomlKey(serviceName)}.loadBalancer]
passHostHeader = true
${transport === undefined ? '' : `serversTransport = ${quoted(transport)}\n`}servers = [${servers.join(', ')}]
`,
    entry: `[jupyterhub.routes.${tomlKey(routerName)}]
routespec = ${quoted(route.routespec)}
target = ${quoted(route.target)}
router = ${quoted(routerName)}
service = ${quoted(serviceName)}
${data}
`,
  };
}

/** JSON is YAML, so values are written as JSON. */
function yamlRoute(route: HubRoute, elements: RouteElements): RouteText {
  const { routerName, serviceName, router, service } = elements;
  const priority = router.priority === undefined ? '' : `\n      priority: ${String(router.priority)}`;
  const transport = service.loadBalancer?.serversTransport;
  return {
    router: `    ${quoted(routerName)}:
      rule: ${quoted(router.rule)}${priority}
      entryPoints: ${yamlInline([...(router.entryPoints ?? [])])}
      service: ${quoted(serviceName)}
`,
    service: `    ${quoted(serviceName)}:
      loadBalancer:
        passHostHeader: true${transport === undefined ? '' : `\n        serversTransport: ${quoted(transport)}`}
        servers:
${(service.loadBalancer?.servers ?? []).map((server) => `          - ${yamlInline({ ...server })}\n`).join('')}`,
    entry: `    ${quoted(routerName)}:
      routespec: ${quoted(route.routespec)}
      target: ${quoted(route.target)}
      router: ${quoted(routerName)}
      service: ${quoted(serviceName)}
      ${fitsYaml(route.data) ? `data: ${yamlInline(route.data)}` : `dataJson: ${quoted(JSON.stringify(route.data))}`}
`,
  };
}

function fitsYaml(value: Json): boolean {
  if (typeof value === 'string') return !/\p{Surrogate}/u.test(value);
  // YAML would read `<<` as a merge, and parsers differ about very long keys.
  if (Array.isArray(value)) return value.every((item: Json) => fitsYaml(item));
  if (typeof value !== 'object' || value === null) return !Object.is(value, -0);
  return Object.entries(value).every(
    ([key, item]) => key !== '<<' && key.length < 1000 && fitsYaml(key) && fitsYaml(item),
  );
}

function yamlInline(value: Json): string {
  if (typeof value === 'string') return quoted(value);
  if (Array.isArray(value)) return `[${value.map(yamlInline).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const pairs = Object.entries(value).map(([key, item]) => `${quoted(key)}: ${yamlInline(item)}`);
  return `{ ${pairs.join(', ')} }`.replace('{  }', '{}');
}

/** What is foreign in the file, as text that routes are added to. */
export interface ForeignText {
  /** Below the header, before everything else. */
  readonly top: string;
  /** YAML only: what stands beside the routes in their mappings. */
  readonly http: string;
  readonly routers: string;
  readonly services: string;
  readonly hub: string;
  readonly entries: string;
}

/** Writes the foreign part; it changes seldom, so its text is kept by the caller. */
export function writeForeign(format: Format, tree: Tree): ForeignText {
  const foreign = prune(tree);
  if (format === 'toml') {
    const own = stringifyToml(foreign, { numbersAsFloat: true }).trim();
    const top = own === '' ? '' : `\n${own}\n`;
    return { top, http: '', routers: '', services: '', hub: '', entries: '' };
  }
  const http = subtree(foreign, 'http');
  const hub = subtree(foreign, 'jupyterhub');
  const without = (tree: Tree, names: readonly string[]): Tree =>
    newTree(Object.entries(tree).filter(([key]) => !names.includes(key)));
  return {
    top: yamlBlock(without(foreign, ['http', 'jupyterhub']), ''),
    http: yamlBlock(without(http, ['routers', 'services']), '  '),
    routers: yamlBlock(subtree(http, 'routers'), '    '),
    services: yamlBlock(subtree(http, 'services'), '    '),
    hub: yamlBlock(without(hub, ['routes']), '  '),
    entries: yamlBlock(subtree(hub, 'routes'), '    '),
  };
}

/** The whole file in pieces: what is foreign, then the routes in the order given. */
export function renderDocument(
  format: Format,
  foreign: ForeignText,
  routes: readonly RoutesText[],
  generation: number,
): readonly Buffer[] {
  const top = Buffer.from(headerOf(generation) + foreign.top);
  if (format === 'toml') return [top, ...routes.map(({ routers }) => routers)];
  const routers = section('  routers:\n', foreign.routers, routes, 'routers');
  const services = section('  services:\n', foreign.services, routes, 'services');
  const entries = section('  routes:\n', foreign.entries, routes, 'entries');
  return [
    top,
    ...mapping('http:\n', foreign.http, [...routers, ...services]),
    ...mapping('jupyterhub:\n', foreign.hub, entries),
  ];
}

function section(
  heading: string,
  foreign: string,
  routes: readonly RoutesText[],
  key: keyof RoutesText,
): readonly Buffer[] {
  return mapping(
    heading,
    foreign,
    routes.map((text) => text[key]),
  );
}

function mapping(heading: string, foreign: string, pieces: readonly Buffer[]): readonly Buffer[] {
  const isEmpty = foreign === '' && pieces.every(({ length }) => length === 0);
  return isEmpty ? [] : [Buffer.from(heading + foreign), ...pieces];
}

function yamlBlock(tree: Tree, indentation: string): string {
  if (Object.keys(tree).length === 0) return '';
  return yaml()
    .stringify(tree, { lineWidth: 0 })
    .split('\n')
    .map((line) => (line === '' ? '' : indentation + line))
    .join('\n');
}

/** The foreign part without elements that have the name of one of ours: those would make the file invalid, and ours stand. */
export function withoutOurs(foreign: Tree, routes: Iterable<WrittenRoute>): Tree {
  const http = subtree(foreign, 'http');
  const hub = subtree(foreign, 'jupyterhub');
  const [foreignRouters, foreignServices, foreignEntries] = [
    subtree(http, 'routers'),
    subtree(http, 'services'),
    subtree(hub, 'routes'),
  ];
  const clashes: WrittenRoute[] = [];
  for (const written of routes) {
    const { routerName, serviceName } = written.elements;
    if (
      Object.hasOwn(foreignRouters, routerName) ||
      Object.hasOwn(foreignServices, serviceName) ||
      Object.hasOwn(foreignEntries, routerName)
    )
      clashes.push(written);
  }
  if (clashes.length === 0) return foreign;
  const routers = newTree(Object.entries(foreignRouters));
  const services = newTree(Object.entries(foreignServices));
  const entries = newTree(Object.entries(foreignEntries));
  for (const { elements } of clashes) {
    delete routers[elements.routerName];
    delete services[elements.serviceName];
    delete entries[elements.routerName];
  }
  return prune({ ...foreign, http: { ...http, routers, services }, jupyterhub: { ...hub, routes: entries } });
}

/** Takes out the tables that must not be empty. Source: Traefik refuses "standalone elements" below `http`, `tcp`, `udp` and `tls`. */
export function prune(tree: Tree): Tree {
  const kept = newTree();
  for (const [key, value] of Object.entries(tree)) {
    if (value === undefined) continue;
    const isSection = ['http', 'tcp', 'udp', 'tls', 'jupyterhub'].includes(key);
    if (!isSection || !isTree(value)) {
      kept[key] = value;
      continue;
    }
    const filled = newTree(
      Object.entries(value).filter(
        ([, item]) =>
          item !== undefined && item !== null && !(isTree(item) && Object.keys(item).length === 0),
      ),
    );
    if (Object.keys(filled).length > 0) kept[key] = filled;
  }
  return kept;
}

/** Takes a file apart; throws ConfigError, with the line, when it is no TOML or YAML. */
export function parseDocument(text: string, file: string, options: ElementOptions): ParsedDocument {
  const format = formatOf(file);
  const root = canonicalKeys(parseTree(text, file, format));
  const http = subtree(root, 'http');
  const hub = subtree(root, 'jupyterhub');
  const routers = newTree(Object.entries(subtree(http, 'routers')));
  const services = newTree(Object.entries(subtree(http, 'services')));
  const entries = newTree(Object.entries(subtree(hub, 'routes')));
  const routes = new Map<string, HubRoute>();
  const damaged = new Set<string>();
  const complaints: string[] = [];
  for (const [name, entry] of Object.entries(subtree(hub, 'routes'))) {
    let elements: RouteElements;
    try {
      const route = readEntry(entry);
      elements = routeElements(route, options);
      routes.set(route.routespec, route);
      if (
        !isIntact(name, entry, {
          elements,
          route,
          format,
          router: routers[elements.routerName],
          service: services[elements.serviceName],
        })
      )
        damaged.add(elements.routerName);
    } catch (error) {
      complaints.push(`jupyterhub.routes.${name}: ${error instanceof Error ? error.message : String(error)}`);
      continue;
    }
    // Old names of the same route go, too.
    const { router, service } = isTree(entry) ? entry : newTree();
    delete entries[name];
    for (const other of [name, elements.routerName, router])
      if (typeof other === 'string') delete routers[other];
    for (const other of [elements.serviceName, service])
      if (typeof other === 'string') delete services[other];
  }
  const foreign = prune({
    ...root,
    http: { ...http, routers, services },
    jupyterhub: { ...hub, routes: entries },
  });
  return { routes: [...routes.values()], damaged, foreign, complaints };
}

function parseTree(text: string, file: string, format: Format): Tree {
  try {
    if (format === 'toml') return parseToml(text, { integersAsBigInt: true });
    const value: unknown = yaml().parse(text, { maxAliasCount: 100 });
    if (value === null || value === undefined) return newTree();
    if (isTree(value)) return value;
  } catch {
    // The other reader says what is wrong, and where.
  }
  return parseSource(text, file).root;
}

/** Traefik compares keys without regard to case; the sections that we write into have one spelling here. */
function canonicalKeys(root: Tree): Tree {
  const fold = (tree: Tree, names: readonly string[]): Tree => {
    let folded: Tree = newTree();
    for (const [key, value] of Object.entries(tree)) {
      const name = names.find((known) => known === key.toLowerCase()) ?? key;
      folded = deepMerge1(folded, name, value);
    }
    return folded;
  };
  const top = fold(root, ['http', 'tcp', 'udp', 'tls']);
  const http = top['http'];
  return isTree(http)
    ? deepSet(top, 'http', fold(http, ['routers', 'services', 'middlewares', 'serversTransports']))
    : top;
}

function deepMerge1(tree: Tree, key: string, value: unknown): Tree {
  const before = Object.hasOwn(tree, key) ? tree[key] : undefined;
  const merged =
    isTree(before) && isTree(value) ? newTree([...Object.entries(before), ...Object.entries(value)]) : value;
  return deepSet(tree, key, merged);
}

function deepSet(tree: Tree, key: string, value: unknown): Tree {
  return newTree([...Object.entries(tree), [key, value]]);
}

function readEntry(entry: unknown): HubRoute {
  const { routespec, target, data, dataJson } = isTree(entry) ? entry : newTree();
  if (typeof routespec !== 'string' || typeof target !== 'string')
    throw new Error('a route has a routespec and a target, both strings');
  const decoded: unknown = typeof dataJson === 'string' ? JSON.parse(dataJson) : data;
  const json = toJson(decoded);
  return normalizeRoute({ routespec, target, data: isTree(json) ? toData(json) : {} });
}

/** Whether the file says about a route what it should say. */
function isIntact(
  name: string,
  entry: unknown,
  found: {
    readonly elements: RouteElements;
    readonly route: HubRoute;
    readonly format: Format;
    readonly router: unknown;
    readonly service: unknown;
  },
): boolean {
  const { elements, route, router, service } = found;
  if (name !== elements.routerName || !isSame(router, elements.router) || !isSame(service, elements.service))
    return false;
  if (!isTree(entry)) return false;
  const { routespec, target, router: routerName, service: serviceName } = entry;
  return (
    routespec === route.routespec &&
    target === route.target &&
    routerName === elements.routerName &&
    serviceName === elements.serviceName
  );
}
