// What carries the routes: our own engine in this process tree, or one that somebody else runs (external-engine.ts). The store makes a
// change durable first and hands it over then.

import type { DynamicConfiguration } from '../config/dynamic.ts';
import type { DynamicPatch } from '../runtime/dynamic-patch.ts';

/** The name under which the routes' provider is known, as with Traefik's file provider: `router__2F@file`. */
export const PROVIDER = 'file';

/** Routes that are handed over at once. */
const PART = 500;

/** An engine as the store sees it. */
export interface RouteEngine {
  /** The whole table: at start, and when somebody else's part of the file has changed. */
  readonly replace: (configuration: DynamicConfiguration) => Promise<void>;
  /** A change that is durable. Calls come in the order of the changes and may overlap. */
  readonly apply: (patch: DynamicPatch) => Promise<void>;
  /**
   * Resolves when requests meet the routes of these routespecs as they now stand in the table; removed ones must be gone. Rejects with
   * ProxyError JTP_ERR_ROUTE_TIMEOUT or JTP_ERR_ENGINE_DENIED.
   */
  readonly confirm: (routespecs: Iterable<string>) => Promise<void>;
  readonly close: () => Promise<void>;
}

/** The part of the engine's controller that routes need. */
export interface LiveTable {
  readonly replace: (provider: string, configuration: DynamicConfiguration) => Promise<void>;
  readonly patch: (provider: string, patch: DynamicPatch) => Promise<void>;
}

/** Our own engine: what has been applied is live. */
export class EmbeddedEngine implements RouteEngine {
  readonly #table: LiveTable;
  /** Resolves when all changes so far are in the controller's table; they get there in the order of the calls. */
  #handedOver: Promise<void> = Promise.resolve();

  constructor(table: LiveTable) {
    this.#table = table;
  }

  replace(configuration: DynamicConfiguration): Promise<void> {
    return this.#inTurn([() => this.#table.replace(PROVIDER, configuration)]);
  }

  apply(patch: DynamicPatch): Promise<void> {
    return this.#inTurn(partsOf(patch).map((part) => () => this.#table.patch(PROVIDER, part)));
  }

  /** Resolves when all parts are live. */
  async #inTurn(parts: readonly (() => Promise<void>)[]): Promise<void> {
    const live: Promise<void>[] = [];
    const handedOver = this.#handedOver.then(() => handOver(parts, live));
    this.#handedOver = handedOver.catch(() => undefined);
    await handedOver;
    await Promise.all(live);
  }

  confirm(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** One part after the other, with room between them: workers begin while the rest is prepared, and requests need not wait for all of it. */
async function handOver(parts: readonly (() => Promise<void>)[], live: Promise<void>[]): Promise<void> {
  for (const [index, part] of parts.entries()) {
    if (index > 0) await new Promise(setImmediate);
    live.push(part());
  }
}

/** Parts of a patch that can go one after the other: routes do not depend on each other. */
function partsOf(patch: DynamicPatch): readonly DynamicPatch[] {
  const { setRouters, setServices, deleteRouters, deleteServices } = patch;
  if (setRouters.size + deleteRouters.length <= PART) return [patch];
  const parts: DynamicPatch[] = [];
  // A route's router and its service stand at the same place.
  const routers = [...setRouters];
  const services = [...setServices];
  for (let at = 0; at < Math.max(routers.length, deleteRouters.length); at += PART)
    parts.push({
      setRouters: new Map(routers.slice(at, at + PART)),
      setServices: new Map(services.slice(at, at + PART)),
      deleteRouters: deleteRouters.slice(at, at + PART),
      deleteServices: deleteServices.slice(at, at + PART),
    });
  return parts;
}
