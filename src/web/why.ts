/**
 * GET /v1/messages/{id}/why and /v1/deliveries/{id}/why: what it waits for, since when, set by what, and when it moves; for what is over, how it
 * ended. 503 when that is a question for the statistics server and none answers; it then says what is known without it.
 */
import { Problem } from "../http/problem.ts";
import { harmless } from "../model/harmless.ts";
import type { Why } from "../model/why-facts.ts";
import { etaAnswer } from "./answers.ts";
import type { ApiContext } from "./context.ts";
import { absent } from "./deliveries.ts";
import { byId } from "./requests.ts";
import { addRoute } from "./route/route.ts";
import { holdAnswer, measureAnswer, siteSummaryAnswer } from "./sites-answers.ts";
import { answerAway } from "./why-away.ts";
import { type DeliveryWhy, type DomainWhy, whyDelivery } from "./why/delivery.ts";
import type { DomainTraffic } from "./why/gather.ts";
import { type MessageWhy, whyMessage } from "./why/message.ts";

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

function whyAnswer({ state, sentence, hold, holds }: Why): object {
  return {
    state,
    sentence,
    hold: hold === null ? null : holdAnswer(hold),
    holds: holds.slice(0, 100).map(holdAnswer),
  };
}

export function messageWhyAnswer({ why, message, traffic }: MessageWhy): object {
  return {
    id: message.id,
    deliveryId: message.deliveryId,
    status: message.status,
    ...whyAnswer(why),
    site: traffic === null ? null : trafficAnswer(traffic),
  };
}

export function deliveryWhyAnswer({ why, delivery, domains, others, eta }: DeliveryWhy): object {
  return {
    id: delivery.id,
    deliveryState: delivery.state,
    ...whyAnswer(why),
    domains: domains.map(domainAnswer),
    others,
    ...etaAnswer(eta),
  };
}

function domainAnswer({ domain, open, claimed, why, traffic }: DomainWhy): object {
  return { domain: harmless(domain, 255), open, claimed, ...whyAnswer(why), site: trafficAnswer(traffic) };
}

export function trafficAnswer({ exchangers, answer }: DomainTraffic): object {
  return {
    exchangers,
    ...(answer?.summary ? siteSummaryAnswer(answer.summary) : {}),
    measures: answer?.measures.map(measureAnswer) ?? [],
  };
}
