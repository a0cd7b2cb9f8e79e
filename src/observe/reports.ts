// What a worker tells the controller for the metrics, and how the controller checks it. Workers need the types alone: what the checks are made
// with would delay their start.

import { z } from 'zod';

const timings = z.object({
  /** Class of duration → how often; the classes are those of timings.ts. */
  classes: z.array(z.tuple([z.int().nonnegative(), z.int().positive()])),
  seconds: z.number(),
});

/** What was noted between two reports: how often which duration, and the sum. */
export type TimingsReport = z.infer<typeof timings>;

/** What was counted between two reports. */
export type CountsReport = z.infer<typeof countsReport>;
export const countsReport = z.object({
  web: z.int().nonnegative(),
  ws: z.int().nonnegative(),
  /** Status → how many answers had it. */
  answers: z.array(z.tuple([z.int().min(100).max(999), z.int().positive()])),
  lookUps: timings,
  updates: timings,
});

/** The metrics of one process, as prom-client calls them. A value that is no number is null. */
export type ProcessMetrics = z.infer<typeof processMetrics>;
export const processMetrics = z.array(
  z.object({
    name: z.string(),
    help: z.string(),
    type: z.string(),
    aggregator: z.string(),
    values: z.array(
      z.object({
        value: z.number().nullable(),
        labels: z.record(z.string(), z.union([z.string(), z.number(), z.undefined()])),
        metricName: z.string().optional(),
      }),
    ),
  }),
);
