/** The results of delivery status (RFC 3464): each recipient by its own block, its text for people where the block says too little. */
import type { BounceTable } from "../../model/bounce-rules.ts";
import type { SaidSource } from "../../model/said.ts";
import type { MailResult } from "./contract.ts";
import { judgeEvidence } from "./evidence.ts";
import { ourAddresses, paragraphsOf, serverOf } from "./failures.ts";
import { addressesIn } from "../mime/headers.ts";
import type { Opened } from "./opened.ts";
import { mentionedIn, returnedTo, saidOf } from "./recipients.ts";
import { resultOf } from "./result.ts";
import type { Signs } from "./signs.ts";
import { RECIPIENTS_MOST, type Action, type RecipientStatus, readStatus } from "./status.ts";

const SOURCES: Readonly<Record<Action, SaidSource>> = {
  failed: "bounce",
  delayed: "delay",
  delivered: "delivery",
  relayed: "delivery",
  expanded: "delivery",
};

export function reportResults(
  mail: Opened,
  signs: Signs,
  rules: BounceTable,
): { readonly results: readonly MailResult[]; readonly cut: boolean } {
  const read = mail.status.map(readStatus);
  const all = read.flatMap(({ recipients, reportingMta }) => recipients.map((each) => ({ each, reportingMta })));
  const chosen = all.slice(0, RECIPIENTS_MOST);
  const several = chosen.length > 1;
  const results = chosen.map(({ each, reportingMta }) => {
    const recipient = each.recipient.includes("@") ? each.recipient : nameOf(mail, each, several);
    const mx = each.remoteMta || reportingMta || serverOf(mail);
    const near = [each.recipient, each.finalRecipient].flatMap((address) => saidOf(mail.text, address));
    const judged = judgeEvidence(rules, SOURCES[each.action], mx, {
      near: [each.diagnostic, ...near].map((text) => ({ text, status: each.status })),
      ...(!several && { general: () => paragraphsOf(mail), whole: mail.text }),
    });
    const status = each.status || judged.status;
    return resultOf(recipient, each.action, { ...judged, status }, mx, each.finalRecipient);
  });
  return { results, cut: read.some(({ cut }) => cut) || all.length > chosen.length };
}

/** A block that names nobody, or a name without a domain: the only one the text or the returned message is about. */
function nameOf(mail: Opened, each: RecipientStatus, several: boolean): string {
  if (several) return each.finalRecipient || each.recipient;
  const ours = ourAddresses(mail);
  const named = mail.headers.all("x-failed-recipients").flatMap((value) => addressesIn(value));
  return named[0] ?? mentionedIn(mail, ours)[0]?.recipient ?? returnedTo(mail, ours)[0] ?? each.recipient;
}
