// Both proxies with the same options, the same routes and the same server behind them, and what can be observed of one call.

import http from 'node:http';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { Agent } from 'undici';
import { CHP_TOKEN, startServingChp } from '../support/chp.ts';
import type { Chp } from '../support/chp.ts';
import { listenLocally } from '../support/http-servers.ts';

/** The program of that name, from its own package. */
export const REAL_CHP = join(
  dirname(createRequire(import.meta.url).resolve('configurable-http-proxy/package.json')),
  'bin',
  'configurable-http-proxy',
);

/** One call, to the REST API or through the proxy. */
export interface Call {
  readonly to: 'api' | 'proxy';
  readonly method?: string;
  readonly path: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Field → what was seen. */
export type Observation = Readonly<Record<string, string>>;

const CLIENT = new Agent({ headersTimeout: 3000 });

/** Always different, and nobody's business: hop-by-hop, and the type of a text that the other program does not name. */
const IGNORED = new Set(['header connection', 'answer header content-type: text/plain; charset=utf-8']);

/** A server that tells what it was asked for; `/redirect/STATUS` redirects to itself, `/to/STATUS?URL` to a URL. */
export async function startEcho(t: TestContext): Promise<string> {
  const server = http.createServer((asked, answer) => {
    const url = asked.url ?? '';
    const host = `http://127.0.0.1:${String(asked.socket.localPort)}`;
    const [, kind, status = '', rest = ''] = /\/(redirect|to|status)\/(\d+)(.*)$/.exec(url) ?? [];
    if (kind === 'status') answer.statusCode = Number(status);
    if (kind === 'redirect' || kind === 'to')
      answer.writeHead(Number(status), { location: kind === 'to' ? rest.slice(1) : `${host}${rest}` });
    answer.end(JSON.stringify({ method: asked.method, url, headers: asked.headers }));
  });
  return `http://127.0.0.1:${String(await listenLocally(t, server))}`;
}

/** Starts one of the two. */
export function startPeer(t: TestContext, kind: 'real' | 'ours', args: readonly string[]): Promise<Chp> {
  return startServingChp(t, { args, ...(kind === 'real' ? { program: REAL_CHP } : {}) });
}

/** Makes a call and tells what can be seen of it, ports replaced by names. */
export async function observe(chp: Chp, call: Call, target: string): Promise<Observation> {
  const port = call.to === 'api' ? chp.apiPort : chp.port;
  const named = (text: string): string =>
    text
      .replaceAll(String(chp.port), 'PORT')
      .replaceAll(new URL(target).port, 'TARGET')
      .replace(/"last_activity":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"/g, '"last_activity":"TIME"');
  const answer = await CLIENT.request({
    // As it is: a URL would be normalised.
    origin: `http://127.0.0.1:${String(port)}`,
    path: call.path,
    method: call.method ?? 'GET',
    headers: {
      ...(call.to === 'api' ? { authorization: `token ${CHP_TOKEN}` } : {}),
      ...call.headers,
    },
    ...(call.body === undefined ? {} : { body: call.body.replaceAll('TARGET', target) }),
  }).catch((error: unknown) => String(error).replace(/^\w*Error: /, ''));
  if (typeof answer === 'string') return { failure: answer };
  const text = await answer.body.text();
  const observed: Record<string, string> = { status: String(answer.statusCode) };
  for (const name of ['content-type', 'location', 'allow']) {
    const value = answer.headers[name];
    if (typeof value === 'string' && !IGNORED.has(`answer header ${name}: ${value}`))
      observed[`answer header ${name}`] = named(value);
  }
  const echoed = parse(text);
  const headers = echoed?.['headers'];
  if (call.to === 'api' || typeof headers !== 'object' || headers === null)
    return { ...observed, body: named(echoed === undefined ? text : sorted(echoed)) };
  observed['target'] = String(echoed?.['url']);
  for (const [name, value] of Object.entries(headers))
    if (!IGNORED.has(`header ${name}`)) observed[`header ${name}`] = named(String(value));
  return observed;
}

function parse(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

/** JSON with its keys in order. */
function sorted(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) =>
    typeof item === 'object' && item !== null && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
      : item,
  );
}

/** The fields in which two observations differ. */
export function differingFields(a: Observation, b: Observation): string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((name) => a[name] !== b[name]).sort();
}
