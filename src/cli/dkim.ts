/** `postilion dkim keygen`: makes a signing key and says what to publish in DNS and what to write into the settings. */
import { writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { Fault } from "../base/faults.ts";
import { makePrivateFolder } from "../config/keys.ts";
import { loadSettings } from "../config/load.ts";
import { UsageError } from "./usage.ts";

export interface KeygenOptions {
  readonly type: string;
  readonly bits: string;
  /** undefined: keys/dkim/<domain>.<selector>.pem under dataDir. */
  readonly out: string | undefined;
}

/** Longest character-string of a TXT record (RFC 1035 §3.3). */
const STRING_BYTES = 255;

/** Writes the key with mode 0600, never over an existing file. */
export async function dkimKeygen(
  config: string | undefined,
  domain: string,
  selector: string,
  { type, bits, out }: KeygenOptions,
): Promise<void> {
  // They become a file name and a DNS name: nothing else gets in.
  for (const name of [domain, selector]) {
    if (!/^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/i.test(name)) {
      throw new UsageError(`${name} is not a domain name`);
    }
  }
  if (type !== "rsa" && type !== "ed25519") throw new UsageError(`--type is rsa or ed25519, not ${type}`);
  const size = Number(bits);
  // RFC 8301 §3.2: at least 1024, should be 2048; receivers need not verify more than 4096 bits.
  if (!Number.isInteger(size) || size < 1024 || size > 4096)
    throw new UsageError(`--bits is from 1024 to 4096, not ${bits}`);
  const { dataDir } = loadSettings(config, process.env);
  const file = resolve(out ?? join(dataDir, "keys", "dkim", `${domain.toLowerCase()}.${selector}.pem`));

  const { generateDkimKey } = await import("../smtp/dkim.ts");
  const { pem, record } = generateDkimKey(type, size);
  try {
    makePrivateFolder(dirname(file), dataDir);
    writeFileSync(file, pem, { mode: 0o600, flag: "wx" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST")
      throw new UsageError(`${file} exists and is not overwritten`);
    throw new Fault("KEY_UNREADABLE", `${file} cannot be written: ${(error as Error).message}`, error);
  }
  console.log(`The private key is in ${file}

Publish in DNS:

${selector}._domainkey.${domain}. IN TXT ( ${strings(record).join("\n    ")} )

The value in one piece, for a form that splits it itself:

${record}

In the settings:

dkim:
  - domain: ${domain}
    selector: ${selector}
    keyFile: ${file}
`);
}

/** The value of a TXT record as quoted character-strings of at most 255 bytes. */
export function strings(value: string): string[] {
  const pieces = value.match(new RegExp(`.{1,${STRING_BYTES}}`, "g")) ?? [];
  return pieces.map((piece) => `"${piece}"`);
}
