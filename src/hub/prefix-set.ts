// Prefixes in the order in which they were added, that can be asked which of them lie below another: what is found is paid for, not what is
// there.

/** Each prefix ends with a slash, `/user/zoe/` or `host/user/zoe/`. */
export class PrefixSet implements Iterable<string> {
  readonly #all = new Set<string>();
  /** Prefix → those that are longer than it by whole segments. Roots are nobody's question and have no entry. */
  readonly #longer = new Map<string, Set<string>>();

  get size(): number {
    return this.#all.size;
  }

  [Symbol.iterator](): IterableIterator<string> {
    return this.#all[Symbol.iterator]();
  }

  /** One that is there already keeps its place. */
  add(prefix: string): void {
    if (this.#all.has(prefix)) return;
    this.#all.add(prefix);
    for (const ancestor of ancestorsOf(prefix)) {
      const longer = this.#longer.get(ancestor);
      if (longer === undefined) this.#longer.set(ancestor, new Set([prefix]));
      else longer.add(prefix);
    }
  }

  /** Does nothing when it is not there. */
  delete(prefix: string): void {
    if (!this.#all.delete(prefix)) return;
    for (const ancestor of ancestorsOf(prefix)) {
      const longer = this.#longer.get(ancestor);
      longer?.delete(prefix);
      if (longer?.size === 0) this.#longer.delete(ancestor);
    }
  }

  /** Those that begin with `prefix`, itself among them. `prefix` is no root, `/` or `host/`. */
  below(prefix: string): readonly string[] {
    const longer = this.#longer.get(prefix) ?? [];
    return this.#all.has(prefix) ? [prefix, ...longer] : [...longer];
  }
}

/** Shorter ones, the longest first; without the root. */
export function* ancestorsOf(prefix: string): Generator<string> {
  const root = prefix.indexOf('/');
  for (
    let end = prefix.lastIndexOf('/', prefix.length - 2);
    end > root;
    end = prefix.lastIndexOf('/', end - 1)
  )
    yield prefix.slice(0, end + 1);
}
