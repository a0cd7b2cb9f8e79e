// What workers are told before the first table is complete: they build what there is while the rest is being made.

import type { RouterSpec, ServiceSpec, TableChange } from '../runtime/table-change.ts';
import { messagesOf, piecesOf } from './messages.ts';
import { Outbox } from './outbox.ts';
import type { Line } from './outbox.ts';

/** A table in the making. */
export class FirstTable {
  readonly #routers = new Map<string, RouterSpec>();
  readonly #services = new Map<string, ServiceSpec>();
  readonly #lines: Line[] = [];

  /** All that has been added so far, for a worker that comes now. */
  get lines(): readonly Line[] {
    return this.#lines;
  }

  /** Takes a change of what there is so far; returns what workers are to be told. */
  add(change: TableChange): readonly Line[] {
    for (const name of change.removedRouters) this.#routers.delete(name);
    for (const name of change.removedServices) this.#services.delete(name);
    for (const spec of change.services) this.#services.set(spec.name, spec);
    for (const spec of change.routers) this.#routers.set(spec.name, spec);
    const lines = piecesOf(change, true).map((message) => Outbox.once(message));
    this.#lines.push(...lines);
    return lines;
  }

  /** What workers that have been told all lines so far still need; then their table is complete, and is `snapshot`. */
  complete(snapshot: TableChange): readonly Line[] {
    const routers = new Map(snapshot.routers.map((spec) => [spec.name, spec]));
    const services = new Map(snapshot.services.map((spec) => [spec.name, spec]));
    const rest: TableChange = {
      ...snapshot,
      routers: snapshot.routers.filter((spec) => this.#routers.get(spec.name) !== spec),
      removedRouters: [...this.#routers.keys()].filter((name) => !routers.has(name)),
      services: snapshot.services.filter((spec) => this.#services.get(spec.name) !== spec),
      removedServices: [...this.#services.keys()].filter((name) => !services.has(name)),
    };
    return messagesOf(rest).map((message) => Outbox.once(message));
  }
}
