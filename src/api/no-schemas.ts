// Fastify without its compilers of JSON schemas: no route here has one, and loading them takes a twelfth of a controller's start.

import type { FastifyServerOptions } from 'fastify';

/** For every server of ours. A route that does name a schema is refused when it is registered. */
export const NO_SCHEMAS = {
  compilersFactory: { buildValidator: refuse, buildSerializer: refuse },
} satisfies FastifyServerOptions['schemaController'];

function refuse(): never {
  throw new Error('routes have no JSON schemas here: bodies are checked by their handlers');
}
