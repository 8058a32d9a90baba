/**
 * `postilion keys list|rotate|retire`: the keys that sign the tokens of messages and the tracked links. A new key signs, those before it verify until
 * they are retired. Where other machines run redirection servers, a key is prepared first and copied to them: a link that is
 * signed with a key its server does not have is refused.
 */
import { createHash, randomBytes } from "node:crypto";
import { tokenKeyFile } from "../config/keys.ts";
import { loadSettings } from "../config/load.ts";
import type { Settings } from "../config/settings.ts";
import { changeKeptKeys, type KeptKey, readKeptKeys } from "../config/token-key-file.ts";
import { table } from "./table.ts";
import { UsageError } from "./usage.ts";

export interface RotateOptions {
  /** Make the next key, let it verify, let nothing be signed with it yet. */
  readonly prepare?: boolean;
  /** Sign with a new key though other machines do not have it. */
  readonly now?: boolean;
  /** Number of a key that verifies no more. */
  readonly retire?: string;
}

/** Prints the keys, without their secrets. Faults: SETTINGS_*, KEY_UNREADABLE. */
export function keysList(config: string | undefined): void {
  console.log(listText(loadSettings(config, process.env)));
}

/** Faults: SETTINGS_*, KEY_UNREADABLE. */
export function keysRotate(config: string | undefined, options: RotateOptions): void {
  console.log(rotateText(loadSettings(config, process.env), options, Date.now()));
}

/** Faults: SETTINGS_*, KEY_UNREADABLE. */
export function keysRetire(config: string | undefined, id: string): void {
  console.log(retireText(loadSettings(config, process.env), id));
}

export function listText(settings: Settings): string {
  const file = tokenKeyFile(settings);
  const keys = requireKeys(file, readKeptKeys(file));
  const signing = keys[0]!.id;
  const rows = keys.map((key) => [
    key.id,
    key.id === signing ? "signs" : key.prepared ? "prepared" : "verifies",
    key.madeAt === "" ? "-" : key.madeAt,
    fingerprint(key),
  ]);
  return [...table([["key", "state", "made", "fingerprint"], ...rows]), "", file].join("\n");
}

export function rotateText(settings: Settings, options: RotateOptions, now: number): string {
  const file = tokenKeyFile(settings);
  const { prepare = false, retire } = options;
  if (prepare && (options.now === true || retire !== undefined))
    throw new UsageError("--prepare stands alone: nothing is signed with a prepared key, and nothing is retired");
  const others = otherMachines(settings);
  const keys = change(file, (before) => {
    const ready = before.find(({ prepared }) => prepared);
    if (prepare) {
      if (ready !== undefined) throw new UsageError(`key ${ready.id} is prepared already; 'keys rotate' lets it sign`);
      return [...before, { ...newKey(before, now), prepared: true }];
    }
    if (ready === undefined && others.length > 0 && options.now !== true)
      throw new UsageError(
        `${others.join(", ")}: these redirection servers would refuse what the new key signs until they have it. ` +
          "First 'keys rotate --prepare', copy the file, then 'keys rotate'; or --now",
      );
    const next = { ...(ready ?? newKey(before, now)), prepared: false };
    const rotated = [next, ...before.filter(({ id }) => id !== next.id)];
    return retire === undefined ? rotated : without(rotated, retire);
  });
  if (prepare) return told(keys, file, `Key ${keys.at(-1)!.id} is prepared. It signs after 'postilion keys rotate'.`);
  const left = retire === undefined ? "" : ` ${retired(retire)}`;
  return told(keys, file, `Key ${keys[0]!.id} signs from now on, in running processes within half a minute.${left}`);
}

export function retireText(settings: Settings, id: string): string {
  const file = tokenKeyFile(settings);
  const keys = change(file, (before) => without(before, id));
  return told(keys, file, retired(id));
}

const retired = (id: string): string =>
  `Key ${id} is retired: links, unsubscribe addresses and return paths of mail that was signed with it are refused.`;

function change(file: string, work: (keys: readonly KeptKey[]) => readonly KeptKey[]): readonly KeptKey[] {
  requireKeys(file, readKeptKeys(file));
  return changeKeptKeys(file, work);
}

function requireKeys(file: string, keys: readonly KeptKey[] | null): readonly KeptKey[] {
  // A command makes no key: it may run as another user than the processes, who could not read it then.
  if (keys === null) throw new UsageError(`there are no keys yet (${file}): the first start makes one`);
  return keys;
}

function without(keys: readonly KeptKey[], text: string): readonly KeptKey[] {
  const id = /^\d{1,3}$/.test(text) ? Number(text) : -1;
  if (!keys.some((key) => key.id === id))
    throw new UsageError(`there is no key ${text.slice(0, 20)}; 'postilion keys list' has them`);
  if (keys[0]?.id === id)
    throw new UsageError(`key ${id} signs: 'postilion keys rotate --retire ${id}' lets another one do it first`);
  return keys.filter((key) => key.id !== id);
}

/** Numbers go up, so that a retired one does not come back while mail with it is about; behind 255 the lowest that is free. */
function newKey(keys: readonly KeptKey[], now: number): KeptKey {
  const used = new Set(keys.map(({ id }) => id));
  const above = Math.max(...used) + 1;
  const id = above <= 255 ? above : Array.from({ length: 255 }, (_, i) => i + 1).find((n) => !used.has(n));
  if (id === undefined) throw new UsageError("there are 255 keys: retire some");
  return { id, secret: randomBytes(32).toString("base64"), madeAt: new Date(now).toISOString(), prepared: false };
}

/** Redirection servers that do not read this machine's file. */
function otherMachines({ workflow }: Settings): readonly string[] {
  return workflow.redirectors.filter((base) => !isLoopback(base));
}

const isLoopback = (base: string): boolean =>
  /^(?:localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])$/.test(URL.parse(base)?.hostname ?? "");

/** Tells keys on two machines apart or alike without showing them. */
function fingerprint({ secret }: KeptKey): string {
  return createHash("sha256").update(Buffer.from(secret, "base64")).digest("hex").slice(0, 16);
}

function told(keys: readonly KeptKey[], file: string, what: string): string {
  const states = keys.slice(1).map(({ id, prepared }) => (prepared ? `${id} (prepared)` : String(id)));
  const verify = states.length === 0 ? "No other key verifies." : `Verifying besides: ${states.join(", ")}.`;
  return `${what} ${verify}

Copy to every other machine that runs redirection servers, mtas, inmail or web, with mode 0600:
  ${file}
'postilion keys list' shows the same fingerprints there when it is done; running processes read the file again by themselves.`;
}
