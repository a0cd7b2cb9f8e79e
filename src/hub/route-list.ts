// All routes as the routes file has them, in a stable order in which a human finds a user. They are kept in blocks that are never changed,
// only replaced: a change costs one block, whoever writes the file holds on to the list as it was, and a block's text is made once.

import type { WrittenRoute } from './routes-document.ts';

/** A block that grows beyond this is halved. */
const MOST = 128;

/** Some routes in a row; `cache` is for whoever renders them. */
export interface RouteBlock<Text> {
  readonly routes: readonly WrittenRoute[];
  cache: Text | undefined;
}

/** See the head of this file. */
export class RouteList<Text> implements Iterable<WrittenRoute> {
  #blocks: RouteBlock<Text>[] = [];
  #size = 0;

  constructor(routes: Iterable<WrittenRoute> = []) {
    const sorted = [...routes].sort((a, b) => order(specOf(a), specOf(b)));
    this.#size = sorted.length;
    for (let start = 0; start < sorted.length; start += MOST / 2)
      this.#blocks.push(newBlock(sorted.slice(start, start + MOST / 2)));
  }

  get size(): number {
    return this.#size;
  }

  /** The list as it is now, whatever is changed later. */
  get blocks(): readonly RouteBlock<Text>[] {
    return [...this.#blocks];
  }

  *[Symbol.iterator](): Generator<WrittenRoute> {
    for (const { routes } of this.#blocks) yield* routes;
  }

  get(routespec: string): WrittenRoute | undefined {
    const block = this.#blocks[this.#blockOf(routespec)];
    const found = block?.routes[placeOf(block.routes, routespec)];
    return found !== undefined && specOf(found) === routespec ? found : undefined;
  }

  set(route: WrittenRoute): void {
    const index = this.#blockOf(specOf(route));
    const block = this.#blocks[index];
    if (block === undefined) {
      this.#size++;
      this.#blocks.push(newBlock([route]));
      return;
    }
    const place = placeOf(block.routes, specOf(route));
    const found = block.routes[place];
    const isNew = found === undefined || specOf(found) !== specOf(route);
    const routes = block.routes.toSpliced(place, isNew ? 0 : 1, route);
    if (isNew) this.#size++;
    if (routes.length <= MOST) this.#blocks[index] = newBlock(routes);
    else this.#blocks.splice(index, 1, newBlock(routes.slice(0, MOST / 2)), newBlock(routes.slice(MOST / 2)));
  }

  delete(routespec: string): void {
    const index = this.#blockOf(routespec);
    const block = this.#blocks[index];
    if (block === undefined) return;
    const place = placeOf(block.routes, routespec);
    const found = block.routes[place];
    if (found === undefined || specOf(found) !== routespec) return;
    this.#size--;
    if (block.routes.length === 1) this.#blocks.splice(index, 1);
    else this.#blocks[index] = newBlock(block.routes.toSpliced(place, 1));
  }

  /** The last block that does not begin behind this routespec; the first when all do. */
  #blockOf(routespec: string): number {
    let low = 0;
    let high = this.#blocks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      const first = this.#blocks[middle]?.routes[0];
      if (first !== undefined && order(specOf(first), routespec) <= 0) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

function newBlock<Text>(routes: readonly WrittenRoute[]): RouteBlock<Text> {
  return { routes, cache: undefined };
}

function specOf({ route }: WrittenRoute): string {
  return route.routespec;
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Where a routespec is, or belongs. */
function placeOf(routes: readonly WrittenRoute[], routespec: string): number {
  let low = 0;
  let high = routes.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const route = routes[middle];
    if (route !== undefined && order(specOf(route), routespec) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
