// The description of the REST API, docs/rest-api.yml, as it is served.

import { readFileSync } from 'node:fs';
import { yaml } from '../config/yaml.ts';

let text: string | undefined;

/** OpenAPI 3.1, as JSON. */
export function openApiDocument(): string {
  // dist/src/api/open-api.js → docs/
  const file = new URL('../../../docs/rest-api.yml', import.meta.url);
  text ??= JSON.stringify(yaml().parse(readFileSync(file, 'utf8')));
  return text;
}
