// What Node and the operating system tell about one process, under the names that prom-client gives it. The library is only loaded where
// metrics are asked for.

import { z } from 'zod';

/** The metrics of one process, as they are told to another one. A value that is no number arrives as null. */
export const processMetrics = z.array(
  z.object({
    name: z.string(),
    help: z.string(),
    type: z.string(),
    aggregator: z.string(),
    values: z.array(
      z.object({
        value: z.number().nullable(),
        labels: z.record(z.string(), z.union([z.string(), z.number()])),
        metricName: z.string().optional(),
      }),
    ),
  }),
);
export type ProcessMetrics = z.infer<typeof processMetrics>;

/** Begins to watch this process; what is returned reads it. */
export async function watchProcess(): Promise<() => Promise<ProcessMetrics>> {
  const { collectDefaultMetrics, Registry } = await import('prom-client');
  const register = new Registry();
  collectDefaultMetrics({ register });
  return async () => processMetrics.parse(JSON.parse(JSON.stringify(await register.getMetricsAsJSON())));
}
