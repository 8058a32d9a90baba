/** One result, from what was judged of it. */
import type { MailResult } from "./contract.ts";
import type { Judged } from "./evidence.ts";

export function resultOf(
  recipient: string,
  action: MailResult["action"],
  { verdict, text, code, status }: Judged,
  mx: string,
  finalRecipient: string = "",
): MailResult {
  return { recipient, finalRecipient, action, verdict, status, replyCode: code === 0 ? "" : String(code), text, mx };
}
