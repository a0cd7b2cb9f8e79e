// Lists that most elements have in common, kept once: as arrays of their own they were a fifth of a large table.

/** An empty list, for whatever is in none. */
export const NOTHING: readonly never[] = Object.freeze([]);

const lists = new Map<string, readonly string[]>();

/** The list of one name, always the same for the same name. For names that are few: entry points. */
export function listOf(name: string): readonly string[] {
  let list = lists.get(name);
  if (list === undefined) {
    list = Object.freeze([name]);
    lists.set(name, list);
  }
  return list;
}
