// The routes file as text: JupyterHub's routes in blocks of their own, everything else (the route to the API, certificates, what an
// administrator has added) kept before them. The text of each route is made once, so that writing ten thousand of them is joining strings.

import { parse as parseToml, stringify as stringifyToml } from 'smol-toml';
import { parse as parseYaml, stringify as stringifyYaml } from 'yaml';
import { isTable } from '../config/schema.ts';
import { errorText, ProxyError } from '../errors.ts';
import { aliasOf, hasPath, normalizeRoutespec, ruleOf } from './routespec.ts';
import type { HubRoute } from './routespec.ts';

export type RoutesFormat = 'toml' | 'yaml';

/** A route with its names and its text. */
export interface StoredRoute extends HubRoute {
  readonly router: string;
  readonly service: string;
  readonly rule: string;
  readonly text: RouteText;
}

/** For TOML one block; for YAML one line for each of the three tables. */
interface RouteText {
  readonly toml?: string;
  readonly yaml?: readonly [router: string, service: string, hub: string];
}

/** Everything that is not a route of the hub. */
export type ForeignContent = Readonly<Record<string, unknown>>;

/** A routes file taken apart. */
export interface RoutesContent {
  readonly routes: ReadonlyMap<string, StoredRoute>;
  readonly foreign: ForeignContent;
}

const HEADER = `# The routes of JupyterHub, kept by jupyterhub-traefik-proxy. Everything outside [jupyterhub.routes] and the routers and services
# named there may be edited; the routes themselves are written again when somebody changes them.
`;

/** Prepares a route for a file. */
export function storeRoute(
  route: HubRoute,
  context: { readonly format: RoutesFormat; readonly entryPoint: string },
): StoredRoute {
  const router = aliasOf('router', route.routespec);
  const service = aliasOf('service', route.routespec);
  const rule = ruleOf(route.routespec);
  const stored = { ...route, router, service, rule };
  const text =
    context.format === 'toml'
      ? { toml: tomlBlock(stored, context.entryPoint) }
      : { yaml: yamlLines(stored, context.entryPoint) };
  return { ...stored, text };
}

function tomlBlock(route: Omit<StoredRoute, 'text'>, entryPoint: string): string {
  const { router, service, routespec, target, data } = route;
  const dataLine = isTomlData(data)
    ? `data = ${tomlValue(data)}`
    : `dataJson = ${tomlString(JSON.stringify(data))}`;
  return (
    `\n[http.routers.${router}]\n` +
    `rule = ${tomlString(route.rule)}\nentryPoints = [${tomlString(entryPoint)}]\nservice = "${service}"\n` +
    `[http.services.${service}.loadBalancer]\npassHostHeader = true\n` +
    `[[http.services.${service}.loadBalancer.servers]]\nurl = ${tomlString(target)}\n` +
    (hasPath(target) ? 'preservePath = true\n' : '') +
    `[jupyterhub.routes.${router}]\nroutespec = ${tomlString(routespec)}\ntarget = ${tomlString(target)}\n` +
    `router = "${router}"\nservice = "${service}"\n${dataLine}\n`
  );
}

function yamlLines(route: Omit<StoredRoute, 'text'>, entryPoint: string): readonly [string, string, string] {
  const { router, service, rule, routespec, target, data } = route;
  const server = hasPath(target) ? { url: target, preservePath: true } : { url: target };
  return [
    `    ${router}: ${yamlValue({ rule, entryPoints: [entryPoint], service })}\n`,
    `    ${service}: ${yamlValue({ loadBalancer: { passHostHeader: true, servers: [server] } })}\n`,
    `    ${router}: ${yamlValue({ routespec, target, router, service, data })}\n`,
  ];
}

/** JSON is YAML; two opening braces in a row can only stand in a string (see `tomlString`). */
function yamlValue(value: unknown): string {
  return JSON.stringify(value).replaceAll('{{', '{\\u007b');
}

/** TOML has no null and no lone surrogates. */
function isTomlData(value: unknown): boolean {
  if (value === null || value === undefined) return false;
  if (typeof value === 'string') return isWellFormed(value);
  if (typeof value === 'number') return Number.isFinite(value);
  if (Array.isArray(value)) return value.every(isTomlData);
  if (typeof value === 'object')
    return Object.entries(value).every(([key, item]) => isWellFormed(key) && isTomlData(item));
  return true;
}

function isWellFormed(text: string): boolean {
  return !/[\uD800-\uDFFF]/u.test(text);
}

/** A basic string: JSON's escapes are TOML's, but for one character. */
function tomlString(text: string): string {
  // Traefik runs every file through a template engine first: two braces in a row must not stand in it.
  return JSON.stringify(text).replaceAll('\u007f', '\\u007f').replaceAll('{{', '{\\u007b');
}

function tomlValue(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(tomlValue).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).map(
      ([key, item]) => `${/^[A-Za-z0-9_-]+$/.test(key) ? key : tomlString(key)} = ${tomlValue(item)}`,
    );
    return entries.length === 0 ? '{}' : `{ ${entries.join(', ')} }`;
  }
  if (typeof value === 'string') return tomlString(value);
  // 1e21 is a float in JSON and must be one here: `1e+21`, which TOML reads.
  return String(value);
}

