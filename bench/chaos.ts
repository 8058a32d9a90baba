/**
 * kill -9 of the mta at random moments, again and again, in one delivery; then every accepted recipient is looked for at the sink. The
 * oracle: nothing lost, and a message that came twice is one the ledger had recorded in doubt. With policy `hold`: nothing comes twice at all.
 *
 *     npm run bench -- chaos [--recipients 20000] [--kills 20] [--seed 1]
 */
import { chaosRun } from "../test/support/chaos.ts";
import type { BenchOptions } from "./bench.ts";
import { printTable } from "./table.ts";

export async function chaos(options: BenchOptions): Promise<Record<string, unknown>> {
  const recipients = Number(options.values["recipients"] ?? 20_000);
  const kills = Number(options.values["kills"] ?? 20);
  const seed = Number(options.values["seed"] ?? 1);
  const rows: (string | number)[][] = [];
  const result: Record<string, unknown> = { recipients, kills, seed };
  for (const inDoubt of ["retry", "hold"] as const) {
    const run = await chaosRun({ recipients, kills, seed, inDoubt });
    rows.push([inDoubt, run.kills, run.sent, run.inDoubt, run.lost, run.duplicates, run.unexplained]);
    result[inDoubt] = run;
    if (run.lost > 0 || run.unexplained > 0 || (inDoubt === "hold" && run.duplicates > 0)) process.exitCode = 1;
  }
  printTable(["policy", "kills", "sent", "recorded in doubt", "lost", "came twice", "came twice, unexplained"], rows);
  return result;
}
