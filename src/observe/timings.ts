// How long something takes, as counts of durations in classes that are an eighth of a power of two wide: noting one costs a few additions,
// and what several processes have noted can be added up, which quantiles cannot.

import type { TimingsReport } from './reports.ts';

/** Longer durations, in ns, count as this: a second. */
const MAX_NS = 2 ** 30 - 1;
const CLASSES = 28 * 8;

/** The durations of one kind of work. */
export class Timings {
  readonly #counts = new Float64Array(CLASSES);
  #count = 0;
  #ms = 0;

  get count(): number {
    return this.#count;
  }

  /** The sum of all durations. */
  get seconds(): number {
    return this.#ms / 1000;
  }

  note(ms: number): void {
    const index = classOf(ms * 1e6);
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#count++;
    this.#ms += ms;
  }

  /** The duration in seconds that this share of all does not exceed, to an eighth; 0 without any. */
  quantile(share: number): number {
    const rank = share * this.#count;
    let passed = 0;
    for (let index = 0; index < CLASSES; index++) {
      const count = this.#counts[index] ?? 0;
      passed += count;
      if (count > 0 && passed >= rank) return middleOf(index) / 1e9;
    }
    return 0;
  }

  /** What has been noted since the last call. */
  take(): TimingsReport {
    const classes: [number, number][] = [];
    for (let index = 0; index < CLASSES; index++) {
      const count = this.#counts[index] ?? 0;
      if (count > 0) classes.push([index, count]);
    }
    const { seconds } = this;
    this.#counts.fill(0);
    this.#count = 0;
    this.#ms = 0;
    return { classes, seconds };
  }

  /** Adds what somebody else has noted. */
  add({ classes, seconds }: TimingsReport): void {
    for (const [index, count] of classes) {
      if (index >= CLASSES) continue;
      this.#counts[index] = (this.#counts[index] ?? 0) + count;
      this.#count += count;
    }
    this.#ms += seconds * 1000;
  }
}

/** Eight classes from one power of two to the next. */
function classOf(ns: number): number {
  const whole = ns > MAX_NS ? MAX_NS : ns | 0;
  if (whole < 8) return whole < 0 ? 0 : whole;
  const power = 31 - Math.clz32(whole);
  return (power - 2) * 8 + ((whole >>> (power - 3)) & 7);
}

/** In ns. */
function middleOf(index: number): number {
  if (index < 8) return index;
  const power = (index >>> 3) + 2;
  const width = 2 ** (power - 3);
  return (8 + (index & 7)) * width + width / 2;
}
