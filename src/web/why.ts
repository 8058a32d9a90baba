/**
 * GET /v1/messages/{id}/why and /v1/deliveries/{id}/why: what it waits for, since when, set by what, and when it moves; for what is over, how it
 * ended. 503 when that is a question for the statistics server and none answers; it then says what is known without it.
 */
import { Problem } from "../http/problem.ts";
import type { ApiContext } from "./context.ts";
import { absent } from "./deliveries.ts";
import { byId } from "./requests.ts";
import { addRoute } from "./route/route.ts";
import { deliveryWhyAnswer, messageWhyAnswer } from "./why-answers.ts";
import { answerAway } from "./why-away.ts";
import { whyDelivery } from "./why/delivery.ts";
import { whyMessage } from "./why/message.ts";

export function addWhyRoutes(context: ApiContext): void {
  addRoute(context, {
    method: "GET",
    url: "/v1/messages/:id/why",
    scope: "messages:read",
    summary: "What a message waits for, or how it ended, in a sentence",
    params: byId,
    async handle({ params, reply }) {
      const found = await whyMessage(context.why, params.id);
      if (found === null) throw new Problem(404, "there is no such message");
      const answer = messageWhyAnswer(found);
      return found.why.state === "unknown" ? answerAway(reply, found.why.hold?.text ?? "", answer) : answer;
    },
  });

  addRoute(context, {
    method: "GET",
    url: "/v1/deliveries/:id/why",
    scope: "deliveries:read",
    summary: "What a delivery waits for by its largest domains, and when it will be through under the limits of now",
    params: byId,
    async handle({ params, reply }) {
      const found = await whyDelivery(context.why, params.id);
      if (found === null) throw absent();
      const answer = deliveryWhyAnswer(found);
      return found.why.state === "unknown" ? answerAway(reply, found.why.hold?.text ?? "", answer) : answer;
    },
  });
}
