import { defineConfig } from "vitest/config";
import { LongestFirst } from "./test/support/longest-first.ts";

/** What starts whole processes, and what is about the process itself: each file has a worker of its own. The others take turns in one. */
const ALONE = ["appliance", "interop", "demo", "watchdog", "browser"].map((name) => `test/${name}/**/*.test.ts`);
ALONE.push("test/service.test.ts");

const common = {
  // Longer than until() waits, which says for what.
  testTimeout: 60_000,
  hookTimeout: 90_000,
};

export default defineConfig({
  test: {
    globalSetup: ["test/support/global.ts"],
    sequence: { sequencer: LongestFirst },
    // Files share two cores with PostgreSQL and the processes they start, and wait for these most of the time.
    maxWorkers: 3,
    reporters: ["default"],
    projects: [
      { test: { ...common, name: "alone", include: ALONE } },
      { test: { ...common, name: "shared", include: ["test/**/*.test.ts"], exclude: ALONE, isolate: false } },
    ],
  },
});