/** The whole file. */
export function renderRoutes(
  routes: Iterable<StoredRoute>,
  foreign: ForeignContent,
  format: RoutesFormat,
): string {
  if (format === 'toml') {
    let text = HEADER;
    if (Object.keys(foreign).length > 0) text += `\n${stringifyToml(foreign)}`;
    if (!text.endsWith('\n')) text += '\n';
    for (const route of routes) text += route.text.toml ?? '';
    return text;
  }
  return renderYaml(routes, foreign);
}

function renderYaml(routes: Iterable<StoredRoute>, foreign: ForeignContent): string {
  let routers = '';
  let services = '';
  let hub = '';
  for (const { text } of routes) {
    routers += text.yaml?.[0] ?? '';
    services += text.yaml?.[1] ?? '';
    hub += text.yaml?.[2] ?? '';
  }
  const { http, jupyterhub, ...rest } = foreign;
  const ownHttp = isTable(http) ? http : {};
  const { routers: foreignRouters, services: foreignServices, ...restHttp } = ownHttp;
  let text = HEADER;
  const section = (name: string, own: unknown, lines: string): string => {
    const foreignLines = isTable(own) && Object.keys(own).length > 0 ? indent(stringifyYaml(own), 4) : '';
    return foreignLines === '' && lines === '' ? '' : `  ${name}:\n${foreignLines}${lines}`;
  };
  const httpText =
    section('routers', foreignRouters, routers) +
    section('services', foreignServices, services) +
    (Object.keys(restHttp).length > 0 ? indent(stringifyYaml(restHttp), 2) : '');
  if (httpText !== '') text += `http:\n${httpText}`;
  if (Object.keys(rest).length > 0) text += stringifyYaml(rest);
  const hubRest =
    isTable(jupyterhub) && Object.keys(jupyterhub).length > 0 ? indent(stringifyYaml(jupyterhub), 2) : '';
  if (hub !== '' || hubRest !== '') text += `jupyterhub:\n${hubRest}${hub === '' ? '' : `  routes:\n${hub}`}`;
  return text;
}

function indent(text: string, spaces: number): string {
  return text.replace(/^(?=.)/gm, ' '.repeat(spaces));
}

/** Takes a file apart; throws ProxyError JTP_ERR_STORE_READ when it is not valid TOML or YAML. */
export function parseRoutes(
  text: string,
  context: { readonly format: RoutesFormat; readonly entryPoint: string },
): RoutesContent {
  let parsed: unknown;
  try {
    parsed = context.format === 'toml' ? parseToml(text) : parseYaml(text);
  } catch (cause) {
    const [reason = ''] = errorText(cause).split('\n');
    throw new ProxyError('JTP_ERR_STORE_READ', { message: reason, cause });
  }
  const root = isTable(parsed) ? parsed : {};
  const hub = isTable(root['jupyterhub']) ? root['jupyterhub'] : {};
  const { routes: entries, ...hubRest } = hub;
  const routes = new Map<string, StoredRoute>();
  const routers = new Set<string>();
  const services = new Set<string>();
  for (const entry of Object.values(isTable(entries) ? entries : {})) {
    if (!isTable(entry)) continue;
    const { routespec, target, data, dataJson, router, service } = entry;
    if (typeof router === 'string') routers.add(router);
    if (typeof service === 'string') services.add(service);
    if (typeof routespec !== 'string' || typeof target !== 'string') continue;
    const route = {
      routespec: normalizeRoutespec(routespec),
      target,
      data: readData(data, dataJson),
    };
    routes.set(route.routespec, storeRoute(route, context));
  }
  return { routes, foreign: foreignOf(root, hubRest, { routers, services }) };
}

function readData(data: unknown, dataJson: unknown): Readonly<Record<string, unknown>> {
  const value: unknown = typeof dataJson === 'string' ? JSON.parse(dataJson) : data;
  // The parser's tables have no prototype, which comparisons and JSON do not care about.
  return isTable(value) ? { ...value } : {};
}

/** Everything but the hub's routes; tables that become empty are left out, because Traefik refuses empty ones. */
function foreignOf(
  root: Readonly<Record<string, unknown>>,
  hubRest: Readonly<Record<string, unknown>>,
  own: { readonly routers: ReadonlySet<string>; readonly services: ReadonlySet<string> },
): ForeignContent {
  const foreign: Record<string, unknown> = { ...root };
  delete foreign['http'];
  delete foreign['jupyterhub'];
  const { http } = root;
  if (isTable(http)) {
    const left = Object.entries(http).map(([key, value]) => {
      const names =
        key.toLowerCase() === 'routers'
          ? own.routers
          : key.toLowerCase() === 'services'
            ? own.services
            : undefined;
      if (names === undefined || !isTable(value)) return [key, value] as const;
      return [key, Object.fromEntries(Object.entries(value).filter(([name]) => !names.has(name)))] as const;
    });
    const kept = left.filter(([, value]) => !(isTable(value) && Object.keys(value).length === 0));
    if (kept.length > 0) foreign['http'] = Object.fromEntries(kept);
  }
  if (Object.keys(hubRest).length > 0) foreign['jupyterhub'] = hubRest;
  return foreign;
}
