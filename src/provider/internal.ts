// What exists without being configured: the API, the dashboard and ping, with the routers that lead to them. Source: Traefik documentation,
// API and ping; for version 1, its API documentation.

import type {
  DynamicConfiguration,
  MiddlewareConfiguration,
  RouterConfiguration,
  TlsConfiguration,
} from '../config/dynamic.ts';
import { redirectionPort } from '../config/redirection.ts';
import type { StaticConfiguration } from '../config/static.ts';
import { DEFAULT_TLS_OPTIONS } from '../runtime/table-change.ts';
import type { ServiceSpec } from '../runtime/table-change.ts';

/** Above everything that can be configured. */
const TOP_PRIORITY = 2 ** 63;

/** Built-in services by their qualified names. */
export function builtInServices(
  configuration: StaticConfiguration,
  options: { readonly knowsStopped: boolean } = { knowsStopped: false },
): ReadonlyMap<string, ServiceSpec> {
  const names = [
    ...(configuration.api === undefined ? [] : ['api@internal']),
    ...(configuration.api?.dashboard === true ? ['dashboard@internal'] : []),
    ...(configuration.ping === undefined ? [] : ['ping@internal']),
    ...(configuration.prometheus === undefined ? [] : ['prometheus@internal']),
  ];
  const services = new Map<string, ServiceSpec>([['noop@internal', { kind: 'noop', name: 'noop@internal' }]]);
  for (const name of names) services.set(name, { kind: 'controller', name });
  if (options.knowsStopped) services.set('stopped@internal', { kind: 'stopped', name: 'stopped@internal' });
  return services;
}

/** As Traefik makes names out of what people write. */
function normalized(name: string): string {
  return name
    .split(/[^\p{L}\p{N}]+/u)
    .filter((part) => part !== '')
    .join('-');
}

/** The router and the middleware of each entry point that only sends its clients elsewhere, by their names. */
function redirections({ entryPoints }: StaticConfiguration): readonly {
  readonly name: string;
  readonly router: RouterConfiguration;
  readonly middleware: MiddlewareConfiguration;
}[] {
  return [...entryPoints.values()].flatMap(({ name: from, http: { redirection } }) => {
    if (redirection === undefined) return [];
    const { to, scheme, permanent, priorityText } = redirection;
    const name = normalized(`${from}-to-${to}`);
    const router = {
      rule: 'HostRegexp(`^.+$`)',
      entryPoints: [from],
      middlewares: [`redirect-${name}`],
      service: 'noop@internal',
      priority: Number(priorityText),
      priorityText,
    };
    const port = String(redirectionPort(to, entryPoints) ?? '');
    return [{ name, router, middleware: { redirectScheme: { scheme, port, permanent } } }];
  });
}

/** What provider `internal` delivers. */
export function internalConfiguration(configuration: StaticConfiguration): DynamicConfiguration {
  const routers = new Map<string, RouterConfiguration>();
  const middlewares = new Map<string, MiddlewareConfiguration>();
  const { api, ping, prometheus } = configuration;
  if (api?.insecure === true) {
    const onTraefik = { entryPoints: ['traefik'] };
    routers.set('api', {
      ...onTraefik,
      service: 'api@internal',
      rule: 'PathPrefix(`/api`)',
      priority: TOP_PRIORITY - 2048,
      priorityText: '9223372036854775806',
    });
    if (api.dashboard)
      routers.set('dashboard', {
        ...onTraefik,
        service: 'dashboard@internal',
        rule: 'PathPrefix(`/`)',
        priority: TOP_PRIORITY - 4096,
        priorityText: '9223372036854775805',
      });
  }
  if (api?.entryPoint !== undefined)
    routers.set('api', {
      rule: 'PathPrefix(`/`)',
      entryPoints: [api.entryPoint],
      service: 'api@internal',
      priority: 1,
    });
  if (ping !== undefined && !ping.manualRouting)
    routers.set('ping', {
      rule: 'PathPrefix(`/ping`)',
      entryPoints: [ping.entryPoint],
      service: 'ping@internal',
      priority: TOP_PRIORITY,
      priorityText: '9223372036854775807',
    });
  if (prometheus !== undefined && !prometheus.manualRouting)
    routers.set('prometheus', {
      rule: 'PathPrefix(`/metrics`)',
      entryPoints: [prometheus.entryPoint],
      service: 'prometheus@internal',
      priority: TOP_PRIORITY,
      priorityText: '9223372036854775807',
    });
  for (const { name, basicAuth } of configuration.entryPoints.values())
    if (basicAuth !== undefined) middlewares.set(entryPointAuthName(name), { basicAuth });
  const { tlsOptions } = configuration;
  const tls: TlsConfiguration = {
    certificates: [],
    ...(tlsOptions === undefined ? {} : { options: [[DEFAULT_TLS_OPTIONS, tlsOptions]] }),
  };
  for (const { name, router, middleware } of redirections(configuration)) {
    routers.set(name, router);
    middlewares.set(`redirect-${name}`, middleware);
  }
  return { routers, services: new Map(), middlewares, tls };
}

function entryPointAuthName(entryPoint: string): string {
  return `${entryPoint}-auth`;
}

/** The authentication of version-1 entry points becomes a middleware that stands before everything on them. */
export function withEntryPointAuth(configuration: StaticConfiguration): StaticConfiguration {
  const entryPoints = new Map(configuration.entryPoints);
  for (const [name, entryPoint] of entryPoints) {
    if (entryPoint.basicAuth === undefined) continue;
    const middlewares = [`${entryPointAuthName(name)}@internal`, ...entryPoint.http.middlewares];
    entryPoints.set(name, { ...entryPoint, http: { ...entryPoint.http, middlewares } });
  }
  return { ...configuration, entryPoints };
}
