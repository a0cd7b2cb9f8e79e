// Routes that live as long as the program, and not only as long as the controller: each change is also a line of a file in the private
// folder, so that a controller that is started again has what its predecessor had given to the workers. Nothing is synced to a disk.

import { appendFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { EMPTY_DYNAMIC_CONFIGURATION } from '../config/dynamic.ts';
import type { RouterConfiguration, ServiceConfiguration } from '../config/dynamic.ts';
import type { RouteEngine } from '../hub/engine.ts';
import type { ElementOptions, HubRoute, RouteChange } from '../hub/route.ts';
import { normalizeRoute, routeElements } from '../hub/route.ts';
import { normalizeRoutespec } from '../hub/routespec.ts';

/** Lines that may be there beyond two per route before the file is written anew. */
const SPARE_LINES = 1000;

/** What a table is made of. */
export interface MemoryTableOptions {
  /** In the private folder. */
  readonly file: string;
  readonly engine: RouteEngine;
  readonly elements: ElementOptions;
}

type Line = { readonly set: HubRoute } | { readonly delete: string };

/** A routing table in memory. */
export class MemoryTable {
  readonly #options: MemoryTableOptions;
  readonly #routes = new Map<string, HubRoute>();
  #lines = 0;

  constructor(options: MemoryTableOptions) {
    this.#options = options;
  }

  get routes(): ReadonlyMap<string, HubRoute> {
    return this.#routes;
  }

  /** Takes over what a predecessor has left, and gives it to the engine. */
  async start(): Promise<void> {
    for (const line of this.#read())
      if ('set' in line) this.#routes.set(line.set.routespec, line.set);
      else this.#routes.delete(line.delete);
    this.#rewrite();
    const routers = new Map<string, RouterConfiguration>();
    const services = new Map<string, ServiceConfiguration>();
    for (const route of this.#routes.values()) {
      const elements = routeElements(route, this.#options.elements);
      routers.set(elements.routerName, elements.router);
      services.set(elements.serviceName, elements.service);
    }
    await this.#options.engine.replace({ ...EMPTY_DYNAMIC_CONFIGURATION, routers, services });
  }

  /** Resolves when the change is live; throws ProxyError JTP_ERR_ROUTE_INVALID. */
  async change({ add, remove }: RouteChange): Promise<void> {
    const routes = add.map(normalizeRoute);
    const added = new Set(routes.map(({ routespec }) => routespec));
    const removed = remove
      .map(normalizeRoutespec)
      .filter((routespec) => this.#routes.has(routespec) && !added.has(routespec));
    const lines: Line[] = [];
    const patch = {
      setRouters: new Map<string, RouterConfiguration>(),
      setServices: new Map<string, ServiceConfiguration>(),
      deleteRouters: [] as string[],
      deleteServices: [] as string[],
    };
    for (const routespec of removed) {
      const { routerName, serviceName } = this.#elementsOf(routespec);
      patch.deleteRouters.push(routerName);
      patch.deleteServices.push(serviceName);
      this.#routes.delete(routespec);
      lines.push({ delete: routespec });
    }
    for (const route of routes) {
      const elements = routeElements(route, this.#options.elements);
      patch.setRouters.set(elements.routerName, elements.router);
      patch.setServices.set(elements.serviceName, elements.service);
      this.#routes.set(route.routespec, route);
      lines.push({ set: route });
    }
    this.#append(lines);
    await this.#options.engine.apply(patch);
  }

  #elementsOf(routespec: string): { readonly routerName: string; readonly serviceName: string } {
    const target = this.#routes.get(routespec)?.target ?? '';
    return routeElements({ routespec, target, data: {} }, this.#options.elements);
  }

  #read(): readonly Line[] {
    let text: string;
    try {
      text = readFileSync(this.#options.file, 'utf8');
    } catch {
      // The first controller of this program.
      return [];
    }
    // Written by `#append`, in a folder that nobody else can write to; the last line may have been cut off by a kill.
    const complete = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
    return complete.filter((line) => line !== '').map((line) => JSON.parse(line) as Line);
  }

  #append(lines: readonly Line[]): void {
    this.#lines += lines.length;
    if (this.#lines > 2 * this.#routes.size + SPARE_LINES) this.#rewrite();
    else if (lines.length > 0) appendFileSync(this.#options.file, textOf(lines));
  }

  #rewrite(): void {
    const { file } = this.#options;
    this.#lines = this.#routes.size;
    writeFileSync(`${file}.new`, textOf([...this.#routes.values()].map((route) => ({ set: route }))), {
      mode: 0o600,
    });
    renameSync(`${file}.new`, file);
  }
}

function textOf(lines: readonly Line[]): string {
  return lines.map((line) => `${JSON.stringify(line)}\n`).join('');
}
