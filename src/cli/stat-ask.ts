/** Asks the statistics servers of the settings, for commands that work without an answer too. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../base/clock.ts";
import { told } from "../base/exit.ts";
import { statPlace } from "../config/stat-place.ts";
import { loadStatSecret } from "../config/stat-secret.ts";
import type { Settings } from "../config/settings.ts";
import { askStat } from "../quota/link/ask.ts";
import type { QueryName } from "../quota/messages.ts";

/** The answer's data, or why there is none. Never rejects. */
export type Ask = (
  what: QueryName,
  args: Readonly<Record<string, unknown>>,
) => Promise<{ readonly data: unknown } | { readonly why: string }>;

const TIMEOUT_MS = 3000;

export function askOf(settings: Settings): Ask {
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
      return { data: await askStat(options, what, args, TIMEOUT_MS) };
    } catch (error) {
      return { why: told(error) };
    }
  };
}
