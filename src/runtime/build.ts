// From what was written to what workers can use, with the reasons when they cannot. Wording of the reasons: Traefik's, because people
// search for it.

import { readFileSync } from 'node:fs';
import type {
  MiddlewareConfiguration,
  RouterConfiguration,
  ServiceConfiguration,
} from '../config/dynamic.ts';
import type {
  EntryPointConfiguration,
  RouterTlsConfiguration,
  StaticConfiguration,
} from '../config/static.ts';
import { parseUsersFile } from '../config/users-file.ts';
import { errorText } from '../errors.ts';
import { rulePredicate } from '../router/matchers.ts';
import { parseRule } from '../router/rule.ts';
import { qualify } from './elements.ts';
import type { MiddlewareState, RouterState, ServiceState } from './elements.ts';
import { listOf, NOTHING } from './short-lists.ts';
import type { ServersTransports } from './servers-transports.ts';
import { DEFAULT_TLS_OPTIONS } from './table-change.ts';
import type { MiddlewareSpec, RouterSpec, ServiceSpec, TransportOptions } from './table-change.ts';
import type { TlsOptionsState } from './tls-options.ts';

/** Traefik keeps the topmost thousand priorities for itself. */
const MAX_USER_PRIORITY = 9_223_372_036_854_774_807n;

/** Checks of things that other folders know how to build; given by the composition root. */
export interface Checks {
  /** Throws when no worker could use such a middleware. */
  readonly middleware: (spec: MiddlewareSpec) => void;
  /** Throws when no worker could connect to such a server. */
  readonly serverUrl: (url: string) => void;
  /** Throws when no worker could connect in this way. */
  readonly transport: (options: TransportOptions) => void;
}

/** Builds a service; `errors` is empty when it can be used. */
export function buildService(
  name: string,
  { loadBalancer }: ServiceConfiguration,
  checks: Checks,
  transports: ServersTransports,
): { readonly spec: ServiceSpec | undefined; readonly errors: readonly string[] } {
  if (loadBalancer === undefined)
    return { spec: undefined, errors: [`the service "${name}" does not have any type defined`] };
  const errors: string[] = [];
  for (const { url } of loadBalancer.servers)
    try {
      checks.serverUrl(url);
    } catch (error) {
      errors.push(`error parsing server URL ${url}: ${errorText(error)}`);
    }
  const transport = transportName(name, { loadBalancer });
  if (transport !== undefined) {
    const reason = transports.reasonAgainst(transport);
    if (reason !== undefined) errors.push(reason);
  }
  if (errors.length > 0) return { spec: undefined, errors };
  const servers = loadBalancer.servers.map(({ url, weight = 1, preservePath = false }) => ({
    url,
    weight,
    preservePath,
  }));
  return {
    spec: {
      kind: 'loadBalancer',
      name,
      servers,
      passHostHeader: loadBalancer.passHostHeader,
      ...(transport === undefined ? {} : { serversTransport: transport }),
    },
    errors: NOTHING,
  };
}

/** The qualified name of a service's transport; undefined: the static configuration's. */
export function transportName(
  service: string,
  configuration: ServiceConfiguration | undefined,
): string | undefined {
  const name = configuration?.loadBalancer?.serversTransport;
  if (name === undefined || name === 'default@internal') return undefined;
  return qualify(name, service.slice(service.lastIndexOf('@') + 1));
}

/** Builds a middleware; its users file is read now. */
export function buildMiddleware(
  name: string,
  { basicAuth, redirectScheme }: MiddlewareConfiguration,
  checks: Checks,
): { readonly spec: MiddlewareSpec | undefined; readonly errors: readonly string[] } {
  if (basicAuth !== undefined && redirectScheme !== undefined)
    return {
      spec: undefined,
      errors: [
        `cannot create middleware "${name}": it is of several kinds (basicAuth, redirectScheme); one name, one kind`,
      ],
    };
  try {
    if (redirectScheme !== undefined) {
      const spec: MiddlewareSpec = { kind: 'redirectScheme', name, options: redirectScheme };
      checks.middleware(spec);
      return { spec, errors: [] };
    }
    if (basicAuth === undefined)
      return {
        spec: undefined,
        errors: [
          `invalid middleware "${name}" configuration: invalid middleware type or middleware does not exist`,
        ],
      };
    const { usersFile, ...rest } = basicAuth;
    const fromFile = usersFile === undefined ? [] : parseUsersFile(readFileSync(usersFile, 'utf8'));
    // Of equal names the inline one wins, so it comes last.
    const users = [...fromFile, ...rest.users];
    if (users.length === 0)
      return { spec: undefined, errors: [`middleware "${name}": no users found, nobody could ever log in`] };
    const spec: MiddlewareSpec = { kind: 'basicAuth', name, options: { ...rest, users } };
    checks.middleware(spec);
    return { spec, errors: [] };
  } catch (error) {
    return { spec: undefined, errors: [errorText(error)] };
  }
}

