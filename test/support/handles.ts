// Fails a test file in which something is left open: after each test every TCP socket and server of the process must be gone, those of the
// proxy included. Importing this module is enough.

import { after, beforeEach } from 'node:test';

const DEADLINE_MS = 20_000;

let isWatching = true;
let running = 'the setup of the file';

/** For files whose tests share servers, which their suite closes. */
export function shareHandles(): void {
  isWatching = false;
}

function openHandles(): string[] {
  return process.getActiveResourcesInfo().filter((kind) => kind.startsWith('TCP'));
}

/** Closing takes a few turns of the event loop; what is still there long after is a leak. */
async function assertNothingLeft(whose: string): Promise<void> {
  const end = Date.now() + DEADLINE_MS;
  while (isWatching && openHandles().length > 0) {
    if (Date.now() > end) throw new Error(`"${whose}" left open: ${openHandles().join(', ')}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

// `t.after` functions, which close things, run after `afterEach`: so the next test looks after the one before it.
beforeEach(async (context) => {
  const before = running;
  running = 'name' in context ? context.name : 'a test';
  await assertNothingLeft(before);
});

after(async () => {
  await assertNothingLeft(running);
});
