import { defineConfig } from "vitest/config";
import { LongestFirst } from "./test/support/longest-first.ts";

/** Tables of input and output: nothing of a process is changed, so a worker takes one file after the other. */
const PURE = ["base", "bench", "config", "http", "model", "render", "smtp"].map((name) => `test/${name}/**/*.test.ts`);

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    // Files share two cores with PostgreSQL and the processes they start, and wait for these most of the time.
    maxWorkers: 3,
    // Longer than until() waits, which says for what.
    testTimeout: 60_000,
    hookTimeout: 90_000,
    reporters: ["default"],
    projects: [
      { extends: true, test: { name: "pure", include: PURE, isolate: false } },
      {
        extends: true,
        test: { name: "whole", include: ["test/**/*.test.ts"], exclude: PURE, globalSetup: ["test/support/global.ts"] },
      },
    ],
  },
});
