// What the entry points of one worker have refused since somebody was told last.

import type { EntryPoint } from '../entrypoint/entry-point.ts';
import type { RefusedReport } from '../observe/reports.ts';

const REASONS = ['address', 'entrypoint', 'descriptors'] as const;

/** Turns counts that only grow into differences. */
export class RefusalReporter {
  readonly #entryPoints: readonly Pick<EntryPoint, 'name' | 'refused'>[];
  readonly #told = new Map<string, number>();

  constructor(entryPoints: readonly Pick<EntryPoint, 'name' | 'refused'>[]) {
    this.#entryPoints = entryPoints;
  }

  /** Undefined when nothing was refused since the last call. */
  take(): RefusedReport | undefined {
    const report: RefusedReport = [];
    for (const { name, refused } of this.#entryPoints)
      for (const reason of REASONS) {
        const key = `${name}\0${reason}`;
        const more = refused[reason] - (this.#told.get(key) ?? 0);
        if (more === 0) continue;
        this.#told.set(key, refused[reason]);
        report.push([name, reason, more]);
      }
    return report.length === 0 ? undefined : report;
  }
}
