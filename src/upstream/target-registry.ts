// One Target per server URL and transport in a worker: services that name the same server share its connections, and a service that is
// changed keeps them.

import { parseTargetUrl } from './target-address.ts';
import { Target } from './target.ts';
import type { UpstreamContext } from './target.ts';
import type { Transport } from './transport.ts';

/** All targets of a worker. */
export class TargetRegistry {
  readonly #targets = new Map<string, Target>();
  readonly #numbers = new WeakMap<Transport, number>();
  readonly #context: UpstreamContext;
  #transports = 0;

  constructor(context: UpstreamContext) {
    this.#context = context;
  }

  get size(): number {
    return this.#targets.size;
  }

  /** The target of a server URL; throws ProxyError JTP_ERR_ROUTE_INVALID. It is kept once it has been retained. */
  get(url: string, transport: Transport): Target {
    const address = parseTargetUrl(url);
    const { scheme, connect, path, query } = address;
    const place = 'path' in connect ? connect.path : `${connect.host}:${String(connect.port)}`;
    const suffix = query === '' ? '' : `?${query}`;
    const key = `${String(this.#numberOf(transport))} ${scheme} ${place} ${path}${suffix}`;
    let target = this.#targets.get(key);
    if (target === undefined) {
      target = new Target(address, transport, this.#context, key);
      this.#targets.set(key, target);
    }
    return target;
  }

  #numberOf(transport: Transport): number {
    let number = this.#numbers.get(transport);
    if (number === undefined) {
      number = ++this.#transports;
      this.#numbers.set(transport, number);
    }
    return number;
  }

  retain(target: Target): void {
    target.references++;
  }

  /** Without a service that names it, a target has no use for idle connections. */
  release(target: Target): void {
    target.references--;
    if (target.references > 0) return;
    this.#targets.delete(target.key);
    target.close();
  }

  close(): void {
    for (const target of this.#targets.values()) target.close();
  }
}
