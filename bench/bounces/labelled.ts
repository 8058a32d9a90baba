/** A folder of labelled mails and reply lines: `mails/`, `expected.jsonl`, `replies.jsonl`; each may be missing. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join, relative } from "node:path";

export interface Label {
  readonly type: string;
  readonly category: string;
  /** Others that also count. */
  readonly accept?: readonly { readonly type: string; readonly category: string }[];
}

export interface LabelledMail {
  readonly file: string;
  readonly notBounce: boolean;
  readonly expected: readonly (Label & {
    readonly recipient?: string | null;
    readonly recipientAccept?: readonly string[];
  })[];
}

export interface LabelledReply extends Label {
  readonly id: string;
  readonly reply: string;
}

export interface Labelled {
  readonly mails: readonly LabelledMail[];
  readonly replies: readonly LabelledReply[];
  /** Every mail there is, by its name in the labels. */
  readonly bytes: ReadonlyMap<string, Uint8Array>;
}

export function readLabelled(folder: string): Labelled {
  const mails = jsonLines<LabelledMail>(join(folder, "expected.jsonl"));
  const root = existsSync(join(folder, "mails")) ? join(folder, "mails") : folder;
  const files =
    mails.length > 0
      ? mails.map(({ file }) => file)
      : readdirSync(root, { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile() && entry.name.endsWith(".eml"))
          .map((entry) => relative(root, join(entry.parentPath, entry.name)));
  return {
    mails,
    replies: jsonLines<LabelledReply>(join(folder, "replies.jsonl")),
    bytes: new Map(files.map((file) => [file, readFileSync(join(root, file))])),
  };
}

/** A third of what there is, chosen by the hash of its name: what rules were not developed with, so that the figure for it is an honest one. */
export function isHeldBack(name: string): boolean {
  return Number.parseInt(createHash("sha1").update(name).digest("hex").slice(0, 8), 16) % 3 === 0;
}

function jsonLines<T>(path: string): T[] {
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => JSON.parse(line) as T);
}
