/** A thread that understands mails by batches. The rules are compiled once for each version; a mail that is too much for it fails alone. */
import { giveWay } from "../base/threads.ts";
import { type BounceRules, type BounceTable, compileBounceRules } from "../model/bounce-rules.ts";
import type { Understood } from "./understand/contract.ts";
import { understand } from "./understand/understand.ts";

export interface UnderstandTask {
  /** Of the rules: they are compiled again when it differs. */
  readonly version: string;
  readonly rules: BounceRules;
  readonly mails: readonly MailBytes[];
}

export interface MailBytes {
  readonly bytes: Uint8Array;
  /** The address it was sent to in SMTP, '' when that is not known. */
  readonly envelope: string;
}

/** `error`: why nothing could be made of it. */
export type UnderstoodMail = Understood | { readonly error: string };

const NICENESS = 5;
let table: BounceTable | null = null;

giveWay(NICENESS);

export default function understandMails({ version, rules, mails }: UnderstandTask): UnderstoodMail[] {
  if (table?.version !== version) table = compileBounceRules(rules);
  const known = table;
  return mails.map(({ bytes, envelope }): UnderstoodMail => {
    try {
      return understand(bytes, known, envelope);
    } catch (error) {
      return { error: error instanceof Error ? error.message : String(error) };
    }
  });
}
