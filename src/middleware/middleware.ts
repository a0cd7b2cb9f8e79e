// Every kind of middleware, and how one is made from what the controller says.

import type { MiddlewareSpec } from '../runtime/table-change.ts';
import { createBasicAuth } from './basic-auth.ts';
import type { BasicAuth } from './basic-auth.ts';
import { createRedirectScheme } from './redirect-scheme.ts';
import type { RedirectScheme } from './redirect-scheme.ts';

export type Middleware = BasicAuth | RedirectScheme;

/** Throws ProxyError JTP_ERR_CONFIG_INVALID for options that cannot be used. */
export function createMiddleware(spec: MiddlewareSpec): Middleware {
  switch (spec.kind) {
    case 'basicAuth':
      return createBasicAuth(spec.options);
    case 'redirectScheme':
      return createRedirectScheme(spec.options);
  }
}
