// Connections that were refused, and what the log says about them: at most one line a minute.

import type { Logger } from '../log.ts';

const SAID_MS = 60_000;

/** Counts what one limit refuses. */
export class Refusals {
  readonly #say: (refused: number) => void;
  #count = 0;
  #saidAt = -Infinity;

  /** `fields` and `message` for the log, with the number of those refused so far. */
  constructor(log: Logger, fields: Readonly<Record<string, unknown>>, message: string) {
    this.#say = (refused) => {
      log.warn({ ...fields, refused }, message);
    };
  }

  /** How many so far. */
  get count(): number {
    return this.#count;
  }

  /** One more. */
  note(): void {
    this.#count++;
    const now = performance.now();
    if (now - this.#saidAt < SAID_MS) return;
    this.#saidAt = now;
    this.#say(this.#count);
  }
}
