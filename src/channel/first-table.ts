// What workers are told before the first table is complete: they build what there is while the rest is being made.

import type { TableChange } from '../runtime/table-change.ts';
import { messagesOf, piecesOf } from './messages.ts';
import { NamedSpecs } from './named-specs.ts';
import { Outbox } from './outbox.ts';
import type { Line } from './outbox.ts';

/** A table in the making. */
export class FirstTable {
  readonly #told = new NamedSpecs();
  readonly #lines: Line[] = [];

  /** All that has been added so far, for a worker that comes now. */
  get lines(): readonly Line[] {
    return this.#lines;
  }

  /** Takes a change of what there is so far; returns what workers are to be told. */
  add(change: TableChange): readonly Line[] {
    this.#told.apply(change);
    const lines = Outbox.linesOf(piecesOf(change, true));
    this.#lines.push(...lines);
    return lines;
  }

  /** What workers that have been told all lines so far still need; then their table is complete, and is `snapshot`. */
  complete(snapshot: TableChange): readonly Line[] {
    const told = this.#told;
    const wanted = new NamedSpecs();
    wanted.apply(snapshot);
    const rest: TableChange = {
      ...snapshot,
      routers: snapshot.routers.filter((spec) => told.routers.get(spec.name) !== spec),
      removedRouters: [...told.routers.keys()].filter((name) => !wanted.routers.has(name)),
      services: snapshot.services.filter((spec) => told.services.get(spec.name) !== spec),
      removedServices: [...told.services.keys()].filter((name) => !wanted.services.has(name)),
    };
    return Outbox.linesOf(messagesOf(rest));
  }
}
