/** The bounce rules that come along, read once a test file. */
import { readFileSync } from "node:fs";
import { SHIPPED_BOUNCES, readBounceRules } from "../../src/config/bounce-rules-file.ts";
import type { BounceTable } from "../../src/model/bounce-rules.ts";

let table: BounceTable | null = null;

export function shippedBounces(): BounceTable {
  if (table === null) {
    const read = readBounceRules([{ name: "bounces.yaml", text: readFileSync(SHIPPED_BOUNCES, "utf8") }]);
    table = read.table;
    if (table === null) throw new Error(JSON.stringify(read.problems, null, 2));
  }
  return table;
}
