import { defineConfig } from "vitest/config";
import { LongestFirst } from "./test/support/longest-first.ts";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/support/global.ts"],
    sequence: { sequencer: LongestFirst },
    // Files share two cores with PostgreSQL and the processes they start, and wait for these much of the time.
    maxWorkers: 3,
    // A worker takes one file after the other: a new one for each took a fifth to a third more CPU. test/house.test.ts sees to what that asks of files.
    isolate: false,
    // Longer than until() waits, which says for what.
    testTimeout: 60_000,
    hookTimeout: 90_000,
    reporters: ["default"],
  },
});
