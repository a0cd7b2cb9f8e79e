// Which routers use an element. Nearly always it is one: a set of its own for each of 100,000 services would be a tenth of the table.

/** Names of routers, each once, in the order in which they were added. */
export class Users implements Iterable<string> {
  #only: string | undefined;
  #several: Set<string> | undefined;

  get size(): number {
    return this.#several?.size ?? (this.#only === undefined ? 0 : 1);
  }

  add(name: string): void {
    if (this.#several !== undefined) this.#several.add(name);
    else if (this.#only === undefined || this.#only === name) this.#only = name;
    else {
      this.#several = new Set([this.#only, name]);
      this.#only = undefined;
    }
  }

  delete(name: string): void {
    this.#several?.delete(name);
    if (this.#only === name) this.#only = undefined;
  }

  [Symbol.iterator](): Iterator<string> {
    if (this.#several !== undefined) return this.#several[Symbol.iterator]();
    return (this.#only === undefined ? [] : [this.#only])[Symbol.iterator]();
  }
}
