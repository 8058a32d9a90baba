/** POST /v1/messages: one transactional message, from the request to the ledger in one statement. */
import { createMessage } from "../db/messages.ts";
import { Problem } from "../http/problem.ts";
import { domainOf } from "../smtp/addresses.ts";
import type { ApiContext } from "./context.ts";
import { prepare, readMailbox } from "./content.ts";
import { answerOnce } from "./route/once.ts";
import { newMessage } from "./requests.ts";
import { addRoute } from "./route/route.ts";
import { isDeeperThan, MOST_DEPTH } from "./intake/rows.ts";

export function addSendRoute(context: ApiContext): void {
  const { sql, defaults, clock } = context;
  addRoute(context, {
    method: "POST",
    url: "/v1/messages",
    scope: "messages:write",
    summary: "Send one message at once",
    body: newMessage,
    async handle({ body, token, request, reply }) {
      const refuse = (path: string, message: string): never => {
        throw new Problem(400, `${path}: ${message}`, { errors: [{ path, message }] });
      };
      const to = readMailbox(body.to, "to", refuse);
      if (isDeeperThan(body.variables ?? {}, MOST_DEPTH)) refuse("variables", `is nested deeper than ${MOST_DEPTH}`);
      if (body.notAfter !== undefined && body.notAfter <= clock.now()) refuse("notAfter", "has passed");
      // The name is a variable, not a part of the content: so a thousand receipts share one content, compiled once, and braces in a name
      // are no template.
      const named = body.toName === undefined && to.name !== "";
      const variables = JSON.stringify({ ...(named ? { toName: to.name } : {}), ...body.variables });
      if (Buffer.byteLength(variables) > context.settings.web.variablesLimitBytes) {
        throw new Problem(413, `the variables have more than ${context.settings.web.variablesLimitBytes} bytes`);
      }
      const toName = named ? "{{toName}}" : body.toName;
      const prepared = prepare(body, { ...body, toName }, "", defaults, context.checkContent);
      const { firstId } = await context.ids.take(1);
      return answerOnce(sql, { token, request, reply }, true, async (tx) => {
        const made = await createMessage(tx, {
          ...prepared.settings,
          name: "",
          fromAddress: prepared.content.from.address,
          contentHash: prepared.contentHash,
          contentBody: prepared.contentBody,
          contentLinks: prepared.contentLinks,
          id: firstId,
          address: to.address,
          domain: domainOf(to.address),
          variables: variables === "{}" ? "" : variables,
        });
        return {
          status: 202,
          answer: JSON.stringify({
            id: firstId,
            deliveryId: made.deliveryId,
            status: made.status,
            reason: made.reason,
          }),
        };
      });
    },
  });
}