/** What a router may refer to. */
export interface Surroundings {
  readonly static: StaticConfiguration;
  readonly services: ReadonlyMap<string, ServiceState>;
  readonly middlewares: ReadonlyMap<string, MiddlewareState>;
  readonly tlsOptions: ReadonlyMap<string, TlsOptionsState>;
}

/** Entry points of a router that names none. Source: Traefik documentation, entry points, asDefault. */
export function defaultEntryPoints(configuration: StaticConfiguration): readonly string[] {
  const all = [...configuration.entryPoints.values()];
  const chosen = all.filter(({ asDefault }) => asDefault).map(({ name }) => name);
  // Version 1 had a list of names; an entry point that is not on it (the API's) never serves anybody by default.
  if (chosen.length > 0 || configuration.format === 'v1') return chosen;
  return all.map(({ name }) => name).filter((name) => name !== 'traefik');
}

type Written = Pick<RouterState, 'name' | 'provider' | 'configuration' | 'service'>;
interface Built {
  readonly state: Pick<
    RouterState,
    | 'status'
    | 'errors'
    | 'specs'
    | 'using'
    | 'middlewares'
    | 'references'
    | 'priority'
    | 'priorityText'
    | 'tlsOptions'
  >;
  /** Specs whose hosts must not be reached under other TLS options than the ones they ask for, which cannot be used. */
  readonly refused: readonly RouterSpec[];
}

/** Builds a router against everything it refers to. */
export function buildRouter(router: Written, surroundings: Surroundings): Built {
  const { configuration, name, provider } = router;
  const errors: string[] = [];
  const warnings: string[] = [];
  const using = usableEntryPoints(configuration, surroundings.static, { errors, warnings });
  const hasRule = checkRule(configuration.rule, errors);
  const { priority, priorityText } = effectivePriority(configuration, provider, errors);
  const hasPlace = using.length > 0;
  checkService(router, surroundings, errors);
  const own = shortened((configuration.middlewares ?? []).map((middleware) => qualify(middleware, provider)));
  const specs: RouterSpec[] = [];
  const refused: RouterSpec[] = [];
  let shown: readonly string[] = own;
  const references = new Set(own);
  for (const entryPoint of using) {
    const settings = surroundings.static.entryPoints.get(entryPoint);
    // Ping answers whoever asks: it stands before the authentication of its entry point.
    const added = name === 'ping@internal' ? [] : (settings?.http.middlewares ?? []);
    const names = added.length === 0 ? own : [...added, ...own];
    for (const reference of added) references.add(reference);
    if (shown === own) shown = names;
    const middlewares = resolveMiddlewares(names, surroundings, errors);
    const tls = configuration.tls ?? (provider === 'internal' ? undefined : settings?.http.tls);
    const options = tls === undefined ? undefined : tlsOptionsName(tls, provider);
    const usual: RouterSpec = {
      name,
      entryPoints: listOf(entryPoint),
      rule: configuration.rule,
      priority,
      tls: tls !== undefined,
      middlewares,
      service: router.service,
    };
    const spec =
      using.length === 1 && options === undefined
        ? usual
        : {
            ...usual,
            ...(using.length > 1
              ? {
                  name: `${name} on ${entryPoint}`,
                  label: hasModel(settings) ? `${entryPoint}-${name}` : name,
                }
              : {}),
            ...(options === undefined ? {} : { tlsOptions: options }),
          };
    specs.push(spec);
    if (options !== undefined && !checkTlsOptions(options, surroundings, errors) && hasRule)
      refused.push(spec);
  }
  const isTls = configuration.tls ?? surroundings.static.entryPoints.get(using[0] ?? '')?.http.tls;
  const tlsOptions = isTls === undefined ? undefined : (isTls.options ?? DEFAULT_TLS_OPTIONS);
  return {
    state: {
      status: errors.length > 0 ? 'disabled' : warnings.length > 0 ? 'warning' : 'enabled',
      errors: shortened([...new Set([...warnings, ...errors])]),
      // A copy has the room it needs; what was pushed to has room for sixteen more.
      specs: errors.length > 0 ? NOTHING : [...specs],
      using: using.length === 1 ? listOf(using[0] ?? '') : [...using].sort(),
      middlewares: shown,
      references: shortened([...references]),
      priority: hasPlace ? priority : 0,
      priorityText: hasPlace ? priorityText : '0',
      tlsOptions,
    },
    refused,
  };
}

