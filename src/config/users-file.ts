/** The lines of a users file; comments and blank lines are skipped. */
export function parseUsersFile(text: string): string[] {
  return text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}
