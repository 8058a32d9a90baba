/**
 * The renderer as the API uses it: the same code that makes what is sent. A preview is unsigned, and the token in its links and return
 * path is signed with a key nobody else has: it names no message, so whoever sees a preview can unsubscribe nobody.
 */
import { randomBytes } from "node:crypto";
import type { Clock } from "../base/clock.ts";
import { checkContent, examineContent, linksOfContent } from "../render/check.ts";
import { compileContent } from "../render/compose.ts";
import type { ApiDeps } from "./context.ts";

export function openRenderer(clock: Clock): Pick<ApiDeps, "checkContent" | "preview" | "linksOf"> {
  const keys = { token: [{ id: 255, secret: randomBytes(32) }], dkim: [] };
  return {
    checkContent: examineContent,
    linksOf: linksOfContent,
    async preview(content, { address, variables, deliveryId }) {
      // Checked when it was submitted, but perhaps by an older version of us.
      const [problem] = checkContent(content);
      if (problem !== undefined) return `${problem.path}: ${problem.message}`;
      return compileContent(content, keys).preview({ id: 0, address, variables, delivery: deliveryId }, clock.now());
    },
  };
}
