// A child's side of its life: it is started by a message, leaves signals to the supervisor, and ends when that is gone.

import { errorText } from '../errors.ts';

const ALIVE_MS = 1000;

/** What a child does. */
export interface Child {
  readonly title: string;
  /** `handle`: a socket that came with the message. */
  readonly onMessage: (message: unknown, handle: unknown) => Promise<void> | void;
  /** Told to the supervisor once a second, beside that the process is alive. */
  readonly status?: () => object;
}

/** Runs a child process: says hello, hands every message to `onMessage`, exits with the supervisor. */
export function runChild({ title, onMessage, status }: Child): void {
  process.title = title;
  // A terminal sends them to the whole group; the supervisor decides what they mean.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
  process.on('disconnect', () => process.exit(0));
  tolerateClosedOutput();
  process.on('message', (message, handle) => {
    void answer(() => onMessage(message, handle));
  });
  setInterval(() => {
    tell({ type: 'alive', ...status?.() });
  }, ALIVE_MS).unref();
  tell({ type: 'hello' });
}

async function answer(work: () => Promise<void> | void): Promise<void> {
  try {
    await work();
  } catch (error) {
    tell({ type: 'failed', message: errorText(error) });
  }
}

/** To the supervisor. */
export function tell(message: object): void {
  if (process.connected) process.send?.(message);
}

/** Whoever read our output may be gone; that is no reason to stop serving. */
export function tolerateClosedOutput(): void {
  process.stdout.on('error', () => undefined);
  process.stderr.on('error', () => undefined);
}
