// What is in memory although nobody needs it any more.

import { queryObjects } from 'node:v8';
import { Greeting } from '../../src/entrypoint/greeting.ts';
import { Exchange } from '../../src/exchange/exchange.ts';
import { ClientConnection } from '../../src/http1/client-connection.ts';
import { ClientSession } from '../../src/http2/client-session.ts';
import { ClientStream } from '../../src/http2/client-stream.ts';
import { Tunnel } from '../../src/tunnel/tunnel.ts';
import { UpstreamConnection } from '../../src/upstream/upstream-connection.ts';
import { until } from './sockets.ts';

/** What there is one of for each client, request or connection. */
const TYPES = [Greeting, ClientConnection, ClientSession, ClientStream, Exchange, Tunnel, UpstreamConnection];
/** The last few of each may still be held by what served them, and some connections are kept for the next request. */
const KEPT = 16;

/** Waits until everything that served clients has been collected, but for a few. Rejects with what has not. */
export async function assertForgotten(): Promise<void> {
  let left: string[] = [];
  await until(() => {
    left = TYPES.map((type) => ({ type, count: queryObjects(type, { format: 'count' }) }))
      .filter(({ count }) => count > KEPT)
      .map(({ type, count }) => `${String(count)} ${type.name}`);
    return left.length === 0;
  }, 'what served clients to be out of memory').catch((error: unknown) => {
    throw new Error(`still in memory: ${left.join(', ')}`, { cause: error });
  });
}
