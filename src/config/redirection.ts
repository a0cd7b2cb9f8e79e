// `http.redirections.entryPoint`: everything that reaches one entry point is sent to another one. Source: Traefik documentation, entry
// points, redirections.

import type { BuildProblem, Table } from './build-static.ts';
import { nearest } from './nearest.ts';
import type { EntryPointConfiguration, RedirectionConfiguration } from './static.ts';

/** One below what `ping@internal` has: only that is above a redirection by default. */
const DEFAULT_PRIORITY = '9223372036854775806';
const PORT = /^:([0-9]{1,5})$/;

/** As written, with defaults; where `to` leads is checked by `checkRedirections`, when all entry points are known. */
export function buildRedirection(
  redirection: Table,
  path: readonly string[],
  problems: BuildProblem[],
): RedirectionConfiguration {
  const to = redirection.text('to') ?? '';
  const scheme = redirection.text('scheme') ?? 'https';
  const priorityText = redirection.text('priority') ?? DEFAULT_PRIORITY;
  if (to === '')
    problems.push({ path, message: 'a redirection needs "to": the name of an entry point, or ":port"' });
  if (scheme !== 'https' && scheme !== 'http')
    problems.push({ path: [...path, 'scheme'], message: `expected https or http, found "${scheme}"` });
  return { to, scheme, permanent: redirection.flag('permanent', true), priorityText };
}

/** Adds a problem for each redirection to an entry point that does not exist, or to no port. */
export function checkRedirections(
  entryPoints: ReadonlyMap<string, EntryPointConfiguration>,
  problems: BuildProblem[],
): void {
  for (const { name, http } of entryPoints.values()) {
    const to = http.redirection?.to;
    if (to === undefined || to === '' || redirectionPort(to, entryPoints) !== undefined) continue;
    const names = [...entryPoints.keys()];
    const near = nearest(to, names);
    problems.push({
      path: ['entryPoints', name, 'http', 'redirections', 'entryPoint', 'to'],
      message: to.startsWith(':')
        ? `expected the name of an entry point or a port from :1 to :65535, found "${to}"`
        : `there is no entry point "${to}"; ` +
          (near === undefined ? `defined are ${names.join(', ')}` : `did you mean "${near}"?`),
    });
  }
}

/** The port that a redirection leads to; undefined when there is none. */
export function redirectionPort(
  to: string,
  entryPoints: ReadonlyMap<string, EntryPointConfiguration>,
): number | undefined {
  const port = Number(PORT.exec(to)?.[1] ?? entryPoints.get(to)?.address.port ?? 0);
  return port > 0 && port < 65_536 ? port : undefined;
}