/** Traefik makes a router of its own for each entry point that adds something to it. */
function hasModel(entryPoint: EntryPointConfiguration | undefined): boolean {
  return (
    entryPoint !== undefined && (entryPoint.http.middlewares.length > 0 || entryPoint.http.tls !== undefined)
  );
}

/** `default` is everybody's; other names are those of the router's provider. */
function tlsOptionsName({ options = '' }: RouterTlsConfiguration, provider: string): string {
  return options === '' || options === DEFAULT_TLS_OPTIONS ? DEFAULT_TLS_OPTIONS : qualify(options, provider);
}

function checkTlsOptions(name: string, { tlsOptions }: Surroundings, errors: string[]): boolean {
  const state = tlsOptions.get(name);
  if (state === undefined) errors.push(`building router handler: unknown TLS options: ${name}`);
  else if (state.spec === undefined)
    errors.push(`building router handler: TLS options ${name}: ${state.error}`);
  else return true;
  return false;
}

function usableEntryPoints(
  { entryPoints }: RouterConfiguration,
  configuration: StaticConfiguration,
  notes: { readonly errors: string[]; readonly warnings: string[] },
): readonly string[] {
  const wanted = [...new Set(entryPoints ?? defaultEntryPoints(configuration))];
  const found = wanted.filter((name) => configuration.entryPoints.has(name));
  for (const name of wanted)
    if (!configuration.entryPoints.has(name)) notes.warnings.push(`entryPoint "${name}" doesn't exist`);
  if (found.length === 0) notes.errors.push('no valid entryPoint for this router');
  return found;
}

function checkRule(rule: string, errors: string[]): boolean {
  try {
    const parsed = parseRule(rule);
    try {
      rulePredicate(parsed);
      return true;
    } catch (error) {
      errors.push(`error while parsing rule ${rule}: adding rule ${rule}: ${errorText(error)}`);
    }
  } catch (error) {
    errors.push(errorText(error));
  }
  return false;
}

function effectivePriority(
  { priority = 0, priorityText, rule }: RouterConfiguration,
  provider: string,
  errors: string[],
): { readonly priority: number; readonly priorityText: string } {
  if (priority === 0) {
    const length = Buffer.byteLength(rule, 'utf8');
    return { priority: length, priorityText: String(length) };
  }
  const exact = priorityText === undefined ? BigInt(Math.trunc(priority)) : BigInt(priorityText);
  if (provider !== 'internal' && exact > MAX_USER_PRIORITY)
    errors.push(
      `the router priority ${String(exact)} exceeds the max user-defined priority ${String(MAX_USER_PRIORITY)}`,
    );
  return { priority, priorityText: String(exact) };
}

function checkService(router: Written, { services }: Surroundings, errors: string[]): void {
  if (router.configuration.service === undefined) {
    errors.push(
      'router has no service and no child routers',
      'router must have either a service or child routers',
    );
    return;
  }
  const service = services.get(router.service);
  if (service !== undefined) {
    if (service.spec === undefined) errors.push(...service.errors);
    return;
  }
  const builtIn = /^(api|dashboard|ping|prometheus)@internal$/.exec(router.service)?.[1];
  if (builtIn !== undefined) errors.push(`${builtIn} is not enabled`);
  else if (router.service.endsWith('@internal')) errors.push(`unknown internal service ${router.service}`);
  else errors.push(`the service "${router.service}" does not exist`);
}

function resolveMiddlewares(
  names: readonly string[],
  { middlewares }: Surroundings,
  errors: string[],
): readonly MiddlewareSpec[] {
  const specs: MiddlewareSpec[] = [];
  for (const name of names) {
    const middleware = middlewares.get(name);
    if (middleware === undefined) errors.push(`middleware "${name}" does not exist`);
    else if (middleware.spec === undefined) errors.push(...middleware.errors);
    else specs.push(middleware.spec);
  }
  return shortened(specs);
}

function shortened<T>(list: readonly T[]): readonly T[] {
  return list.length === 0 ? NOTHING : list;
}
