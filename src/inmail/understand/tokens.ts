/** Texts in a mail that have the look of a token (model/token.ts), in the order in which they are trusted. Whether one is genuine is asked of the keys. */
import type { TokenFound } from "./contract.ts";
import type { Opened } from "./opened.ts";

const TOKEN = /(?<![a-z0-9])[a-z2-7]{31}(?![a-z0-9])/gi;
const TOKENS_MOST = 20;

/** @param envelope the address it was sent to in SMTP, '' when that is not known. */
export function tokensIn(mail: Opened, envelope: string): TokenFound[] {
  const { headers, returned } = mail;
  const found = new Map<string, TokenFound["where"]>();
  const look = (where: TokenFound["where"], ...texts: readonly string[]): void => {
    for (const text of texts)
      for (const [token] of text.matchAll(TOKEN)) {
        if (found.size >= TOKENS_MOST) return;
        const folded = token.toLowerCase();
        if (!found.has(folded)) found.set(folded, where);
      }
  };
  const all = (names: readonly string[], from = headers): string[] => names.flatMap((name) => from.all(name));
  look("envelope", envelope);
  look(
    "header",
    ...all(["x-original-to", "delivered-to", "envelope-to", "to", "cc"]),
    ...all(["in-reply-to", "references"]),
  );
  if (returned !== null) {
    look("returned", ...all(["return-path", "message-id", "errors-to", "sender", "x-envelope-from"], returned));
    look("unsubscribe", ...all(["list-unsubscribe", "list-id", "feedback-id"], returned));
    look("returned", mail.returnedText);
  }
  look("text", ...mail.status, mail.feedback ?? "", mail.text);
  look("subject", mail.subject);
  return [...found].map(([token, where]) => ({ token, where }));
}
