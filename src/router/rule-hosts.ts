// The hosts that a rule names. TLS options are chosen before there is a request, by name alone. Source: Traefik documentation, TLS options.

import { ruleHost } from './matchers.ts';
import type { Rule } from './rule.ts';

/** The arguments of all Host matchers of a rule, wildcards included, as server names are compared. */
export function ruleHosts(rule: Rule): readonly string[] {
  const hosts = new Set<string>();
  collect(rule, hosts);
  return [...hosts];
}

function collect(rule: Rule, hosts: Set<string>): void {
  switch (rule.kind) {
    case 'matcher':
      if (rule.name === 'Host') for (const host of rule.args) hosts.add(ruleHost(host));
      return;
    case 'not':
      collect(rule.operand, hosts);
      return;
    case 'and':
    case 'or':
      collect(rule.left, hosts);
      collect(rule.right, hosts);
  }
}

/** The entry for a server name: of the host itself, of its wildcard, of `*`. */
export function lookupHost<T>(byHost: ReadonlyMap<string, T>, serverName: string): T | undefined {
  if (byHost.size === 0) return undefined;
  const exact = byHost.get(serverName);
  if (exact !== undefined) return exact;
  const dot = serverName.indexOf('.');
  return (dot < 0 ? undefined : byHost.get(`*${serverName.slice(dot)}`)) ?? byHost.get('*');
}
