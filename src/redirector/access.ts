/** Who shows the tracking secret (`Authorization: Bearer …`): the tracking workflow, and whoever collects metrics. */
import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { sendText } from "./answers.ts";

export type Access = (request: IncomingMessage, response: ServerResponse) => boolean;

/** Answers 401 and says false when the secret is not shown (RFC 6750 §3). */
export function openAccess(secret: Buffer): Access {
  const expected = digest(secret.toString("utf8"));
  return (request, response) => {
    const shown = /^Bearer +([!-~]{1,200}) *$/i.exec(request.headers.authorization ?? "")?.[1] ?? "";
    if (timingSafeEqual(digest(shown), expected)) return true;
    sendText(response, 401, "text/plain; charset=utf-8", "Authorization: Bearer <tracking secret>\n", [
      "www-authenticate",
      "Bearer",
    ]);
    return false;
  };
}

/** Hashed, so that what is compared is of one length. */
function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
