// Which hosts ask for which TLS options on which entry point. Options are chosen by name before there is a request, so all routers of a
// host have to agree; where they do not, or where a rule names no host, the default options apply. Source: Traefik documentation, TLS
// options, and its behaviour.

import type { Logger } from '../log.ts';
import { ruleHosts } from '../router/rule-hosts.ts';
import { parseRule } from '../router/rule.ts';
import { DEFAULT_TLS_OPTIONS } from './table-change.ts';
import type { RouterSpec } from './table-change.ts';

interface Entry {
  readonly key: string;
  readonly options: string;
}

/** A rule without it names no host; parsing it would be for nothing. */
const MAY_NAME_HOSTS = /host\(/i;

const NOBODY: ReadonlySet<string> = new Set();

/** All TLS routers' hosts. */
export class TlsHosts {
  readonly #log: Logger;
  /** Entry point and host → options → routers. */
  readonly #byHost = new Map<string, Map<string, Set<string>>>();
  readonly #ofRouter = new Map<string, readonly Entry[]>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Takes a router's specs, with the options it asks for; none: it is gone. Returns the other routers of hosts that are looked at anew. */
  set(router: string, specs: readonly RouterSpec[]): ReadonlySet<string> {
    const before = this.#ofRouter.get(router);
    if (before === undefined && !specs.some(({ tls }) => tls)) return NOBODY;
    const entries = specs.flatMap(entriesOf);
    const touched = new Set<string>();
    for (const { key, options } of before ?? []) this.#remove(router, key, options, touched);
    for (const { key, options } of entries) this.#add(router, key, options, touched);
    if (entries.length === 0) this.#ofRouter.delete(router);
    else this.#ofRouter.set(router, entries);
    touched.delete(router);
    return touched;
  }

  /** The same spec with the options that apply. */
  resolve(spec: RouterSpec, wanted: string): RouterSpec {
    const [entryPoint = ''] = spec.entryPoints;
    const hosts = hostsOf(spec);
    const agreed =
      hosts.length > 0 && hosts.every((host) => this.#byHost.get(keyOf(entryPoint, host))?.size === 1);
    if (wanted !== DEFAULT_TLS_OPTIONS && hosts.length === 0)
      this.#log.error(
        { router: spec.name, entryPoint, tlsOptions: wanted },
        'no host in the rule, the default TLS options apply',
      );
    return { ...spec, tlsOptions: agreed ? wanted : DEFAULT_TLS_OPTIONS };
  }

  #add(router: string, key: string, options: string, touched: Set<string>): void {
    let byOptions = this.#byHost.get(key);
    if (byOptions === undefined) {
      byOptions = new Map();
      this.#byHost.set(key, byOptions);
    }
    let routers = byOptions.get(options);
    if (routers === undefined) {
      routers = new Set();
      byOptions.set(options, routers);
      if (byOptions.size === 2) {
        const [entryPoint, host] = key.split(' ');
        this.#log.error(
          { host, entryPoint },
          'the host is served by routers with different TLS options, the default ones apply',
        );
      }
      touchAll(byOptions, touched);
    }
    routers.add(router);
  }

  #remove(router: string, key: string, options: string, touched: Set<string>): void {
    const byOptions = this.#byHost.get(key);
    const routers = byOptions?.get(options);
    if (byOptions === undefined || routers === undefined) return;
    routers.delete(router);
    if (routers.size > 0) return;
    byOptions.delete(options);
    if (byOptions.size === 0) this.#byHost.delete(key);
    touchAll(byOptions, touched);
  }
}

function touchAll(byOptions: ReadonlyMap<string, ReadonlySet<string>>, touched: Set<string>): void {
  for (const routers of byOptions.values()) for (const router of routers) touched.add(router);
}

function entriesOf(spec: RouterSpec): Entry[] {
  const [entryPoint = ''] = spec.entryPoints;
  const options = spec.tlsOptions ?? DEFAULT_TLS_OPTIONS;
  return hostsOf(spec).map((host) => ({ key: keyOf(entryPoint, host), options }));
}

/** The hosts of a TLS router. */
export function hostsOf({ tls, rule }: Pick<RouterSpec, 'tls' | 'rule'>): readonly string[] {
  return tls && MAY_NAME_HOSTS.test(rule) ? ruleHosts(parseRule(rule)) : [];
}

function keyOf(entryPoint: string, host: string): string {
  return `${entryPoint} ${host}`;
}
