/** The quota of an mta process: a member of the statistics servers of the settings (quota/client.ts over quota/link.ts). */
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Settings } from "../config/settings.ts";
import { statPlace } from "../config/stat-place.ts";
import { loadStatSecret } from "../config/stat-secret.ts";
import type { Traffic } from "../model/traffic.ts";
import { openAloneFile } from "../quota/alone-file.ts";
import { openQuotaClient } from "../quota/client.ts";
import { openTcpLink } from "../quota/link.ts";

/** @param member `machine/slot`. Faults: KEY_UNREADABLE. Until a server answers nothing is granted, and `hold` says so. */
export function openTraffic(settings: Settings, member: string, clock: Clock, log: Log): Traffic {
  const secret = loadStatSecret(settings, log);
  const link = openTcpLink({ ...statPlace(settings.stat), secret, member, clock, log });
  const note = openAloneFile(join(settings.dataDir, "quota", `${member.split("/").at(-1) ?? "0"}.alone`));
  return openQuotaClient({ clock, link, note, say: (text) => log.warn({ member }, text) });
}
