// Names that routers refer to and that nothing has (yet): whoever waits for one is looked at again when it arrives.

import type { Users } from './users.ts';

/** Wanted elements of one kind; a service and a middleware may have the same name. */
export class Wanted {
  /** Name → the routers that refer to it. */
  readonly #routers = new Map<string, Set<string>>();

  add(name: string, router: string): void {
    const routers = this.#routers.get(name);
    if (routers === undefined) this.#routers.set(name, new Set([router]));
    else routers.add(router);
  }

  forget(name: string, router: string): void {
    const routers = this.#routers.get(name);
    routers?.delete(router);
    if (routers?.size === 0) this.#routers.delete(name);
  }

  /** An element has appeared: those who waited use it now, and have to be built anew. */
  arrived(name: string, usedBy: Users, dirtyRouters: Set<string>): void {
    for (const router of this.#routers.get(name) ?? []) {
      usedBy.add(router);
      dirtyRouters.add(router);
    }
    this.#routers.delete(name);
  }
}

/** A router refers to `name`, which is `element` or does not exist. */
export function noteUse(
  element: { readonly usedBy: Users } | undefined,
  wanted: Wanted,
  name: string,
  router: string,
): void {
  if (element === undefined) wanted.add(name, router);
  else element.usedBy.add(router);
}
