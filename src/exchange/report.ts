// What the log says about a server that failed, once for each request.

import type { ProxyError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Request } from '../http1/request.ts';
import { describeAddress } from '../upstream/target-address.ts';
import type { UpstreamCounters } from '../upstream/target.ts';
import type { UpstreamConnection } from '../upstream/upstream-connection.ts';

/** A request whose failure is the client's. */
export interface ServerFailure {
  readonly error: ProxyError;
  readonly request: Request;
  readonly router: string | undefined;
  readonly server: UpstreamConnection | undefined;
  /** Part of a response had arrived. */
  readonly anyBytes: boolean;
}

/** Notes it; a request that must not be sent twice and may have been executed is counted and named. */
export function reportFailure(failure: ServerFailure, log: Logger, counters: UpstreamCounters): void {
  const { error, request, router, server, anyBytes } = failure;
  const fields = {
    code: error.code,
    router,
    server: server === undefined ? undefined : describeAddress(server.target.address),
    reason: error.message,
  };
  if (!anyBytes && error.retry === 'if-reused' && server?.isReused === true) {
    counters.lost++;
    server.target.distrust();
    log.warn(
      { ...fields, method: request.method },
      'a request is lost: its server closed a kept connection, and it must not be sent twice',
    );
    return;
  }
  const isNoteworthy = error.code === 'JTP_ERR_UPSTREAM_PROTOCOL' || error.code === 'JTP_ERR_UPSTREAM_TLS';
  if (isNoteworthy) log.warn(fields, 'a server failed');
  else log.debug(fields, 'a server failed');
}
