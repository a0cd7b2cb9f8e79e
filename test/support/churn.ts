// Tabs that reconnect to sick servers for a while, and what is left of them. The same load for the sample in the unit tests and for the soak.

import type { TestContext } from 'node:test';
import { queryObjects } from 'node:v8';
import { Greeting } from '../../src/entrypoint/greeting.ts';
import { ClientConnection } from '../../src/http1/client-connection.ts';
import { Tunnel } from '../../src/tunnel/tunnel.ts';
import { entryPoint, router, service, startDataPlane, staticConfiguration, table } from './data-plane.ts';
import { until } from './sockets.ts';
import { runTabs, SickServers } from './tabs.ts';

/** How long and how hard. */
export interface ChurnOptions {
  readonly rounds: number;
  /** Connections of each round. */
  readonly connections: number;
  /** Called when a round's tabs are gone and nothing is left open. */
  readonly afterRound?: (round: number) => void;
}

/** What there is one of for each client. */
const OF_CLIENTS = [Greeting, ClientConnection, Tunnel];
/** The last few of each may still be held by what served them. */
const KEPT = 8;

/** How many are still in memory after everything that nobody needs has been collected. */
function inMemory(): number {
  return Math.max(...OF_CLIENTS.map((type) => queryObjects(type, { format: 'count' })));
}

/** Rejects when, some seconds after a round, anything is open that was not before, or in memory without being open. */
export async function churn(t: TestContext, options: ChurnOptions): Promise<void> {
  const servers = await SickServers.start();
  t.after(() => {
    servers.close();
  });
  const { plane, port } = await startDataPlane(
    t,
    staticConfiguration([entryPoint('web')]),
    table(
      [router('all', 'PathPrefix(`/`)', 'app'), router('gone', 'PathPrefix(`/gone`)', 'gone')],
      [
        service('app', [`http://127.0.0.1:${String(servers.port)}`]),
        service('gone', [`http://127.0.0.1:${String(servers.gonePort)}`]),
      ],
    ),
  );
  for (let round = 1; round <= options.rounds; round++) {
    await runTabs({
      port: port('web'),
      tabs: 60,
      isOver: (connections) => connections >= options.connections,
      stayMs: 40,
      silentMs: 200,
    });
    await until(
      () => plane.counts().connections === 0 && plane.counts().tunnels === 0,
      'clients to be gone',
    ).catch((error: unknown) => {
      const { connections, tunnels } = plane.counts();
      throw new Error(
        `round ${String(round)}: ${String(connections)} connections and ${String(tunnels)} tunnels are still open`,
        { cause: error },
      );
    });
    // A few kept connections for the next request, and no more than that.
    await until(() => servers.openCount <= 4, 'connections to servers to be closed');
    await until(() => inMemory() <= KEPT, 'what served the clients to be out of memory');
    options.afterRound?.(round);
  }
}
