// A small file in which a controller keeps for its successor what routes do not depend on: losing it is told and borne.

import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import type * as z from 'zod';
import { errnoOf, errorText } from '../errors.ts';
import type { Logger } from '../log.ts';

/** What one is made of. */
export interface StateFileOptions<T> {
  readonly file: string;
  readonly schema: z.ZodType<T>;
  readonly log: Logger;
  /** What it means that the file cannot be read, or written; for the log. */
  readonly unreadable: string;
  readonly unwritable: string;
}

/** One file, mode 0600, replaced as a whole. */
export class StateFile<T> {
  readonly #options: StateFileOptions<T>;
  #hasFailed = false;

  constructor(options: StateFileOptions<T>) {
    this.#options = options;
  }

  /** Undefined when there is none yet, or, with a warning, when it cannot be used. */
  load(): T | undefined {
    const { file, schema, log, unreadable } = this.#options;
    try {
      return schema.parse(JSON.parse(readFileSync(file, 'utf8')));
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') log.warn({ file, reason: errorText(error) }, unreadable);
      return undefined;
    }
  }

  /** False when it failed, which is logged once until it succeeds again. */
  save(state: T): boolean {
    const { file, log, unwritable } = this.#options;
    try {
      writeFileSync(`${file}.new`, `${JSON.stringify(state)}\n`, { mode: 0o600 });
      renameSync(`${file}.new`, file);
      this.#hasFailed = false;
      return true;
    } catch (error) {
      if (!this.#hasFailed) log.warn({ file, reason: errorText(error) }, unwritable);
      this.#hasFailed = true;
      return false;
    }
  }
}
