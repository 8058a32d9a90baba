/** The command line was not understood: told without a stack, exit code 2. */
export class UsageError extends Error {}
