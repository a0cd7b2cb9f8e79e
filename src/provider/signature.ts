// Whether files have changed, for those who look instead of waiting for events.

import { statSync } from 'node:fs';

/** A text that is another one when one of the files has been written, replaced, made or removed. */
export function signatureOf(files: readonly string[]): string {
  return files
    .map((file) => {
      const found = statSync(file, { throwIfNoEntry: false });
      return found === undefined
        ? `${file} -`
        : `${file} ${String(found.ino)} ${String(found.size)} ${String(found.mtimeMs)}`;
    })
    .join('\n');
}
