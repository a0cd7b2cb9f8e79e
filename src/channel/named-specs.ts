// A table as changes make it: what was said last about each router and each service.

import type { RouterSpec, ServiceSpec, TableChange } from '../runtime/table-change.ts';

/** Routers and services by name, in the order in which they came. */
export class NamedSpecs {
  readonly routers = new Map<string, RouterSpec>();
  readonly services = new Map<string, ServiceSpec>();

  /** Takes what a change says; `full` has no meaning here. */
  apply({ routers, removedRouters, services, removedServices }: TableChange): void {
    for (const name of removedRouters) this.routers.delete(name);
    for (const name of removedServices) this.services.delete(name);
    for (const spec of routers) this.routers.set(spec.name, spec);
    for (const spec of services) this.services.set(spec.name, spec);
  }
}
