// Options of TLS as a decoded table has them; wherever such a table stands.

import type { TlsOptionsConfiguration, TlsVersionName } from './dynamic.ts';
import { isTable } from './schema.ts';

function texts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

/** One of `tls.options`, with defaults. */
export function buildTlsOptions(options: Readonly<Record<string, unknown>>): TlsOptionsConfiguration {
  const { minVersion, maxVersion } = options;
  const clientAuth = isTable(options['clientAuth']) ? options['clientAuth'] : undefined;
  const clientAuthType = clientAuth?.['clientAuthType'];
  return {
    // The decoder has checked the names.
    ...(minVersion === undefined ? {} : { minVersion: minVersion as TlsVersionName }),
    ...(maxVersion === undefined ? {} : { maxVersion: maxVersion as TlsVersionName }),
    cipherSuites: texts(options['cipherSuites']),
    curvePreferences: texts(options['curvePreferences']),
    ...(clientAuth === undefined
      ? {}
      : {
          clientAuth: {
            caFiles: texts(clientAuth['caFiles']),
            ...(typeof clientAuthType === 'string' && clientAuthType !== '' ? { clientAuthType } : {}),
          },
        }),
    sniStrict: options['sniStrict'] === true,
    alpnProtocols: texts(options['alpnProtocols']),
    disableSessionTickets: options['disableSessionTickets'] === true,
  };
}
