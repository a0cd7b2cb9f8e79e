// The command line: which command to run, by the first argument or by the name the program was started under.

/** Runs the program; `argv` as in `process.argv`. */
export async function main(argv: readonly string[]): Promise<void> {
  await Promise.resolve(argv);
}
