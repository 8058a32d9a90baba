/**
 * A secret that several machines share, in a file. One that nobody named is made at the first start, which is all a single machine needs; of several
 * machines each would make its own, so a file that is named in the settings must be there.
 */
import { randomBytes } from "node:crypto";
import { linkSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { Fault } from "../base/faults.ts";
import type { Log } from "../base/log.ts";
import { makePrivateFolder } from "./keys.ts";

/** Shorter ones can be guessed from one overheard handshake. */
const LEAST_CHARACTERS = 32;

export interface SecretFile {
  /** '' for the default. */
  readonly named: string;
  /** Its name below dataDir. */
  readonly fallback: string;
  /** What the setting is called. */
  readonly setting: string;
  readonly dataDir: string;
}

/**
 * The text of the file; the default one is made, mode 0600, when it is not there (of several processes that do so at once one wins and all use
 * its secret). Spaces around it do not count. Faults: KEY_UNREADABLE.
 */
export function loadSecretFile({ named, fallback, setting, dataDir }: SecretFile, log: Log): Buffer {
  const file = named || `${dataDir}/${fallback}`;
  const text = read(file, log) ?? (named === "" ? make(file, dataDir) : null);
  if (text === null)
    throw new Fault("KEY_UNREADABLE", `${file} (${setting}) is not there; copy it from the machine that has it`);
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
