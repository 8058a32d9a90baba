/**
 * The secret that the machines and the statistics servers share. One that nobody named is made at the first start, which is all a single
 * machine needs; of several machines each would make its own, so a file that is named in the settings must be there.
 */
import { randomBytes } from "node:crypto";
import { linkSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { Fault } from "../base/faults.ts";
import { type Log, silentLog } from "../base/log.ts";
import { makePrivateFolder } from "./keys.ts";
import type { Settings } from "./settings.ts";

/** Shorter ones can be guessed from one overheard handshake. */
const LEAST_CHARACTERS = 32;

/**
 * The text of `stat.secretFile`, or of keys/stat.secret under dataDir (made, mode 0600, when it is not there; of several processes that do
 * so at once one wins and all use its secret). Spaces around it do not count. Faults: KEY_UNREADABLE.
 */
export function loadStatSecret(settings: Pick<Settings, "dataDir" | "stat">, log: Log = silentLog): Buffer {
  const named = settings.stat.secretFile;
  const file = named || `${settings.dataDir}/keys/stat.secret`;
  const text = read(file, log) ?? (named === "" ? make(file, settings.dataDir) : null);
  if (text === null)
    throw new Fault("KEY_UNREADABLE", `${file} (stat.secretFile) is not there; copy it from the machine that has it`);
  const secret = Buffer.from(text.trim(), "utf8");
  if (secret.length < LEAST_CHARACTERS)
    throw new Fault("KEY_UNREADABLE", `${file}: a secret has at least ${LEAST_CHARACTERS} characters`);
  return secret;
}

function make(file: string, dataDir: string): string {
  const fresh = `${file}.new-${process.pid}`;
  try {
    makePrivateFolder(dirname(file), dataDir);
    writeFileSync(fresh, `${randomBytes(32).toString("base64url")}\n`, { mode: 0o600 });
    // A link fails when the name is taken, and appears with all its content or not at all.
    linkSync(fresh, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST")
      throw new Fault("KEY_UNREADABLE", `${file} cannot be made: ${(error as Error).message}`, error);
  } finally {
    rmSync(fresh, { force: true });
  }
  return readFileSync(file, "utf8");
}

function read(file: string, log: Log): string | null {
  try {
    const text = readFileSync(file, "utf8");
    const mode = statSync(file).mode & 0o777;
    if ((mode & 0o077) !== 0)
      log.warn({ file, mode: mode.toString(8) }, "key file can be read by other users; chmod 600 it");
    return text;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw new Fault("KEY_UNREADABLE", `${file}: ${(error as Error).message}`, error);
  }
}
