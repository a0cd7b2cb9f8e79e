// A data plane in this process, fed with a table directly: what the tests of the request's journey talk to.

import type { TestContext } from 'node:test';
import { pino } from 'pino';
import type { Logger } from '../../src/log.ts';
import type { EntryPointConfiguration, StaticConfiguration } from '../../src/config/static.ts';
import type { RouterSpec, ServiceSpec, TableChange } from '../../src/runtime/table-change.ts';
import { DataPlane } from '../../src/worker/data-plane.ts';

/** An entry point on a free port, with the defaults of the documentation. */
export function entryPoint(
  name: string,
  overrides: Partial<EntryPointConfiguration> = {},
): EntryPointConfiguration {
  return {
    name,
    addressText: '127.0.0.1:0',
    address: { host: '127.0.0.1', port: 0 },
    asDefault: false,
    reusePort: false,
    transport: {
      lifeCycle: { requestAcceptGraceTimeoutMs: 0, graceTimeOutMs: 10_000 },
      respondingTimeouts: { readTimeoutMs: 60_000, writeTimeoutMs: 0, idleTimeoutMs: 180_000 },
      keepAliveMaxRequests: 0,
      keepAliveMaxTimeMs: 0,
    },
    forwardedHeaders: { insecure: false, trustedIPs: [], connection: [], notAppendXForwardedFor: false },
    http: { middlewares: [], maxHeaderBytes: 1_048_576, sanitizePath: true },
    http2: { maxConcurrentStreams: 250, maxDecoderHeaderTableSize: 4096, maxEncoderHeaderTableSize: 4096 },
    ...overrides,
  };
}

/** A static configuration with these entry points. */
export function staticConfiguration(
  entryPoints: readonly EntryPointConfiguration[],
  overrides: Partial<StaticConfiguration> = {},
): StaticConfiguration {
  return {
    format: 'v3',
    entryPoints: new Map(entryPoints.map((configuration) => [configuration.name, configuration])),
    providers: { throttleMs: 0 },
    log: { level: 'ERROR', format: 'json', noColor: true },
    serversTransport: {
      insecureSkipVerify: false,
      rootCAs: [],
      maxIdleConnsPerHost: 200,
      forwardingTimeouts: {
        dialTimeoutMs: 30_000,
        responseHeaderTimeoutMs: 0,
        idleConnTimeoutMs: 90_000,
      },
    },
    limits: {
      maxHeaders: 500,
      maxTargetBytes: 65_536,
      maxChunkOverheadBytes: 16_384,
      maxConnections: 0,
      maxConnectionsPerAddress: 0,
      maxServerConnections: 10_000,
      maxServerQueue: 1000,
      maxWebSocketIdleSeconds: 0,
    },
    notices: [],
    ...overrides,
  };
}

/** A router on entry point `web`. */
export function router(
  name: string,
  rule: string,
  service: string,
  overrides: Partial<RouterSpec> = {},
): RouterSpec {
  return {
    name,
    rule,
    service,
    entryPoints: ['web'],
    priority: rule.length,
    tls: false,
    middlewares: [],
    ...overrides,
  };
}

/** A service with these servers. */
export function service(
  name: string,
  urls: readonly string[],
  overrides: { readonly passHostHeader?: boolean; readonly preservePath?: boolean } = {},
): ServiceSpec {
  return {
    kind: 'loadBalancer',
    name,
    servers: urls.map((url) => ({ url, weight: 1, preservePath: overrides.preservePath ?? false })),
    passHostHeader: overrides.passHostHeader ?? true,
  };
}

/** A whole table. */
export function table(
  routers: readonly RouterSpec[],
  services: readonly ServiceSpec[],
  overrides: Partial<TableChange> = {},
): TableChange {
  return {
    generation: 1,
    full: true,
    routers,
    removedRouters: [],
    services,
    removedServices: [],
    ...overrides,
  };
}

/** Starts a data plane that ends with the test. */
export async function startDataPlane(
  t: TestContext,
  configuration: StaticConfiguration,
  change: TableChange,
  log: Logger = pino({ level: 'silent' }),
): Promise<{ readonly plane: DataPlane; readonly port: (name: string) => number }> {
  const plane = new DataPlane({
    static: configuration,
    apiSocket: '/nonexistent/api.sock',
    log,
    workerId: 1,
  });
  t.after(() => {
    plane.close();
  });
  plane.apply(change);
  await plane.listen();
  return { plane, port: (name) => plane.addresses().get(name)?.port ?? 0 };
}

/** A data plane whose entry point `web` sends everything to one server. */
export async function startProxyTo(
  t: TestContext,
  url: string,
  overrides: Partial<EntryPointConfiguration> = {},
): Promise<{ readonly plane: DataPlane; readonly port: number }> {
  const { plane, port } = await startDataPlane(
    t,
    staticConfiguration([entryPoint('web', overrides)]),
    table([router('all', 'PathPrefix(`/`)', 'app')], [service('app', [url])]),
  );
  return { plane, port: port('web') };
}
