// What a worker tells the controller for the metrics, and how the controller checks it. Workers need the types alone: what the checks are made
// with would delay their start.

import * as z from 'zod';

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

const labels = {
  status: z.int().nonnegative(),
  method: z.string(),
  protocol: z.string(),
};
const amount = z.number().nonnegative();

/** What was counted between two reports about entry points, routers and services: one entry for each that had anything to do. */
export type TrafficReport = z.infer<typeof trafficReport>;
export const trafficReport = z.array(
  z.object({
    kind: z.enum(['entrypoint', 'router', 'service']),
    /** As Traefik's labels have it. */
    name: z.string(),
    /** Of a router: the service that it leads to. */
    service: z.string().optional(),
    series: z.array(
      z.object({
        ...labels,
        count: z.int().positive(),
        seconds: amount,
        requestBytes: amount,
        responseBytes: amount,
        /** How many durations are in each class, the last one for what is longer than all bounds. */
        classes: z.array(z.int().nonnegative()),
      }),
    ),
    /** Requests by the values of the headers that tell them apart; empty where there are none. */
    headers: z.array(z.object({ ...labels, values: z.array(z.string()), count: z.int().positive() })),
    /** Version and cipher suite of TLS → requests. */
    handshakes: z.array(z.tuple([z.string(), z.int().positive()])),
  }),
);

/** Connections that were refused between two reports: entry point, which limit it was, and how many. */
export type RefusedReport = z.infer<typeof refusedReport>;
export const refusedReport = z.array(
  z.tuple([z.string(), z.enum(['address', 'entrypoint', 'descriptors']), z.int().positive()]),
);

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
