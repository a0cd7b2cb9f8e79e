// The state of each configured element: what was written, what became of it, who uses it. The read API prints this.

import type {
  MiddlewareConfiguration,
  RouterConfiguration,
  ServiceConfiguration,
} from '../config/dynamic.ts';
import type { MiddlewareSpec, RouterSpec, ServiceSpec } from './table-change.ts';
import type { Users } from './users.ts';

/** Source: Traefik documentation, API. A warning does not keep an element from working. */
export type Status = 'enabled' | 'disabled' | 'warning';

interface Element {
  /** Qualified: `x@file`. */
  readonly name: string;
  readonly provider: string;
  status: Status;
  errors: readonly string[];
}

export interface RouterState extends Element {
  readonly configuration: RouterConfiguration;
  /** Qualified. */
  readonly service: string;
  /** What the workers have of it: one spec, or several when its entry points differ in what they add; empty when disabled. */
  specs: readonly RouterSpec[];
  /** Entry points in effect, sorted. */
  using: readonly string[];
  /** Qualified, those of the entry point first. */
  middlewares: readonly string[];
  /** The middlewares of all its entry points, each once: when one of them changes, so does the router. */
  references: readonly string[];
  priority: number;
  /** Exact, where a number cannot be. */
  priorityText: string;
  tlsOptions: string | undefined;
}

export interface ServiceState extends Element {
  /** Undefined for built-in ones. */
  readonly configuration: ServiceConfiguration | undefined;
  readonly usedBy: Users;
  spec: ServiceSpec | undefined;
}

export interface MiddlewareState extends Element {
  readonly configuration: MiddlewareConfiguration;
  readonly usedBy: Users;
  spec: MiddlewareSpec | undefined;
}

/** `x` of provider `file` is `x@file`; `x@internal` is what it is. */
export function qualify(name: string, provider: string): string {
  return name.includes('@') ? name : `${name}@${provider}`;
}
