/**
 * The order of test files: whole processes and real receivers first, because they wait the longest, then the rest as vitest would have it
 * (what took long the last time, else the larger file). A long one that began last would run alone while the other workers have nothing to do.
 */
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Beginnings of paths, those that take longest first. A new file that takes more than ten seconds is added. */
const LONG = [
  "test/appliance/three-hosts",
  "test/appliance/kill",
  "test/appliance/",
  "test/interop/",
  "test/browser/",
  "test/watchdog/start",
  "test/db/embedded",
  "test/demo/demo",
  "test/cli/main",
  "test/stat/server-killed",
  "test/workflow/source",
  "test/mta/mta.test",
];

function rank(path: string): number {
  const at = LONG.findIndex((beginning) => path.includes(`/${beginning}`));
  return at < 0 ? LONG.length : at;
}

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const usual = await super.sort(files);
    return usual.toSorted((a, b) => rank(a.moduleId) - rank(b.moduleId));
  }
}
