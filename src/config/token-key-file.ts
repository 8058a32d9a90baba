/**
 * The file of the token keys as `postilion keys` changes it: read whole, replaced whole. The new text is on disk before it takes the name of the old
 * one, which keeps its owner and mode: a running process reads one or the other, never half of one and never a file it may not read. Two who change it
 * at once exclude each other.
 */
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { Fault } from "../base/faults.ts";
import { parseTokenKeys } from "./keys.ts";

/** A key as the file has it. */
export interface KeptKey {
  readonly id: number;
  /** Base64. */
  readonly secret: string;
  /** RFC 3339, '' when the file does not say. */
  readonly madeAt: string;
  /** It verifies, and is to sign from the next rotation on: so it can be copied everywhere before anything is signed with it. */
  readonly prepared: boolean;
}

/** The keys, the signing one first; null when there is no file. Faults: KEY_UNREADABLE. */
export function readKeptKeys(file: string): readonly KeptKey[] | null {
  const text = textOf(file);
  if (text === null) return null;
  parseTokenKeys(file, text);
  const { keys } = JSON.parse(text) as { keys: readonly Partial<Record<keyof KeptKey, unknown>>[] };
  return keys.map(({ id, secret, madeAt, prepared }) => ({
    id: id as number,
    secret: secret as string,
    madeAt: typeof madeAt === "string" ? madeAt : "",
    prepared: prepared === true,
  }));
}

/**
 * Replaces the keys by what `change` makes of them; what `change` throws leaves them as they are. Faults: KEY_UNREADABLE, also when somebody
 * else is changing them.
 */
export function changeKeptKeys(
  file: string,
  change: (keys: readonly KeptKey[]) => readonly KeptKey[],
): readonly KeptKey[] {
  try {
    // A link stays a link.
    const real = realpathSync(file);
    const before = statSync(real);
    const fresh = `${real}.change`;
    const handle = openFresh(fresh);
    try {
      const keys = change(readKeptKeys(real) ?? []);
      const text = textFrom(keys);
      parseTokenKeys(fresh, text);
      fchownSync(handle, before.uid, before.gid);
      fchmodSync(handle, before.mode & 0o777);
      writeSync(handle, text);
      fsyncSync(handle);
      renameSync(fresh, real);
      syncFolder(dirname(real));
      return keys;
    } finally {
      closeSync(handle);
      rmSync(fresh, { force: true });
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined || error instanceof Fault) throw error;
    throw new Fault("KEY_UNREADABLE", `${file} cannot be changed: ${(error as Error).message}`, error);
  }
}

/** A change takes milliseconds: what is older was left by one that was killed. */
const LEFT_MS = 60_000;

/** Its name is the lock. */
function openFresh(fresh: string): number {
  try {
    return openSync(fresh, "wx", 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  const age = Date.now() - statSync(fresh).mtimeMs;
  if (age < LEFT_MS) throw new Fault("KEY_UNREADABLE", `somebody else is changing the keys at this moment (${fresh})`);
  rmSync(fresh, { force: true });
  return openSync(fresh, "wx", 0o600);
}

function textFrom(keys: readonly KeptKey[]): string {
  const lines = keys.map(({ id, secret, madeAt, prepared }) =>
    JSON.stringify({ id, secret, ...(madeAt === "" ? {} : { madeAt }), ...(prepared ? { prepared } : {}) }),
  );
  return `{"keys": [\n  ${lines.join(",\n  ")}\n]}\n`;
}

function textOf(file: string): string | null {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw new Fault("KEY_UNREADABLE", `${file}: ${(error as Error).message}`, error);
  }
}

/** The new name is durable when its folder is. */
function syncFolder(folder: string): void {
  const handle = openSync(folder, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
