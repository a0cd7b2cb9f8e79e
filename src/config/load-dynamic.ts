// Reads a dynamic configuration. Syntax and keys are settled here; what names refer to is the runtime's business, because a wrong
// reference disables one router and not the file. Source: Traefik documentation, file provider.

import { ConfigError } from '../errors.ts';
import {
  buildBasicAuth,
  buildDynamicServersTransport,
  buildRedirectScheme,
  buildRouterTls,
} from './build-static.ts';
import { buildTlsOptions } from './build-tls-options.ts';
import { DYNAMIC_FIELDS, DYNAMIC_V1_FIELDS } from './dynamic-schema.ts';
import type {
  CertificateConfiguration,
  DynamicConfiguration,
  DynamicServersTransportConfiguration,
  MiddlewareConfiguration,
  RouterConfiguration,
  ServiceConfiguration,
  TlsConfiguration,
} from './dynamic.ts';
import { Decoder, isTable } from './schema.ts';
import type { Fields } from './schema.ts';
import { parseSource } from './source.ts';
import { readV1Dynamic } from './upgrade-dynamic.ts';

/** The dynamic configuration in `text`; TOML or YAML by the extension of `file`. An empty text is a configuration without anything. */
export function parseDynamicConfiguration(text: string, file: string): DynamicConfiguration {
  const source = parseSource(text, file);
  // Root keys of others (`[jupyterhub]`) are nobody's business here.
  const known: Record<string, unknown> = {};
  const v1: Record<string, unknown> = {};
  const names = new Set([...Object.keys(DYNAMIC_FIELDS), ...Object.keys(DYNAMIC_V1_FIELDS)]);
  for (const [key, value] of Object.entries(source.root)) {
    const name = key.toLowerCase();
    if (!names.has(name)) continue;
    if (name === 'frontends' || name === 'backends' || (name === 'tls' && Array.isArray(value)))
      v1[name] = value;
    else known[key] = value;
  }
  const decoder = new Decoder(file, source.lineOf, { allowsEmpty: Object.keys(v1).length > 0 });
  const tree = decoder.fields(known, DYNAMIC_FIELDS, []);
  const configuration = Object.keys(v1).length > 0 ? readV1Dynamic(v1, decoder) : buildDynamic(tree, decoder);
  if (decoder.problems.length > 0) throw new ConfigError(decoder.problems);
  return configuration;
}

/** The fields a version-3 file may have at its top; for the reference's test. */
export function dynamicFields(): Fields {
  return DYNAMIC_FIELDS;
}

function asMap(value: unknown): ReadonlyMap<string, Readonly<Record<string, unknown>>> {
  const found = new Map<string, Readonly<Record<string, unknown>>>();
  if (value instanceof Map)
    for (const [name, item] of value) if (typeof name === 'string' && isTable(item)) found.set(name, item);
  return found;
}

function buildDynamic(tree: Readonly<Record<string, unknown>>, decoder: Decoder): DynamicConfiguration {
  const http = isTable(tree['http']) ? tree['http'] : {};
  const routers = new Map<string, RouterConfiguration>();
  for (const [name, router] of asMap(http['routers'])) routers.set(name, buildRouter(router));
  const services = new Map<string, ServiceConfiguration>();
  for (const [name, service] of asMap(http['services'])) services.set(name, buildService(service));
  const middlewares = new Map<string, MiddlewareConfiguration>();
  for (const [name, middleware] of asMap(http['middlewares']))
    middlewares.set(name, buildMiddleware(middleware));
  const serversTransports = new Map<string, DynamicServersTransportConfiguration>();
  for (const [name, transport] of asMap(http['serversTransports']))
    serversTransports.set(name, buildDynamicServersTransport(transport));
  return { routers, services, middlewares, serversTransports, tls: buildTls(tree['tls'], decoder) };
}

function texts(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) ? value.map(String) : undefined;
}

function buildMiddleware({
  basicAuth,
  redirectScheme,
}: Readonly<Record<string, unknown>>): MiddlewareConfiguration {
  return {
    ...(basicAuth === undefined ? {} : { basicAuth: buildBasicAuth(basicAuth) }),
    ...(redirectScheme === undefined ? {} : { redirectScheme: buildRedirectScheme(redirectScheme) }),
  };
}

function buildRouter(router: Readonly<Record<string, unknown>>): RouterConfiguration {
  const { rule, service, priority, tls } = router;
  const entryPoints = texts(router['entryPoints']);
  const middlewares = texts(router['middlewares']);
  return {
    rule: typeof rule === 'string' ? rule : '',
    ...(entryPoints === undefined || entryPoints.length === 0 ? {} : { entryPoints }),
    ...(typeof service === 'string' ? { service } : {}),
    ...(middlewares === undefined || middlewares.length === 0 ? {} : { middlewares }),
    ...(typeof priority === 'string' ? priorityOf(priority) : {}),
    ...(tls === undefined ? {} : { tls: buildRouterTls(tls) }),
  };
}

function priorityOf(text: string): { priority: number; priorityText?: string } {
  const priority = Number(text);
  return Number.isSafeInteger(priority) ? { priority } : { priority, priorityText: text };
}

function buildService(service: Readonly<Record<string, unknown>>): ServiceConfiguration {
  const balancer = service['loadBalancer'];
  if (!isTable(balancer)) return {};
  const servers: readonly unknown[] = Array.isArray(balancer['servers']) ? balancer['servers'] : [];
  return {
    loadBalancer: {
      servers: servers.filter(isTable).map(({ url, weight, preservePath }) => ({
        url: typeof url === 'string' ? url : '',
        ...(typeof weight === 'number' ? { weight } : {}),
        ...(typeof preservePath === 'boolean' ? { preservePath } : {}),
      })),
      passHostHeader: balancer['passHostHeader'] !== false,
      ...(typeof balancer['serversTransport'] === 'string' && balancer['serversTransport'] !== ''
        ? { serversTransport: balancer['serversTransport'] }
        : {}),
    },
  };
}

function certificate(value: unknown): CertificateConfiguration | undefined {
  if (!isTable(value)) return undefined;
  const { certFile, keyFile } = value;
  return {
    certFile: typeof certFile === 'string' ? certFile : '',
    keyFile: typeof keyFile === 'string' ? keyFile : '',
  };
}

function buildTls(tree: unknown, decoder: Decoder): TlsConfiguration {
  const tls = isTable(tree) ? tree : {};
  const list: readonly unknown[] = Array.isArray(tls['certificates']) ? tls['certificates'] : [];
  const stores = asMap(tls['stores']);
  for (const name of stores.keys())
    if (name !== 'default')
      decoder.refuse(['tls', 'stores', name], 'there is only one certificate store: expected "default"');
  const defaultCertificate = certificate(stores.get('default')?.['defaultCertificate']);
  const options = [...asMap(tls['options'])].map(([name, table]) => [name, buildTlsOptions(table)] as const);
  return {
    certificates: list.map(certificate).filter((pair) => pair !== undefined),
    ...(defaultCertificate === undefined ? {} : { defaultCertificate }),
    ...(options.length === 0 ? {} : { options }),
  };
}
