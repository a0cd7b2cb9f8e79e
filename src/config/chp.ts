// What the configurable-http-proxy command tells its controller. Plain data: it goes from process to process. Files have been read, keys
// are decrypted.

/** Where something listens. */
export type ChpAddress = { readonly host: string; readonly port: number } | { readonly path: string };

/** TLS as `node:tls` takes it, in PEM. */
export interface ChpTls {
  readonly key: string;
  readonly cert: string;
  readonly ca?: string;
  readonly requestCert: boolean;
  readonly rejectUnauthorized: boolean;
  readonly minVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3';
  readonly maxVersion?: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3';
  /** In OpenSSL's notation. */
  readonly ciphers?: string;
  readonly dhparam?: string;
}

/** The same in the words of `node:tls`. */
export function tlsServerOptions(tls: ChpTls): ChpTls & { readonly honorCipherOrder: true } {
  return { ...tls, honorCipherOrder: true };
}

/** Everything the controller needs; see cli/chp-options.ts for the meaning of the options. */
export interface ChpControllerSettings {
  readonly api: { readonly address: ChpAddress; readonly tls?: ChpTls };
  readonly metrics?: ChpAddress;
  /** Empty: the API is open. */
  readonly token: string;
  /** Name of the public entry point. */
  readonly entryPoint: string;
  readonly hostRouting: boolean;
  readonly changeOrigin: boolean;
  readonly defaultTarget?: string;
  /** Absolute path of a routes file; absent: routes live as long as the program. */
  readonly routesFile?: string;
  /** Absolute path of a module with a storage class, instead. */
  readonly storageModule?: string;
}

/** `http://[::1]:8001`, `http+unix://%2Frun%2Fapi.sock`, for people. */
export function chpUrl(address: ChpAddress, isTls: boolean): string {
  const scheme = isTls ? 'https' : 'http';
  if ('path' in address) return `${scheme}+unix://${encodeURIComponent(address.path)}`;
  const host = address.host === '' ? '*' : address.host.includes(':') ? `[${address.host}]` : address.host;
  return `${scheme}://${host}:${String(address.port)}`;
}
