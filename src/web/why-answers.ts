/** What the API tells of why something waits; the command line prints the same as JSON. */
import { harmless } from "../model/harmless.ts";
import type { Why } from "../model/why-facts.ts";
import { etaAnswer } from "./answers.ts";
import { holdAnswer, measureAnswer, siteSummaryAnswer } from "./sites-answers.ts";
import type { DeliveryWhy, DomainWhy } from "./why/delivery.ts";
import type { DomainTraffic } from "./why/gather.ts";
import type { MessageWhy } from "./why/message.ts";

export function whyAnswer({ state, sentence, hold, holds }: Why): object {
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
