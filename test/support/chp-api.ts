// The REST API of the configurable-http-proxy command by itself, on a port of its own.

import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { getGlobalDispatcher } from 'undici';
import { createChpApi } from '../../src/api/chp-api.ts';
import type { ChpApiOptions } from '../../src/api/chp-api.ts';
import { MemoryTable } from '../../src/controller/memory-table.ts';
import { ActivityClock } from '../../src/hub/activity.ts';
import { RememberingEngine, rememberingLogger, temporaryFolder } from './hub-store.ts';

/** One that was started. */
export interface Api {
  /** Status, type and body. The last argument is what Authorization says, or all headers. */
  readonly call: (
    method: string,
    path: string,
    body?: unknown,
    headers?: string | Readonly<Record<string, string>>,
  ) => Promise<string>;
  readonly routes: () => Promise<Record<string, Record<string, unknown>>>;
  readonly lines: readonly Record<string, unknown>[];
  readonly counted: readonly string[];
}

/** Starts the API of the command, with routes in memory; it ends with the test. */
export async function startApi(t: TestContext, options: Partial<ChpApiOptions> = {}): Promise<Api> {
  const { log, lines } = rememberingLogger();
  const table = new MemoryTable({
    file: join(temporaryFolder(t), 'routes.jsonl'),
    engine: new RememberingEngine(),
    elements: { entryPoint: 'public', preservePath: true },
  });
  await table.start();
  const counted: string[] = [];
  const activity = new ActivityClock({
    routes: table.routes,
    file: join(temporaryFolder(t), 'activity.json'),
    log,
  });
  t.after(() => {
    activity.close();
  });
  const app = createChpApi({
    table,
    activity,
    token: 'secret',
    address: { host: '127.0.0.1', port: 0 },
    hostRouting: false,
    counters: {
      routesRead: () => counted.push('read'),
      routeAdded: () => counted.push('add'),
      routeDeleted: () => counted.push('delete'),
      answered: (status) => counted.push(String(status)),
    },
    log,
    ...options,
  });
  await app.listen({ host: '127.0.0.1', port: 0 });
  t.after(() => app.close());
  const address = app.server.address();
  const port = address !== null && typeof address === 'object' ? address.port : 0;
  const call: Api['call'] = async (method, path, body, given = 'token secret') => {
    const {
      statusCode,
      headers,
      body: answer,
    } = await getGlobalDispatcher().request({
      origin: `http://127.0.0.1:${String(port)}`,
      // As it is: a URL would have its dots resolved.
      path,
      method: method,
      headers: typeof given !== 'string' ? given : given === '' ? {} : { authorization: given },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await answer.text();
    const type =
      text === '' || headers['content-type'] === undefined ? '' : ` (${String(headers['content-type'])})`;
    return `${String(statusCode)}${type} ${text}`.trim();
  };
  const routes: Api['routes'] = async () =>
    JSON.parse((await call('GET', '/api/routes')).replace(/^[^{]*/, '')) as Awaited<
      ReturnType<Api['routes']>
    >;
  return { call, routes, lines, counted };
}
