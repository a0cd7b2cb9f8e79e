// What Node and the operating system tell about one process, under the names that prom-client gives it. The library is only loaded where
// metrics are asked for.

import type { ProcessMetrics } from './reports.ts';

/** Begins to watch this process; what is returned reads it. */
export async function watchProcess(): Promise<() => Promise<ProcessMetrics>> {
  const { collectDefaultMetrics, Registry } = await import('prom-client');
  const register = new Registry();
  collectDefaultMetrics({ register });
  return async () => {
    const metrics = await register.getMetricsAsJSON();
    return metrics.map(({ name, help, type, aggregator, values }) => ({
      name,
      help,
      type: String(type),
      aggregator,
      // With the names of sums and counts, which the declared type leaves out.
      values: values.map((sample) => ({
        ...sample,
        value: Number.isFinite(sample.value) ? sample.value : null,
      })),
    }));
  };
}
