// What a client sees when there is no server's answer to show. Without error pages an exchange gives the plain answers of
// http1/answer.ts; with them it asks here. One object serves a worker.

import type { ProxyError } from '../errors.ts';
import type { Answer } from '../http1/answer.ts';
import type { MessageHead } from '../http1/head.ts';
import type { Request } from '../http1/request.ts';

/** A request that ends without a server's answer. */
export interface Failure {
  /** What the plain answer would be. */
  readonly status: number;
  /** Undefined when nothing went wrong but the routing table says so (no router: 404; no server: 503). */
  readonly error: ProxyError | undefined;
  readonly request: Request;
  /** Valid until the answer is given. */
  readonly head: MessageHead;
  readonly isTls: boolean;
  /** Name of the router that took the request, if one did. */
  readonly router: string | undefined;
}

/** Makes the answers to failures. */
export interface ErrorPages {
  /** At once where possible; a promise must not reject, and should resolve soon even if whoever makes the page does not answer. */
  answer(failure: Failure): Answer | Promise<Answer>;
}
