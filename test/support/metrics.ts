// Metrics in Prometheus' text format, read as far as tests need it.

/** Name → type, and sample with its labels → value. */
export interface ReadMetrics {
  readonly types: ReadonlyMap<string, string>;
  readonly samples: ReadonlyMap<string, number>;
}

/** Throws on a line that is neither a comment nor a sample. */
export function readMetrics(text: string): ReadMetrics {
  const types = new Map<string, string>();
  const samples = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [, name = '', type = ''] = /^# TYPE (\S+) (\S+)$/.exec(line) ?? [];
    if (name !== '') types.set(name, type);
    if (line === '' || line.startsWith('#')) continue;
    const [, sample = '', value = ''] = /^([a-zA-Z_0-9]+(?:\{.*\})?) (\S+)$/.exec(line) ?? [];
    if (sample === '') throw new Error(`this is no sample: ${line}`);
    samples.set(sample, Number(value));
  }
  return { types, samples };
}
