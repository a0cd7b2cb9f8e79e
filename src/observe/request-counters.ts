// What one worker has counted: requests, the statuses of their answers, how long it took to find their routes and to note that these were
// used. Counting is an addition; once a second, and whenever the metrics are read, what has come together goes to the controller.

import type { CountsReport } from './reports.ts';
import { Timings } from './timings.ts';

const MAX_STATUS = 999;

/** The counters of one worker. */
export class RequestCounters {
  /** Requests, and those that ask for another protocol. */
  web = 0;
  ws = 0;
  readonly lookUps = new Timings();
  /** Of the clocks that tell when a route was used. */
  readonly updates = new Timings();
  readonly #answers = new Float64Array(MAX_STATUS + 1);

  /** An answer of a server, or of our own in its place. */
  answered(status: number): void {
    this.#answers[status] = (this.#answers[status] ?? 0) + 1;
  }

  /** What has been counted since the last call; undefined when that is nothing. */
  take(): CountsReport | undefined {
    const answers: [number, number][] = [];
    for (let status = 100; status <= MAX_STATUS; status++) {
      const count = this.#answers[status] ?? 0;
      if (count > 0) answers.push([status, count]);
    }
    const { web, ws, lookUps, updates } = this;
    if (web + ws + answers.length + updates.count === 0) return undefined;
    const report = { web, ws, answers, lookUps: lookUps.take(), updates: updates.take() };
    this.web = 0;
    this.ws = 0;
    this.#answers.fill(0);
    return report;
  }
}
