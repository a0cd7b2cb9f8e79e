// The program in few files, which load faster; where they have not been made (scripts/bundle.mjs), as it was compiled.
import { existsSync } from 'node:fs';

const bundled = new URL('../dist/program/cli/main.js', import.meta.url);
const compiled = new URL('../dist/src/cli/main.js', import.meta.url);
export const { main } = await import((existsSync(bundled) ? bundled : compiled).href);
