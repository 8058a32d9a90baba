/** Asks the statistics servers of the settings, for commands that work without an answer too. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../base/clock.ts";
import { told } from "../base/exit.ts";
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
        addresses: stat.addresses.length > 0 ? stat.addresses : [ownAddress(stat.host, stat.port)],
        secret: loadStatSecret(settings),
        tls: linkTls(stat.tls),
        clock: systemClock,
        name: "command",
      };
      return { data: await askStat(options, what, args, TIMEOUT_MS) };
    } catch (error) {
      return { why: told(error) };
    }
  };
}

/** Where the server of this machine is reached: one that listens everywhere, on loopback. */
function ownAddress(host: string, port: number): string {
  if (host === "0.0.0.0" || host === "") return `127.0.0.1:${port}`;
  if (host === "::") return `[::1]:${port}`;
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function linkTls({ certFile, caFile }: Settings["stat"]["tls"]): { readonly ca: string | null } | null {
  if (certFile === "" && caFile === "") return null;
  return { ca: caFile === "" ? null : readFileSync(caFile, "utf8") };
}
