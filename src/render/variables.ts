/** The variables a message's templates see: the content's, over them the recipient's, over both ours. */
import type { Content } from "../model/delivery.ts";
import { ANONYMOUS } from "../model/token.ts";
import type { ParsedAddress } from "../smtp/addresses.ts";
import type { RenderJob } from "./contract.ts";
import { LINKS, type MessageLinks } from "./links/print.ts";

/** Variables every template has besides the recipient's own, which they win over. */
export const RESERVED_VARIABLES = [
  "email",
  "domain",
  "messageId",
  "messageToken",
  "unsubscribeUrl",
  "mirrorUrl",
] as const;

/** Why one message cannot be made; anything else thrown is a bug and goes on. */
export class Unrenderable extends Error {}

/** Spreading defines a property `__proto__` instead of setting one. */
export function variablesOf(
  content: Content,
  job: RenderJob,
  to: ParsedAddress,
  token: string,
  links: MessageLinks | null,
): Readonly<Record<string, unknown>> {
  const { tracking } = content;
  return {
    ...content.globals,
    ...(job.variables === "" ? {} : parsed(job.variables)),
    email: to.address,
    domain: to.domain,
    messageId: `${token}@${content.returnPathDomain}`,
    // Whoever is not to be named in links is not named in those a template makes of this.
    messageToken: tracking?.anonymous === true ? ANONYMOUS : token,
    unsubscribeUrl: unsubscribeUrl(content, token) || (tracking === undefined ? "" : `${tracking.url}/u/${token}`),
    mirrorUrl: tracking === undefined ? "" : `${tracking.url}/m/${token}`,
    [LINKS]: links,
  };
}

/** What the header List-Unsubscribe says, '' when it is not asked for. */
export function unsubscribeUrl(content: Content, token: string): string {
  const base = content.listUnsubscribe?.url ?? "";
  return base === "" ? "" : `${base}/u/${token}`;
}

function parsed(json: string): object {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    throw new Unrenderable("variables: not valid JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Unrenderable("variables: not an object");
  return value;
}
