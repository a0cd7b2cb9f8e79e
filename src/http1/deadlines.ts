// All time limits of one worker on one coarse timer: setting a limit is one assignment to a number, and no request ever creates a
// timer of its own. Limits are late by up to one sweep.

/** Something with a time limit. */
export interface Timed {
  /** On the scale of `Deadlines.now`; 0 = no limit at the moment. */
  deadline: number;
  /** Called by the sweep after the limit has passed; `deadline` is 0 by then. */
  onDeadline(): void;
}

/** How often limits are looked at, in milliseconds. */
export const SWEEP_MS = 500;

/** The sweep over everything timed. */
export class Deadlines {
  /** Milliseconds of a monotonic clock, refreshed by each sweep: cheap to read, up to SWEEP_MS old. */
  now = performance.now();
  readonly #timed = new Set<Timed>();
  readonly #timer: NodeJS.Timeout;

  constructor() {
    this.#timer = setInterval(() => {
      this.#sweep();
    }, SWEEP_MS);
    this.#timer.unref();
  }

  add(timed: Timed): void {
    this.#timed.add(timed);
  }

  delete(timed: Timed): void {
    this.#timed.delete(timed);
  }

  /** How many things are watched; the leak tests read it. */
  get size(): number {
    return this.#timed.size;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #sweep(): void {
    // What was set since the last sweep counts from that one's clock: compared with today's, it would be over before its time.
    const due = this.now;
    this.now = performance.now();
    for (const timed of this.#timed) {
      if (timed.deadline === 0 || timed.deadline > due) continue;
      timed.deadline = 0;
      timed.onDeadline();
    }
  }
}
