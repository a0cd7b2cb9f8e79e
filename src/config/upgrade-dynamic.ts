// A version-1 dynamic configuration (`frontends`, `backends`) as routers and services. Source: Traefik 1.7 documentation, file provider.

import { errorText } from '../errors.ts';
import { buildBasicAuth } from './build-static.ts';
import { DYNAMIC_V1_FIELDS } from './dynamic-schema.ts';
import type {
  CertificateConfiguration,
  DynamicConfiguration,
  MiddlewareConfiguration,
  RouterConfiguration,
  ServiceConfiguration,
} from './dynamic.ts';
import { isTable } from './schema.ts';
import type { Decoder } from './schema.ts';
import { translateV1Rule } from './v1-rule.ts';

type Values = Readonly<Record<string, unknown>>;

function tables(value: unknown): readonly (readonly [string, Values])[] {
  if (!(value instanceof Map)) return [];
  return [...value].flatMap(([name, item]: [unknown, unknown]) =>
    isTable(item) ? [[String(name), item] as const] : [],
  );
}

/** `root`: the tables `frontends`, `backends` and `tls` by these names, as parsed. Problems go to the decoder. */
export function readV1Dynamic(root: Values, decoder: Decoder): DynamicConfiguration {
  const backends = decoder.decode(root['backends'] ?? {}, DYNAMIC_V1_FIELDS.backends, ['backends']);
  const frontends = decoder.decode(root['frontends'] ?? {}, DYNAMIC_V1_FIELDS.frontends, ['frontends']);
  const servers = new Map(tables(backends).map(([name, backend]) => [name, serversOf(backend)]));
  const routers = new Map<string, RouterConfiguration>();
  const services = new Map<string, ServiceConfiguration>();
  const middlewares = new Map<string, MiddlewareConfiguration>();
  for (const [name, frontend] of tables(frontends)) {
    const backend = String((frontend['backend'] as string | undefined) ?? '');
    // Whether the Host header is passed belongs to the service today, and belonged to the frontend then.
    const passHostHeader = frontend['passHostHeader'] === true;
    const service = passHostHeader ? backend : `${backend}-own-host`;
    const found = servers.get(backend);
    if (found !== undefined) services.set(service, { loadBalancer: { servers: found, passHostHeader } });
    const auth = authOf(frontend);
    if (auth !== undefined) middlewares.set(`${name}-auth`, { basicAuth: auth });
    routers.set(name, routerOf(name, frontend, { service, hasAuth: auth !== undefined, decoder }));
  }
  for (const [name, list] of servers)
    if (!services.has(name) && !services.has(`${name}-own-host`))
      services.set(name, { loadBalancer: { servers: list, passHostHeader: true } });
  return {
    routers,
    services,
    middlewares,
    tls: { certificates: certificatesOf(root['tls']) },
    v1: { frontends: namedTables(root['frontends']), backends: namedTables(root['backends']) },
  };
}

function serversOf(backend: Values): { readonly url: string; readonly weight: number }[] {
  return tables(backend['servers']).map(([, { url, weight }]) => ({
    url: typeof url === 'string' ? url : '',
    weight: typeof weight === 'number' && weight > 0 ? weight : 1,
  }));
}

function authOf(frontend: Values): ReturnType<typeof buildBasicAuth> | undefined {
  const { auth, basicAuth } = frontend;
  if (isTable(auth) && isTable(auth['basic']))
    return buildBasicAuth({
      ...auth['basic'],
      ...(auth['headerField'] === undefined ? {} : { headerField: auth['headerField'] }),
    });
  return Array.isArray(basicAuth) && basicAuth.length > 0 ? buildBasicAuth({ users: basicAuth }) : undefined;
}

function routerOf(
  name: string,
  frontend: Values,
  context: { readonly service: string; readonly hasAuth: boolean; readonly decoder: Decoder },
): RouterConfiguration {
  const rules: string[] = [];
  let length = 0;
  for (const [route, values] of tables(frontend['routes'])) {
    const text = typeof values['rule'] === 'string' ? values['rule'] : '';
    length += text.length;
    try {
      rules.push(translateV1Rule(text));
    } catch (error) {
      context.decoder.refuse(['frontends', name, 'routes', route, 'rule'], errorText(error));
    }
  }
  const { priority, entryPoints } = frontend;
  return {
    rule: rules.length > 1 ? rules.map((rule) => `(${rule})`).join(' && ') : (rules[0] ?? ''),
    service: context.service,
    // The length that counted was that of the rule as it was written.
    priority: typeof priority === 'number' && priority !== 0 ? priority : length,
    ...(Array.isArray(entryPoints) && entryPoints.length > 0 ? { entryPoints: entryPoints.map(String) } : {}),
    ...(context.hasAuth ? { middlewares: [`${name}-auth`] } : {}),
  };
}

/** `[[tls]]` with `[tls.certificate]`. */
function certificatesOf(value: unknown): readonly CertificateConfiguration[] {
  if (!Array.isArray(value)) return [];
  return value.filter(isTable).flatMap((item) => {
    const pair = item['certificate'];
    if (!isTable(pair)) return [];
    const { certFile, keyFile } = pair;
    return typeof certFile === 'string' && typeof keyFile === 'string' ? [{ certFile, keyFile }] : [];
  });
}

function namedTables(value: unknown): ReadonlyMap<string, unknown> {
  return new Map(isTable(value) ? Object.entries(value) : []);
}
