// `tls.options` of all providers: checked, translated for OpenSSL, the files they name read. Options that cannot be used are kept as such:
// their routers are disabled, and nobody is let in under others in their place. Source: Traefik documentation, TLS options.

import { createSecureContext } from 'node:tls';
import type { TlsConfiguration, TlsOptionsConfiguration } from '../config/dynamic.ts';
import { errorText } from '../errors.ts';
import type { Logger } from '../log.ts';
import { qualify } from './elements.ts';
import { DEFAULT_TLS_OPTIONS } from './table-change.ts';
import type { ClientAuthSpec, TlsOptionsSpec } from './table-change.ts';
import { cipherList, CURVES, DEFAULT_SUITES, TLS_VERSIONS } from './tls-names.ts';
import { readPem } from './tls-files.ts';

/** What became of one set of options. */
export type TlsOptionsState =
  { readonly spec: TlsOptionsSpec } | { readonly spec: undefined; readonly error: string };

/** What is spoken on a TLS connection unless a configuration says otherwise. */
const ALPN_PROTOCOLS: readonly string[] = ['h2', 'http/1.1'];

const NO_OPTIONS: TlsOptionsConfiguration = {
  cipherSuites: [],
  curvePreferences: [],
  sniStrict: false,
  alpnProtocols: [],
  disableSessionTickets: false,
};

/** All options by their names, `default` always among them. Mistakes are in the states, and in the log when they are new. */
export function readTlsOptions(
  configurations: ReadonlyMap<string, TlsConfiguration>,
  before: ReadonlyMap<string, TlsOptionsState>,
  log: Logger,
): ReadonlyMap<string, TlsOptionsState> {
  const states = new Map<string, TlsOptionsState>();
  for (const [provider, { options = [] }] of configurations)
    for (const [name, configuration] of options) {
      const qualified = name === DEFAULT_TLS_OPTIONS ? name : qualify(name, provider);
      const isSecond = states.has(qualified);
      states.set(
        qualified,
        isSecond
          ? { spec: undefined, error: `the TLS options "${name}" are defined by several providers` }
          : readOptions(qualified, configuration),
      );
    }
  if (!states.has(DEFAULT_TLS_OPTIONS))
    states.set(DEFAULT_TLS_OPTIONS, readOptions(DEFAULT_TLS_OPTIONS, NO_OPTIONS));
  for (const [name, state] of states) {
    const known = before.get(name);
    if (state.spec !== undefined || (known?.spec === undefined && known?.error === state.error)) continue;
    log.error({ tlsOptions: name, reason: state.error }, 'the TLS options cannot be used');
  }
  return states;
}

function readOptions(name: string, configuration: TlsOptionsConfiguration): TlsOptionsState {
  try {
    const spec = buildOptions(name, configuration);
    assertUsable(spec);
    return { spec };
  } catch (error) {
    return { spec: undefined, error: errorText(error) };
  }
}

function buildOptions(name: string, configuration: TlsOptionsConfiguration): TlsOptionsSpec {
  const { minVersion = 'VersionTLS12', maxVersion = 'VersionTLS13', alpnProtocols } = configuration;
  const suites = configuration.cipherSuites.length === 0 ? DEFAULT_SUITES : configuration.cipherSuites;
  // Protocols that nobody here speaks (acme-tls/1 is spoken by whoever solves challenges) are not offered.
  const spoken = alpnProtocols.filter((protocol) => ALPN_PROTOCOLS.includes(protocol));
  if (alpnProtocols.length > 0 && spoken.length === 0)
    throw new Error(
      `alpnProtocols: none of ${alpnProtocols.join(', ')} is spoken here, expected h2, http/1.1`,
    );
  return {
    name,
    minVersion: TLS_VERSIONS.get(minVersion) ?? 'TLSv1.2',
    maxVersion: TLS_VERSIONS.get(maxVersion) ?? 'TLSv1.3',
    ciphers: cipherList(suites),
    curves: curveList(configuration.curvePreferences),
    clientAuth: clientAuth(configuration),
    sniStrict: configuration.sniStrict,
    alpnProtocols: alpnProtocols.length === 0 ? ALPN_PROTOCOLS : spoken,
    disableSessionTickets: configuration.disableSessionTickets,
  };
}

/** Groups that this OpenSSL does not have yet are left out if others remain: what was written for a newer one stays usable. */
function curveList(names: readonly string[]): string {
  const curves: string[] = [];
  const missing: string[] = [];
  for (const name of names) {
    const curve = CURVES.get(name);
    if (curve === undefined) throw new Error(`invalid CurveID in curvePreferences: ${name}`);
    if (hasCurve(curve)) curves.push(curve);
    else missing.push(name);
  }
  if (curves.length === 0 && missing.length > 0)
    throw new Error(`curvePreferences: this version of OpenSSL has none of ${missing.join(', ')}`);
  return curves.join(':');
}

function hasCurve(curve: string): boolean {
  try {
    createSecureContext({ ecdhCurve: curve });
    return true;
  } catch {
    // There is no other way to ask.
    return false;
  }
}

const CLIENT_AUTH_TYPES: readonly ClientAuthSpec['type'][] = [
  'NoClientCert',
  'RequestClientCert',
  'RequireAnyClientCert',
  'VerifyClientCertIfGiven',
  'RequireAndVerifyClientCert',
];

function clientAuth({ clientAuth: written }: TlsOptionsConfiguration): ClientAuthSpec {
  if (written === undefined) return { type: 'NoClientCert', ca: [] };
  const ca = written.caFiles.map(readPem);
  const name = written.clientAuthType ?? (ca.length > 0 ? 'RequireAndVerifyClientCert' : 'NoClientCert');
  const type = CLIENT_AUTH_TYPES.find((known) => known === name);
  if (type === undefined) throw new Error(`unknown client auth type: ${name}`);
  if (ca.length === 0 && (type === 'VerifyClientCertIfGiven' || type === 'RequireAndVerifyClientCert'))
    throw new Error(`invalid clientAuthType: ${type}, CAFiles is required`);
  return { type, ca };
}

/** OpenSSL has the last word. */
function assertUsable(spec: TlsOptionsSpec): void {
  const { ca } = spec.clientAuth;
  createSecureContext({
    ciphers: spec.ciphers,
    minVersion: spec.minVersion,
    maxVersion: spec.maxVersion,
    ...(spec.curves === '' ? {} : { ecdhCurve: spec.curves }),
    ...(ca.length === 0 ? {} : { ca: [...ca] }),
  });
}
