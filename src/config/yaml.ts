// The YAML library, loaded by whoever meets YAML first: most programs never do, and each of their processes would load its seventy files at
// every start.

import { createRequire } from 'node:module';
import type * as Yaml from 'yaml';

const require = createRequire(import.meta.url);
let loaded: typeof Yaml | undefined;

/** The library. */
export function yaml(): typeof Yaml {
  // Synchronously, because configurations are read so: it is a CommonJS package.
  loaded ??= require('yaml') as typeof Yaml;
  return loaded;
}
