/**
 * `postilion stat reload`: has all statistics servers read their rules, and the settings that may change while they run. Exit code 0 when those
 * that said something go by what they read, 1 when one does not, or none answers.
 */
import { EXIT } from "../base/exit.ts";
import { loadSettings } from "../config/load.ts";
import { harmless } from "../model/harmless.ts";
import type { ReloadAnswer } from "../quota/answers.ts";
import { asked, askOf } from "./stat-ask.ts";

/** The server that is asked gives the others a moment first (stat/reload.ts). */
const TIMEOUT_MS = 8_000;

/** Prints what came of it; the exit code. Faults: SETTINGS_*. */
export async function statReload(config: string | undefined, json: boolean): Promise<number> {
  const found = await asked<ReloadAnswer>(askOf(loadSettings(config, process.env), TIMEOUT_MS), "reload", {});
  if ("why" in found) {
    console.error(`postilion: ${found.refused ? "nothing has changed: " : ""}${found.why}`);
    return EXIT.fault;
  }
  console.log(json ? JSON.stringify(found.data) : reloadedText(found.data));
  return found.data.others.some(({ problem }) => problem !== "") ? EXIT.fault : EXIT.ok;
}

export function reloadedText(answer: ReloadAnswer): string {
  const { rules, replyRules, warmUps, warnings, restart, others, silent } = answer;
  const lines = [
    `Read again: ${counted(rules, "MX rule")}, ${counted(replyRules, "rule")} on replies, ${counted(warmUps, "warm-up plan")}. No counter was lost.`,
  ];
  for (const { server, problem, same } of others) lines.push(otherText(harmless(server, 255), problem, same));
  if (silent > 0)
    lines.push(
      `${counted(silent, "other server")} of stat.addresses said nothing in time; a server that was away reads when it is back.`,
    );
  if (restart.length > 0)
    lines.push(
      `Changed too, and not in force before Postilion is started again: ${harmless(restart.join(", "), 1000)}`,
    );
  for (const warning of warnings) lines.push(`warning: ${harmless(String(warning), 500)}`);
  return lines.join("\n");
}

function otherText(server: string, problem: string, same: boolean): string {
  if (problem !== "") return `${server} goes on with what it had: ${harmless(problem, 2000)}`;
  if (same) return `${server} has read the same.`;
  return `warning: ${server} has read something else: its files or settings are not those of the server that leads`;
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
