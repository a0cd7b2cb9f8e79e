// What the controller and the workers say to each other.

import { z } from 'zod';
import type { RouterSpec, ServiceSpec, TableChange } from '../runtime/table-change.ts';

/** Worker → controller. */
export type WorkerMessage =
  | { readonly type: 'hello'; readonly workerId: number }
  | { readonly type: 'applied'; readonly generation: number };

/** Controller → worker. A snapshot comes in parts, so that no single line blocks anybody for long; `change` completes it. */
export type ControllerMessage =
  | {
      readonly type: 'part';
      readonly routers: readonly RouterSpec[];
      readonly services: readonly ServiceSpec[];
    }
  | { readonly type: 'change'; readonly change: TableChange };

/** Checks what a worker says: it is our own program, but its socket is a door. */
export const workerMessage = z.discriminatedUnion('type', [
  z.object({ type: z.literal('hello'), workerId: z.int() }),
  z.object({ type: z.literal('applied'), generation: z.int() }),
]);
