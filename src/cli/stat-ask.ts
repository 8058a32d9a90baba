/** Asks the statistics servers of the settings, for commands that work without an answer too. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../base/clock.ts";
import { told } from "../base/exit.ts";
import { statPlace } from "../config/stat-place.ts";
import { loadStatSecret } from "../config/stat-secret.ts";
import type { Settings } from "../config/settings.ts";
import { askStat } from "../quota/link/ask.ts";
import { harmless } from "../model/harmless.ts";
import type { QueryName } from "../quota/messages.ts";

/** The answer's data, or why there is none. Never rejects. */
export type Ask = (
  what: QueryName,
  args: Readonly<Record<string, unknown>>,
) => Promise<{ readonly data: unknown } | { readonly why: string }>;

const TIMEOUT_MS = 3000;

export function askOf(settings: Settings, timeoutMs: number = TIMEOUT_MS): Ask {
  const { stat, dataDir } = settings;
  return async (what, args) => {
    try {
      // A command makes no secret: it may run as another user than the server, who could not read it then.
      if (stat.secretFile === "" && !existsSync(join(dataDir, "keys/stat.secret")))
        return {
          why: `no statistics server has run with this dataDir (${dataDir}), and stat.secretFile names no secret`,
        };
      const options = {
        ...statPlace(stat),
        secret: loadStatSecret(settings),
        clock: systemClock,
        name: "command",
      };
      return { data: await askStat(options, what, args, timeoutMs) };
    } catch (error) {
      return { why: told(error) };
    }
  };
}

const MOST_LINES = 200;

/** The answer, taken for what the question is answered with (quota/answers.ts); or why there is none, in lines that are harmless. `refused`: a server said so. */
export async function asked<T>(
  ask: Ask,
  what: QueryName,
  args: Readonly<Record<string, unknown>>,
): Promise<{ readonly data: T } | { readonly why: string; readonly refused: boolean }> {
  const result = await ask(what, args);
  if ("why" in result) return { why: result.why, refused: false };
  const refused = (result.data as { readonly error?: unknown } | null)?.error;
  if (refused === undefined) return { data: result.data as T };
  // Everything that is wrong with a file of rules comes line by line.
  const lines = String(refused).split("\n").slice(0, MOST_LINES);
  const clean = lines.map((line) => harmless(line, 2000)).filter((line) => line !== "");
  return { why: clean.join("\n  "), refused: true };
}
