// A version-1 static configuration in today's form. What has no counterpart in today's syntax (`auth` of an entry point, `api.entryPoint`)
// stays in the tree under its old name; `build-static.ts` reads it there. Source: Traefik 1.7 and migration documentation.

import type { Decoded } from './schema.ts';

function table(value: unknown): Decoded | undefined {
  return typeof value === 'object' && value !== null && !(value instanceof Map) && !Array.isArray(value)
    ? (value as Decoded)
    : undefined;
}

/** Leaves out what is undefined. */
function compact(values: Decoded): Decoded {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

/** Today's tree for a decoded version-1 file; what the operator should know goes to `notices`. */
export function upgradeStatic(v1: Decoded, notices: string[]): Decoded {
  const defaults = new Set(asList(v1['defaultEntryPoints']) ?? ['http']);
  const transport = upgradeTransport(v1);
  const entryPoints = new Map<string, Decoded>();
  for (const [name, entryPoint] of v1['entryPoints'] instanceof Map ? v1['entryPoints'] : [])
    entryPoints.set(
      String(name),
      upgradeEntryPoint(table(entryPoint) ?? {}, {
        isDefault: defaults.has(String(name)),
        transport,
        isTls: (other) =>
          v1['entryPoints'] instanceof Map && table(v1['entryPoints'].get(other))?.['tls'] !== undefined,
      }),
    );
  const api = table(v1['api']);
  if (api !== undefined && !entryPoints.has(apiEntryPoint(api)))
    entryPoints.set('traefik', { address: ':8080', transport });
  if (![...entryPoints.keys()].some((name) => defaults.has(name)))
    notices.push(
      'no entry point for the public: the file defines none of its default entry points ' +
        `(${[...defaults].join(', ')}), so only the API is served; add [entryPoints.${[...defaults][0] ?? 'http'}] with an address`,
    );
  return compact({
    entryPoints,
    tlsOptions: upgradeTlsOptions(v1['entryPoints']),
    providers: compact({
      providersThrottleDuration: v1['providersThrottleDuration'],
      file: table(v1['file']),
    }),
    api: api === undefined ? undefined : compact({ ...api, entryPoint: apiEntryPoint(api) }),
    ping: v1['ping'],
    metrics: v1['metrics'],
    log: upgradeLog(v1),
    serversTransport: compact({
      insecureSkipVerify: v1['insecureSkipVerify'],
      rootCAs: v1['rootCAs'],
      maxIdleConnsPerHost: v1['maxIdleConnsPerHost'],
      forwardingTimeouts: table(v1['forwardingTimeouts']),
    }),
  });
}

function apiEntryPoint(api: Decoded): string {
  const name = api['entryPoint'];
  return typeof name === 'string' ? name : 'traefik';
}

function asList(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) ? value.map(String) : undefined;
}

function upgradeTransport(v1: Decoded): Decoded {
  const lifeCycle = table(v1['lifeCycle']) ?? {};
  const timeouts = table(v1['respondingTimeouts']) ?? {};
  return {
    lifeCycle: compact({
      ...lifeCycle,
      graceTimeOut: v1['graceTimeOut'] ?? lifeCycle['graceTimeOut'],
    }),
    respondingTimeouts: compact({
      // Version 1 had no limit by default.
      readTimeout: timeouts['readTimeout'] ?? 0,
      writeTimeout: timeouts['writeTimeout'],
      idleTimeout: timeouts['idleTimeout'] ?? v1['idleTimeout'],
    }),
  };
}

function upgradeEntryPoint(
  v1: Decoded,
  {
    isDefault,
    transport,
    isTls,
  }: {
    readonly isDefault: boolean;
    readonly transport: Decoded;
    readonly isTls: (entryPoint: string) => boolean;
  },
): Decoded {
  const forwarded = table(v1['forwardedHeaders']);
  const auth = table(v1['auth']);
  const basic = table(auth?.['basic']);
  return compact({
    address: v1['address'],
    asDefault: isDefault,
    transport,
    // Version 1 trusted whatever clients say about themselves unless told otherwise; that default is not taken over.
    forwardedHeaders: forwarded,
    http: compact({
      tls: v1['tls'] === undefined ? undefined : {},
      redirections: upgradeRedirect(table(v1['redirect']), isTls),
    }),
    certificates: upgradeCertificates(table(v1['tls'])),
    basicAuth: basic === undefined ? undefined : compact({ ...basic, headerField: auth?.['headerField'] }),
  });
}

/** Version 1 asked for HTTPS where the other entry point has TLS. */
function upgradeRedirect(
  redirect: Decoded | undefined,
  isTls: (entryPoint: string) => boolean,
): Decoded | undefined {
  if (redirect === undefined) return undefined;
  const to = redirect['entryPoint'];
  return {
    entryPoint: {
      to,
      scheme: typeof to === 'string' && isTls(to) ? 'https' : 'http',
      permanent: redirect['permanent'] ?? false,
    },
  };
}

/** The first one is for clients that name no host. */
function upgradeCertificates(tls: Decoded | undefined): readonly unknown[] | undefined {
  const certificates: readonly unknown[] | undefined = Array.isArray(tls?.['certificates'])
    ? tls['certificates']
    : undefined;
  const first = tls?.['defaultCertificate'];
  return first === undefined ? certificates : [first, ...(certificates ?? [])];
}

/** By entry point, in the form of `tls.options`. */
function upgradeTlsOptions(entryPoints: unknown): ReadonlyMap<string, Decoded> {
  const found = new Map<string, Decoded>();
  for (const [name, entryPoint] of entryPoints instanceof Map ? entryPoints : []) {
    const tls = table(table(entryPoint)?.['tls']);
    if (tls === undefined) continue;
    const { minVersion, cipherSuites, sniStrict } = tls;
    const clientCA = table(tls['clientCA']);
    const clientAuth =
      clientCA === undefined
        ? undefined
        : {
            caFiles: clientCA['files'],
            clientAuthType:
              clientCA['optional'] === true ? 'VerifyClientCertIfGiven' : 'RequireAndVerifyClientCert',
          };
    found.set(String(name), compact({ minVersion, cipherSuites, sniStrict, clientAuth }));
  }
  return found;
}

function upgradeLog(v1: Decoded): Decoded {
  const traefikLog = table(v1['traefikLog']) ?? {};
  return compact({
    level: v1['logLevel'] ?? (v1['debug'] === true ? 'DEBUG' : undefined),
    filePath: traefikLog['filePath'] ?? v1['traefikLogsFile'],
    format: traefikLog['format'],
  });
}
