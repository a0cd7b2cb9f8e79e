// Servers of Node's own for tests that care about what is asked and not about bytes.

import type { Server } from 'node:http';
import type { TestContext } from 'node:test';

/** Lets an HTTP or HTTPS server listen on a free port of the loopback address, until the test ends; resolves with the port. */
export async function listenLocally(t: TestContext, server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  return address !== null && typeof address === 'object' ? address.port : 0;
}
