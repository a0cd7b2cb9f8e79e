// A change to what one provider delivers, naming only what it touches.

import type {
  DynamicServersTransportConfiguration,
  MiddlewareConfiguration,
  RouterConfiguration,
  ServiceConfiguration,
} from '../config/dynamic.ts';

/** Elements by their unqualified names. */
export interface DynamicPatch {
  readonly setRouters: ReadonlyMap<string, RouterConfiguration>;
  readonly deleteRouters: readonly string[];
  readonly setServices: ReadonlyMap<string, ServiceConfiguration>;
  readonly deleteServices: readonly string[];
  readonly setMiddlewares?: ReadonlyMap<string, MiddlewareConfiguration>;
  readonly deleteMiddlewares?: readonly string[];
  readonly setServersTransports?: ReadonlyMap<string, DynamicServersTransportConfiguration>;
  readonly deleteServersTransports?: readonly string[];
}

/** The elements that differ between two versions of a map; compared as text, since they are plain data. */
export function differences<T>(
  before: ReadonlyMap<string, T>,
  after: ReadonlyMap<string, T>,
): { readonly set: ReadonlyMap<string, T>; readonly deleted: readonly string[] } {
  const set = new Map<string, T>();
  for (const [name, value] of after) {
    const old = before.get(name);
    if (old !== value && (old === undefined || JSON.stringify(old) !== JSON.stringify(value)))
      set.set(name, value);
  }
  return { set, deleted: [...before.keys()].filter((name) => !after.has(name)) };
}
