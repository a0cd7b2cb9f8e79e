import { DEADLINE_MS } from './sockets.ts';

/** Asks again and again until it is so; `what` is for the error. */
export async function until(
  isMet: () => boolean | Promise<boolean>,
  what: string,
  ms = DEADLINE_MS,
): Promise<void> {
  const deadline = Date.now() + ms;
  while (!(await isMet())) {
    if (Date.now() > deadline) throw new Error(`waited too long for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
