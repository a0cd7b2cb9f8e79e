// What Node and the operating system tell about one process, under the names that prom-client gives it. The library is only loaded where
// metrics are asked for.

import type * as Prometheus from 'prom-client';
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

/** What all these processes tell about themselves as one text: times and memory are added up, lags averaged. Own ones come first. */
export async function aggregateText(
  { AggregatorRegistry }: typeof Prometheus,
  [own = [], ...others]: readonly ProcessMetrics[],
): Promise<string> {
  const first = own.map((metric) =>
    // The start of the one process that is told about is better than none.
    metric.aggregator === 'omit' ? { ...metric, aggregator: 'first' } : metric,
  );
  return (await AggregatorRegistry.aggregate([first, ...others]).metrics()).trimEnd();
}
