// Which TLS options the hosts of one entry point have, kept up to date router by router. Only what differs from the default is held, so
// that an entry point without such options pays nothing.

import { lookupHost, ruleHosts } from '../router/rule-hosts.ts';
import type { Rule } from '../router/rule.ts';

/** Host → options. */
export class TlsHosts {
  /** Several routers may name a host; the controller has seen to it that they agree. */
  readonly #byHost = new Map<string, { name: string; routers: number }>();

  add(rule: Rule, options: string): void {
    for (const host of ruleHosts(rule)) {
      const known = this.#byHost.get(host);
      if (known === undefined) this.#byHost.set(host, { name: options, routers: 1 });
      else {
        known.name = options;
        known.routers++;
      }
    }
  }

  delete(rule: Rule): void {
    for (const host of ruleHosts(rule)) {
      const known = this.#byHost.get(host);
      if (known === undefined) continue;
      known.routers--;
      if (known.routers === 0) this.#byHost.delete(host);
    }
  }

  /** Undefined: the default options. */
  find(serverName: string): string | undefined {
    return lookupHost(this.#byHost, serverName)?.name;
  }
}
