// What one worker still has to be told. It is never sent more than it can work off in a moment, so that it comes to its requests in
// between, and a worker that stands still costs the controller no memory but the changes themselves.

import type { Socket } from 'node:net';
import { toLine } from './lines.ts';
import type { ControllerMessage } from './messages.ts';

/** So much is sent without an answer, or one message of any length. */
const WINDOW_BYTES = 128 * 1024;
/** To a worker that has no requests to come to. */
const WIDE_WINDOW_BYTES = 16 * 1024 * 1024;

/** A line that is made when somebody needs it first. */
export type Line = () => string;

/** The messages to one worker, in order. */
export class Outbox {
  readonly #socket: Socket;
  #waiting: Line[] = [];
  /** The lengths of what has been sent and not answered. */
  #unanswered: number[] = [];
  #unansweredBytes = 0;
  #lastProgressAt = 0;
  #windowBytes = WINDOW_BYTES;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** A message as a line that all workers share. */
  static once(message: () => ControllerMessage): Line {
    let line: string | undefined;
    return () => (line ??= toLine(message()));
  }

  /** The same for several. */
  static linesOf(messages: readonly (() => ControllerMessage)[]): readonly Line[] {
    return messages.map((message) => Outbox.once(message));
  }

  send(lines: readonly Line[]): void {
    if (this.#waiting.length > 0) {
      this.#waiting.push(...lines);
      return;
    }
    let sent = 0;
    for (const line of lines) {
      if (!this.#hasRoom()) break;
      this.#write(line());
      sent++;
    }
    if (sent < lines.length) this.#waiting = lines.slice(sent);
  }

  /** The worker has answered the oldest message. */
  onAnswer(): void {
    this.#unansweredBytes -= this.#unanswered.shift() ?? 0;
    this.#lastProgressAt = performance.now();
    while (this.#waiting.length > 0 && this.#hasRoom()) this.#write(this.#waiting.shift()?.() ?? '');
  }

  /** The worker has no table yet, so it serves nobody and may be given all at once; it has one when `isBusy`. */
  setBusy(isBusy: boolean): void {
    this.#windowBytes = isBusy ? WINDOW_BYTES : WIDE_WINDOW_BYTES;
  }

  /** Since when nothing has been heard although something should have been; Infinity when nothing is missing. */
  get unansweredSince(): number {
    return this.#unanswered.length === 0 ? Infinity : this.#lastProgressAt;
  }

  /** We were not listening for so long ourselves. */
  excuse(ms: number): void {
    this.#lastProgressAt += ms;
  }

  #hasRoom(): boolean {
    return this.#unanswered.length === 0 || this.#unansweredBytes < this.#windowBytes;
  }

  #write(line: string): void {
    if (this.#unanswered.length === 0) this.#lastProgressAt = performance.now();
    this.#unanswered.push(line.length);
    this.#unansweredBytes += line.length;
    this.#socket.write(line);
  }
}
