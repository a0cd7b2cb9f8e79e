// The table that a REST API changes when the engine is our own. A controller that takes another's place does not know the workers before it is
// told who accepts: until then nothing would be waited for, so no change is made.

import type { RouteTable } from '../api/requests.ts';
import type { StoppedRoutes } from '../hub/stopped-routes.ts';

/** A table whose changes wait until `open` is called. */
export interface GatedTable extends RouteTable {
  /** It is known which workers accept. */
  readonly open: () => void;
}

/** Changes go to `table`; prefixes that are removed are remembered by `stopped`. */
export function createGatedTable(table: RouteTable, stopped: StoppedRoutes): GatedTable {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return {
    routes: table.routes,
    change: async (change) => {
      await opened;
      await table.change(change);
      // Whoever made many changes is not kept waiting for it.
      setImmediate(() => void stopped.onChange(change));
    },
    open,
  };
}
