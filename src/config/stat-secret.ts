/** The secret that the machines and the statistics servers share. */
import { type Log, silentLog } from "../base/log.ts";
import { loadSecretFile } from "./secret-file.ts";
import type { Settings } from "./settings.ts";

/** The text of `stat.secretFile`, or of keys/stat.secret under dataDir. Faults: KEY_UNREADABLE. */
export function loadStatSecret({ dataDir, stat }: Pick<Settings, "dataDir" | "stat">, log: Log = silentLog): Buffer {
  return loadSecretFile(
    { named: stat.secretFile, fallback: "keys/stat.secret", setting: "stat.secretFile", dataDir },
    log,
  );
}
