// The documents of the read API. Names, order and omissions of fields are Traefik's (Traefik documentation, API); what is empty is left
// out.

import type {
  EntryPointConfiguration,
  RedirectionConfiguration,
  RouterTlsConfiguration,
} from '../config/static.ts';
import { formatGoDuration } from '../config/duration.ts';
import type { MiddlewareState, RouterState, ServiceState, Status } from '../runtime/elements.ts';
import type { Runtime } from '../runtime/runtime.ts';

/** A JSON object with a name. */
export type Document = { readonly name: string } & Readonly<Record<string, unknown>>;

/** Leaves out what Go would leave out: false, zero, empty. */
function compact(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(values).filter(
      ([, value]) =>
        value !== undefined &&
        value !== false &&
        value !== '' &&
        value !== 0 &&
        !(Array.isArray(value) && value.length === 0),
    ),
  );
}

/** Durations in a document: text, and nothing for zero. */
function durations(values: Readonly<Record<string, number>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values)
      .filter(([, milliseconds]) => milliseconds !== 0)
      .map(([name, milliseconds]) => [name, formatGoDuration(milliseconds)]),
  );
}

export function entryPointDocument(entryPoint: EntryPointConfiguration): Document {
  const { transport, forwardedHeaders, http } = entryPoint;
  return {
    address: entryPoint.addressText,
    ...compact({ asDefault: entryPoint.asDefault, reusePort: entryPoint.reusePort }),
    transport: {
      lifeCycle: durations({
        requestAcceptGraceTimeout: transport.lifeCycle.requestAcceptGraceTimeoutMs,
        graceTimeOut: transport.lifeCycle.graceTimeOutMs,
      }),
      respondingTimeouts: durations({
        readTimeout: transport.respondingTimeouts.readTimeoutMs,
        writeTimeout: transport.respondingTimeouts.writeTimeoutMs,
        idleTimeout: transport.respondingTimeouts.idleTimeoutMs,
      }),
      ...compact({ keepAliveMaxRequests: transport.keepAliveMaxRequests }),
      ...durations({ keepAliveMaxTime: transport.keepAliveMaxTimeMs }),
    },
    forwardedHeaders: compact({ ...forwardedHeaders }),
    http: {
      ...compact({ middlewares: http.middlewares }),
      ...(http.tls === undefined ? {} : { tls: tlsDocument(http.tls) }),
      ...(http.redirection === undefined ? {} : { redirections: redirectionsDocument(http.redirection) }),
      sanitizePath: http.sanitizePath,
      maxHeaderBytes: http.maxHeaderBytes,
    },
    http2: compact({ ...entryPoint.http2 }),
    name: entryPoint.name,
  };
}

function redirectionsDocument({
  priorityText,
  ...redirection
}: RedirectionConfiguration): Record<string, unknown> {
  return { entryPoint: compact({ ...redirection, priority: Number(priorityText) }) };
}

function tlsDocument(tls: RouterTlsConfiguration): Record<string, unknown> {
  return compact({ options: tls.options, domains: tls.domains });
}

export function routerDocument(router: RouterState): Document {
  return {
    ...routerBody(router),
    name: router.name,
    provider: router.provider,
    priorityStr: router.priorityText,
  };
}

function routerBody(router: RouterState): Record<string, unknown> {
  const { configuration } = router;
  return compact({
    entryPoints: configuration.entryPoints ?? router.using,
    middlewares: router.middlewares,
    service: configuration.service,
    rule: configuration.rule,
    priority: Number(router.priorityText),
    ruleSyntax: router.provider === 'internal' ? 'default' : undefined,
    tls:
      router.tlsOptions === undefined
        ? undefined
        : { ...tlsDocument(configuration.tls ?? {}), options: router.tlsOptions },
    observability: { accessLogs: true, metrics: true, tracing: true, traceVerbosity: 'minimal' },
    error: router.errors,
    status: router.status,
    using: router.using,
  });
}

export function serviceDocument(service: ServiceState): Document {
  return {
    ...serviceBody(service),
    name: service.name,
    provider: service.provider,
    ...(service.configuration?.loadBalancer === undefined ? {} : { type: 'loadbalancer' }),
  };
}

function serviceBody(service: ServiceState): Record<string, unknown> {
  const balancer = service.configuration?.loadBalancer;
  const servers = balancer?.servers ?? [];
  return compact({
    loadBalancer:
      balancer === undefined
        ? undefined
        : {
            ...compact({ servers: servers.map((server) => compact({ ...server })) }),
            strategy: 'wrr',
            passHostHeader: balancer.passHostHeader,
            ...compact({ serversTransport: balancer.serversTransport }),
            responseForwarding: { flushInterval: '100ms' },
          },
    error: service.errors,
    status: service.status,
    usedBy: [...service.usedBy].sort(),
    serverStatus:
      servers.length === 0 || service.usedBy.size === 0 || service.status === 'disabled'
        ? undefined
        : Object.fromEntries(servers.map(({ url }) => [url, 'UP'])),
  });
}

export function middlewareDocument(middleware: MiddlewareState): Document {
  return {
    ...middlewareBody(middleware),
    name: middleware.name,
    provider: middleware.provider,
    ...compact({ type: Object.keys(middleware.configuration)[0]?.toLowerCase() }),
  };
}

/** Unlike Traefik's, the hashes stay here: whoever may read the table need not be able to attack its passwords. */
function middlewareBody({ configuration, status, errors, usedBy }: MiddlewareState): Record<string, unknown> {
  const auth = configuration.basicAuth;
  return compact({
    basicAuth:
      auth === undefined
        ? undefined
        : compact({ ...auth, users: auth.users.map((user) => `${user.split(':')[0] ?? ''}:REDACTED`) }),
    redirectScheme:
      configuration.redirectScheme === undefined ? undefined : compact({ ...configuration.redirectScheme }),
    error: errors,
    status,
    usedBy: [...usedBy].sort(),
  });
}

function countStatus(elements: Iterable<{ readonly status: Status }>): Record<string, number> {
  const counts = { total: 0, warnings: 0, errors: 0 };
  for (const { status } of elements) {
    counts.total++;
    if (status === 'warning') counts.warnings++;
    else if (status === 'disabled') counts.errors++;
  }
  return counts;
}

export function overviewDocument(runtime: Runtime): Record<string, unknown> {
  const none = countStatus([]);
  const providers = runtime.providerNames.map((name) => name.charAt(0).toUpperCase() + name.slice(1));
  return {
    http: {
      routers: countStatus(runtime.routers.values()),
      services: countStatus(runtime.services.values()),
      middlewares: countStatus(runtime.middlewares.values()),
    },
    tcp: { routers: none, services: none, middlewares: none },
    udp: { routers: none, services: none },
    certificates: none,
    features: {
      tracing: '',
      metrics: runtime.static.prometheus === undefined ? '' : 'Prometheus',
      accessLog: false,
    },
    ...compact({ providers }),
  };
}

/** Everything at once: what a poller with many questions asks for. */
export function rawDataDocument(runtime: Runtime): Record<string, unknown> {
  return {
    ...section('routers', runtime.routers, routerBody),
    ...section('middlewares', runtime.middlewares, middlewareBody),
    ...section('services', runtime.services, serviceBody),
  };
}

function section<T>(
  name: string,
  elements: ReadonlyMap<string, T>,
  body: (element: T) => Record<string, unknown>,
): Record<string, unknown> {
  if (elements.size === 0) return {};
  const sorted = [...elements].sort(([a], [b]) => (a < b ? -1 : 1));
  return { [name]: Object.fromEntries(sorted.map(([key, element]) => [key, body(element)])) };
}
