import { it } from 'node:test';
import {
  entryPoint,
  router,
  service,
  startDataPlane,
  staticConfiguration,
  table,
} from '../support/data-plane.ts';
import { until } from '../support/sockets.ts';
import { runTabs, SickServers } from '../support/tabs.ts';

// The bounded sample of `npm run bench -- churn` and of test/soak/churn.test.ts.
const CONNECTIONS = 600;

it('leaves nothing open when tabs have stopped reconnecting to sick servers', async (t) => {
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
  await runTabs({
    port: port('web'),
    tabs: 60,
    isOver: (connections) => connections >= CONNECTIONS,
    stayMs: 40,
    silentMs: 200,
  });
  await until(() => plane.counts().connections === 0 && plane.counts().tunnels === 0, 'clients to be gone');
  // A few kept connections for the next request, and no more than that.
  await until(() => servers.openCount <= 4, 'connections to servers to be closed');
});
