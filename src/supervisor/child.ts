// A child's side of its life: it is started by a message, leaves signals to the supervisor, and ends when that is gone.

import { errorText } from '../errors.ts';

/** Runs a child process: says hello, hands every message to `onMessage`, exits with the supervisor. */
export function runChild(title: string, onMessage: (message: unknown) => Promise<void> | void): void {
  process.title = title;
  // A terminal sends them to the whole group; the supervisor decides what they mean.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
  process.on('disconnect', () => process.exit(0));
  tolerateClosedOutput();
  process.on('message', (message) => {
    Promise.resolve(onMessage(message)).catch((error: unknown) => {
      tell({ type: 'failed', message: errorText(error) });
    });
  });
  tell({ type: 'hello' });
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
