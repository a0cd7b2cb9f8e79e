// What the controller and the workers say to each other.

import * as z from 'zod';
import { countsReport, processMetrics, refusedReport, trafficReport } from '../observe/reports.ts';
import type { CountsReport, ProcessMetrics, RefusedReport, TrafficReport } from '../observe/reports.ts';
import type { TableChange } from '../runtime/table-change.ts';

/** Worker → controller. Every message of the controller is answered, in order: `applied` for a change, `took` for all else. */
export type WorkerMessage =
  /** `hasTable`: it serves with one that it has had from a controller before. */
  | { readonly type: 'hello'; readonly workerId: number; readonly hasTable: boolean }
  | { readonly type: 'took' }
  | { readonly type: 'applied'; readonly generation: number }
  /** Once a second, where anybody asks for it: routes that were used. This is no answer. */
  | { readonly type: 'activity'; readonly routes: readonly ActivityMessage[] }
  /** Where there are metrics, once a second what was counted; with `process` after it was asked for. This is no answer, either. */
  | ({ readonly type: 'counts' } & CountsMessage);

/** What a worker has counted since the last time, and what its process looks like. */
export interface CountsMessage {
  /** For the command configurable-http-proxy. */
  readonly counts?: CountsReport | undefined;
  readonly traffic?: TrafficReport | undefined;
  readonly refused?: RefusedReport | undefined;
  readonly process?: ProcessMetrics | undefined;
}

/** Router, and how many milliseconds ago it was used; and by a user's doing, if it was. */
export type ActivityMessage = z.infer<typeof activity>;
const activity = z.object({ router: z.string(), agoMs: z.number(), userAgoMs: z.number().optional() });

/**
 * Controller → worker. What is large comes in pieces, each applied by itself, so that nobody stands still for long; `change` completes it.
 * The pieces before a full change are a snapshot: whatever none of them has named goes with it.
 */
export type TableMessage =
  | { readonly type: 'piece'; readonly isOfSnapshot: boolean; readonly change: TableChange }
  | { readonly type: 'change'; readonly change: TableChange };

/** Everything a worker is told; `count`: somebody reads the metrics, so tell what you have. */
export type ControllerMessage = TableMessage | { readonly type: 'count' };

/** Checks what a worker says: it is our own program, but its socket is a door. */
export const workerMessage = z.discriminatedUnion('type', [
  z.object({ type: z.literal('hello'), workerId: z.int(), hasTable: z.boolean() }),
  z.object({ type: z.literal('took') }),
  z.object({ type: z.literal('applied'), generation: z.int() }),
  z.object({ type: z.literal('activity'), routes: z.array(activity) }),
  z.object({
    type: z.literal('counts'),
    counts: countsReport.optional(),
    traffic: trafficReport.optional(),
    refused: refusedReport.optional(),
    process: processMetrics.optional(),
  }),
]);

/** Elements in a piece: some milliseconds of a worker's time. */
const PIECE = 128;

/** A change as messages, made when they are asked for. */
export function messagesOf(change: TableChange): readonly (() => TableMessage)[] {
  const { routers, services, full } = change;
  if (!full && routers.length + services.length <= PIECE) return [() => ({ type: 'change', change })];
  const { rest, removals, nothing } = dismantled(change);
  return [
    ...piecesOf(change, full),
    () => ({ type: 'change', change: { ...nothing, ...(full ? rest : removals), full } }),
  ];
}

/** The pieces of a change, without what completes it; a snapshot's removals are among them, because nothing else tells of those. */
export function piecesOf(change: TableChange, isOfSnapshot: boolean): readonly (() => TableMessage)[] {
  const { routers, services } = change;
  const { rest, removals, nothing } = dismantled(change);
  const piece = (part: Partial<TableChange>): (() => TableMessage) => {
    return () => ({ type: 'piece', isOfSnapshot, change: { ...nothing, ...part } });
  };
  const messages = [piece(isOfSnapshot ? { ...rest, ...removals } : rest)];
  // What a router names has to be there before it.
  for (let at = 0; at < services.length; at += PIECE)
    messages.push(piece({ services: services.slice(at, at + PIECE) }));
  for (let at = 0; at < routers.length; at += PIECE)
    messages.push(piece({ routers: routers.slice(at, at + PIECE) }));
  return messages;
}

/** What is neither a router nor a service: what comes first, what goes last, and a change that changes nothing. */
function dismantled(change: TableChange): {
  readonly rest: Partial<TableChange>;
  readonly removals: Partial<TableChange>;
  readonly nothing: TableChange;
} {
  const entries = Object.entries(change).filter(
    ([key]) => !['generation', 'full', 'routers', 'services'].includes(key),
  );
  return {
    rest: Object.fromEntries(entries.filter(([key]) => !key.startsWith('removed'))),
    removals: Object.fromEntries(entries.filter(([key]) => key.startsWith('removed'))),
    nothing: {
      generation: change.generation,
      full: false,
      routers: [],
      removedRouters: [],
      services: [],
      removedServices: [],
    },
  };
}
