// A table as one JSON object, written while it is read: ten thousand routes are some megabytes, and nobody should wait for the last one to
// see the first, or stand still meanwhile.

import { Readable } from 'node:stream';

/** Entries that are made into text at once: about a millisecond. */
const SLICE = 1024;

/** `{"key":value,…}` of items as they are now; `entry` gives the text of one, `"key":value`. */
export function listing<Item>(items: Iterable<Item>, entry: (item: Item) => string): Readable {
  return Readable.from(texts([...items], entry), { objectMode: false });
}

async function* texts<Item>(items: readonly Item[], entry: (item: Item) => string): AsyncGenerator<string> {
  let separator = '{';
  for (let at = 0; at < items.length; at += SLICE) {
    let text = '';
    for (const item of items.slice(at, at + SLICE)) {
      text += separator + entry(item);
      separator = ',';
    }
    yield text;
    await new Promise(setImmediate);
  }
  yield items.length === 0 ? '{}' : '}';
}
