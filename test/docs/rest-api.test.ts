// docs/rest-api.yml says what the REST APIs can do: every path, method and status of the code is in it, and the reverse.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import type { TestContext } from 'node:test';
import type { FastifyInstance } from 'fastify';
import { createChpApi } from '../../src/api/chp-api.ts';
import { openApiDocument } from '../../src/api/open-api.ts';
import { createRoutesApi } from '../../src/api/routes-api.ts';
import { ProxyError } from '../../src/errors.ts';
import type { ErrorCode } from '../../src/errors.ts';
import { makeStore, rememberingLogger, temporaryFolder } from '../support/hub-store.ts';

const ROOT = new URL('../../../', import.meta.url);
/** What storing a change can end with. */
const ERRORS: readonly ErrorCode[] = [
  'JTP_ERR_API_REQUEST',
  'JTP_ERR_ROUTE_INVALID',
  'JTP_ERR_ROUTE_TIMEOUT',
  'JTP_ERR_STORE_WRITE',
  'JTP_ERR_ENGINE_DENIED',
];

interface Operation {
  readonly tags: readonly string[];
  readonly responses: Readonly<Record<string, unknown>>;
}
type Paths = Readonly<Record<string, Readonly<Record<string, Operation>>>>;
const { paths } = JSON.parse(openApiDocument()) as { readonly paths: Paths };

/** `GET /api/routes` and so on, as the page has them. */
function documented(tags: readonly string[]): string[] {
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations)
      .filter(
        ([method, operation]) => method !== 'parameters' && operation.tags.some((tag) => tags.includes(tag)),
      )
      .map(([method]) => `${method.toUpperCase()} ${path}`),
  );
}

/** The same of an API that has not been started: its routes are registered when it is. */
async function registered(app: FastifyInstance): Promise<string[]> {
  const found: string[] = [];
  app.addHook('onRoute', ({ method, url }) => {
    found.push(...[method].flat().map((name) => `${name} ${url.replace('/*', '/{path}')}`));
  });
  await app.ready();
  assert.ok(found.length > 0);
  return found;
}

async function makeApis(
  t: TestContext,
): Promise<{ readonly chp: FastifyInstance; readonly hub: FastifyInstance }> {
  const { store } = makeStore(t, join(temporaryFolder(t), 'rules.toml'));
  await store.start();
  const { log } = rememberingLogger();
  const nothing = (): void => undefined;
  const chp = createChpApi({
    table: store,
    activity: {
      clocks: () => ({ last: 0, user: 0 }),
      isUsed: () => false,
      begin: nothing,
    },
    token: '',
    address: { host: '127.0.0.1', port: 0 },
    hostRouting: false,
    counters: { routesRead: nothing, routeAdded: nothing, routeDeleted: nothing, answered: nothing },
    log,
  });
  const hub = createRoutesApi({ table: store, token: 't', health: { pid: 1, digest: '', version: '' }, log });
  t.after(() => Promise.all([chp.close(), hub.close()]));
  return { chp, hub };
}

it('every path and method is in the page, and the reverse', async (t) => {
  const { chp, hub } = await makeApis(t);
  assert.deepEqual((await registered(chp)).sort(), documented(['configurable-http-proxy']).sort());
  assert.deepEqual((await registered(hub)).sort(), documented(['configurable-http-proxy', 'hub']).sort());
});

it('every status is in the page, and the reverse', () => {
  const statuses = new Set<string>(ERRORS.map((code) => String(new ProxyError(code).status)));
  for (const name of ['chp-api', 'routes-api'])
    for (const [, status = ''] of readFileSync(new URL(`src/api/${name}.ts`, ROOT), 'utf8').matchAll(
      /(?:code\(|fail\(\s*(?:[^,]|\([^)]*\))*,\s*)([1-5]\d\d)\b/g,
    ))
      statuses.add(status);
  // What an answer has when nothing else is said.
  statuses.add('200');
  statuses.add('500');
  const inPage = new Set(
    Object.values(paths).flatMap((operations) =>
      Object.values(operations).flatMap(({ responses }) => Object.keys(responses ?? {})),
    ),
  );
  assert.deepEqual([...inPage].sort(), [...statuses].sort());
});
