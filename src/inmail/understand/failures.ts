/** The results of a failure that is told in text alone, and who we are in it. */
import type { BounceTable } from "../../model/bounce-rules.ts";
import type { MailResult } from "./contract.ts";
import { type Piece, judgeEvidence } from "./evidence.ts";
import { addressesIn } from "../mime/headers.ts";
import type { Opened } from "./opened.ts";
import { type Mentioned, mentionedIn, returnedTo, saidOf } from "./recipients.ts";
import { resultOf } from "./result.ts";
import { type Signs, isDelay } from "./signs.ts";

export function failuresOf(mail: Opened, signs: Signs, rules: BounceTable): MailResult[] {
  const source = isDelay(mail, signs) ? "delay" : "bounce";
  const mx = serverOf(mail);
  const failed = failedRecipients(mail);
  const general = paragraphsOf(mail);
  const whole = failed.length === 1 ? mail.text : "";
  return failed.map(({ recipient, said }) => {
    const judged = judgeEvidence(rules, source, mx, {
      near: said.map((text) => ({ text })),
      general: () => general,
      whole,
    });
    return resultOf(recipient, source === "delay" ? "delayed" : "failed", judged, mx);
  });
}

/** Named in a header, or in the text, or by the message that is returned; nobody as a last resort. */
function failedRecipients(mail: Opened): readonly Mentioned[] {
  const ours = ourAddresses(mail);
  const named = mail.headers.all("x-failed-recipients").flatMap((value) => addressesIn(value));
  if (named.length > 0) return named.map((recipient) => ({ recipient, said: saidOf(mail.text, recipient) }));
  const mentioned =
    [ours, ourAddresses(mail, false)].map((known) => mentionedIn(mail, known)).find((list) => list.length > 0) ?? [];
  const to = returnedTo(mail, ours);
  // What the text only mentions is less sure than to whom the message was.
  if (mentioned.length > 0 && (mentioned[0]?.sure === true || to.length === 0)) return mentioned;
  if (to.length > 0) return to.slice(0, 20).map((recipient) => ({ recipient, said: saidOf(mail.text, recipient) }));
  if (mentioned.length > 0) return mentioned;
  return [{ recipient: "", said: [] }];
}

/** Those to whom it comes back, and who sent what is returned. `all`: also what servers on the way noted down, which may be the recipient after all. */
export function ourAddresses(mail: Opened, all: boolean = true): Set<string> {
  const ours = new Set<string>();
  const add = (values: readonly string[]): void => {
    for (const value of values) for (const address of addressesIn(value, 10)) ours.add(address.toLowerCase());
  };
  const noted = all ? ["delivered-to", "x-original-to", "envelope-to", "cc"] : [];
  for (const name of ["to", "from", "reply-to", "sender", ...noted]) add(mail.headers.all(name));
  for (const name of ["from", "return-path", "sender", "reply-to", "errors-to"]) add(mail.returned?.all(name) ?? []);
  return ours;
}

/** `Reject reason: …`, `Error: …`, on one line. */
const REASON =
  /^[ \t>*-]*(?:[\w ]{0,30} )?(?:reason|error|cause|diagnostic|failure|problem|explanation|details?|because|grund|motivo|raison|理由|原因|причина)(?: \w{1,12}){0,2}[ \t]*(?:is|was)?[ \t]*[:：][ \t]*(\S.{3,500})$/gimu;

/** The text by paragraphs: those with a server's answer first, then in order. */
export function paragraphsOf(mail: Opened): Piece[] {
  const paragraphs = mail.text
    .split(/\n[ \t]*\n/, 200)
    .map((text) => text.trim())
    .filter((text) => text !== "");
  const answers = paragraphs.filter((text) => /(?:^|[\s:<'"(])[45]\d\d[ -]|\b[45]\.\d\.\d{1,3}\b/.test(text));
  const reasons = [...mail.text.matchAll(REASON)].map(([, reason = ""]) => reason);
  const rest = paragraphs.filter((text) => !answers.includes(text));
  // The whole last: what a rule asks for may stand in two paragraphs.
  return [...answers, ...reasons, ...rest, mail.subject, mail.text].map((text) => ({ text: text.slice(0, 4000) }));
}

/** The server that wrote it: behind the @ of its sender. */
export function serverOf(mail: Opened): string {
  return /@([^@]+)$/.exec(mail.from)?.[1] ?? "";
}
