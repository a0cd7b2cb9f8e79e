// Lines on standard output for tests that run for minutes: what is about to happen, and how far it has come.

const EVERY_MS = 10_000;

/** Says `what` at once, and then, every ten seconds, how much of `total` is done when it is told. */
export class Progress {
  readonly #total: number;
  readonly #unit: string;
  readonly #startedAt = performance.now();
  #saidAt = performance.now();

  constructor(what: string, total: number, unit: string) {
    this.#total = total;
    this.#unit = unit;
    process.stdout.write(`${what}\n`);
  }

  tell(done: number): void {
    const now = performance.now();
    if (now - this.#saidAt < EVERY_MS && done < this.#total) return;
    this.#saidAt = now;
    const seconds = Math.round((now - this.#startedAt) / 1000);
    process.stdout.write(
      `  ${String(done)} of ${String(this.#total)} ${this.#unit} after ${String(seconds)} s\n`,
    );
  }
}
