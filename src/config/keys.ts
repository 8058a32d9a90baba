/**
 * Key files. The token keys are made at first use; DKIM keys are the operator's (`postilion dkim keygen`). A file other users can read
 * is used and complained of: refusing to send would hurt more than it protects.
 */
import { createPrivateKey, randomBytes } from "node:crypto";
import { linkSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { Fault } from "../base/faults.ts";
import { type Log, silentLog } from "../base/log.ts";
import type { TokenKeyRing } from "../model/token.ts";
import type { Settings } from "./settings.ts";

export interface DkimKeyFile {
  readonly domain: string;
  readonly selector: string;
  /** The private key, as it stands in the file. */
  readonly pem: string;
}

/** Secrets shorter than this are not keys. */
const SECRET_BYTES = 32;

/**
 * The keys that sign tokens, the signing one first: `{"keys": [{"id": 1, "secret": "<base64>"}]}`. Rotated by `postilion keys rotate`.
 * Made, mode 0600, when there is no file; of several processes that do so at once, one wins and all use its keys. Faults: KEY_UNREADABLE.
 */
export function loadTokenKeys(settings: Settings, log: Log = silentLog): TokenKeyRing {
  const file = tokenKeyFile(settings);
  const text = read(file, log) ?? make(file, settings.dataDir);
  return parseTokenKeys(file, text);
}

/**
 * The same for who only uses them, and while a process runs: a file that is not there is a Fault, for new keys in its place would be the end of
 * every link and address that the old ones signed.
 */
export function rereadTokenKeys(settings: Settings, log: Log = silentLog): TokenKeyRing {
  const file = tokenKeyFile(settings);
  const text = read(file, log);
  if (text === null) throw new Fault("KEY_UNREADABLE", `${file} is not there`);
  return parseTokenKeys(file, text);
}

export function tokenKeyFile({ tokenKeyFile, dataDir }: Pick<Settings, "tokenKeyFile" | "dataDir">): string {
  return tokenKeyFile || `${dataDir}/keys/token.json`;
}

function make(file: string, dataDir: string): string {
  const text = `${JSON.stringify({ keys: [{ id: 1, secret: randomBytes(SECRET_BYTES).toString("base64") }] })}\n`;
  const fresh = `${file}.new-${process.pid}`;
  try {
    makePrivateFolder(dirname(file), dataDir);
    writeFileSync(fresh, text, { mode: 0o600 });
    // A link fails when the name is taken, and appears with all its content or not at all.
    linkSync(fresh, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") {
      throw new Fault("KEY_UNREADABLE", `${file} cannot be made: ${(error as Error).message}`, error);
    }
  } finally {
    rmSync(fresh, { force: true });
  }
  return readFileSync(file, "utf8");
}

/**
 * A folder for keys, 0700. `dataDir` above it keeps the usual mode: the embedded PostgreSQL, which may run as another user, has to get
 * through it.
 */
export function makePrivateFolder(folder: string, dataDir: string): void {
  mkdirSync(dataDir, { recursive: true });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
}

/** The ring in the text of `file`. Faults: KEY_UNREADABLE, without a word of the secrets. */
export function parseTokenKeys(file: string, text: string): TokenKeyRing {
  const bad = (why: string): Fault => new Fault("KEY_UNREADABLE", `${file}: ${why}`);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw bad("is not JSON"); // the parser's own message would quote the secret
  }
  const keys = (parsed as { keys?: unknown } | null)?.keys;
  if (!Array.isArray(keys) || keys.length === 0) throw bad('has no "keys"');
  const ring = keys.map((key: { id?: unknown; secret?: unknown } | null) => {
    const id = key?.id;
    const secret = typeof key?.secret === "string" ? Buffer.from(key.secret, "base64") : Buffer.alloc(0);
    if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || id > 255)
      throw bad("a key's id is a number from 0 to 255");
    if (secret.length < SECRET_BYTES)
      throw bad(`the secret of key ${id} is shorter than ${SECRET_BYTES} bytes of base64`);
    return { id, secret };
  });
  if (new Set(ring.map((key) => key.id)).size < ring.length) throw bad("two keys have the same id");
  return ring;
}

/** The DKIM keys of the settings, read and known to be RSA or Ed25519. Faults: KEY_UNREADABLE, naming the file. */
export function loadDkimKeys(settings: Settings, log: Log = silentLog): DkimKeyFile[] {
  return settings.dkim.map(({ domain, selector, keyFile }) => {
    const pem = read(keyFile, log);
    if (pem === null) throw new Fault("KEY_UNREADABLE", `${keyFile} (DKIM key ${selector} of ${domain}) is not there`);
    let type: string | undefined;
    try {
      type = createPrivateKey(pem).asymmetricKeyType;
    } catch (error) {
      throw new Fault(
        "KEY_UNREADABLE",
        `${keyFile} (DKIM key ${selector} of ${domain}) holds no private key in PEM`,
        error,
      );
    }
    // RFC 6376 and RFC 8463 know no others.
    if (type !== "rsa" && type !== "ed25519")
      throw new Fault("KEY_UNREADABLE", `${keyFile}: a ${type} key cannot sign DKIM`);
    return { domain: domain.toLowerCase(), selector, pem };
  });
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
