/** `postilion bounce rules check`: what is wrong with the bounce rules, those of the settings or those of a file as if it were the operator's. */
import { EXIT } from "../base/exit.ts";
import { inspectBounceRules, problemText } from "../config/bounce-rules-file.ts";
import { loadSettings } from "../config/load.ts";

/** Prints it; the exit code: 1 when something is wrong, doubts alone are 0. Faults: SETTINGS_*. */
export function bounceRulesCheck(config: string | undefined, file: string | undefined, json: boolean): number {
  const { dataDir, inmail } = loadSettings(config, process.env);
  const { table, checked, problems } = inspectBounceRules(
    { dataDir, inmail: { rulesFile: file ?? inmail.rulesFile } },
    true,
  );
  if (json) console.log(JSON.stringify({ ok: table !== null, checked, version: table?.version ?? "", problems }));
  else {
    for (const problem of problems) console.log(`${problem.severity.padEnd(7)}  ${problemText(problem)}`);
    const version = table === null ? "not in force" : `version ${table.version}`;
    console.log(`${checked} bounce rules checked, ${version}${problems.length === 0 ? ": nothing is wrong" : ""}`);
  }
  return table === null ? EXIT.fault : EXIT.ok;
}
