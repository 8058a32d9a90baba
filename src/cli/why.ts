/**
 * `postilion why <message|delivery|domain>`: what it waits for, in a sentence. It reads the database and asks the statistics server itself: it
 * needs no token and works with web down, for whoever may read the settings file.
 */
import { domainToASCII } from "node:url";
import { systemClock } from "../base/clock.ts";
import { EXIT } from "../base/exit.ts";
import type { Settings } from "../config/settings.ts";
import { requireSchema } from "../db/migrate.ts";
import type { Sql } from "../db/sql.ts";
import { harmless } from "../model/harmless.ts";
import type { Why } from "../model/why-facts.ts";
import { sentenceOf, stamp } from "../model/why-text.ts";
import { deliveryWhyAnswer, messageWhyAnswer, trafficAnswer, whyAnswer } from "../web/why-answers.ts";
import { openStatAnswers } from "../web/why/ask.ts";
import { type DeliveryWhy, whyDelivery } from "../web/why/delivery.ts";
import { openExchangers } from "../web/why/exchangers.ts";
import type { WhyDeps } from "../web/why/gather.ts";
import { type DomainReason, whyDomain, whyMessage } from "../web/why/message.ts";
import { withDatabase } from "./database.ts";
import { type Ask, askOf } from "./stat-ask.ts";
import { table } from "./table.ts";
import { UsageError } from "./usage.ts";

/** Ids of messages begin with that of their volume (db/volumes.ts): smaller numbers are deliveries. */
const FIRST_MESSAGE = 2 ** 32;

/** Prints it; the exit code: 1 when the statistics server would have to be asked and does not answer. Faults: SETTINGS_*, DATABASE_*. */
export async function why(config: string | undefined, target: string, json: boolean): Promise<number> {
  let code: number = EXIT.ok;
  await withDatabase(config, async (sql, settings) => {
    await requireSchema(sql);
    const told = await reasonOf(whyDepsOf(sql, settings, askOf(settings)), target);
    console.log(json ? JSON.stringify(told.data) : told.text);
    if (!told.known) code = EXIT.fault;
  });
  return code;
}

export function whyDepsOf(sql: Sql, settings: Settings, ask: Ask): WhyDeps {
  const asking = async (what: Parameters<Ask>[0], args: Parameters<Ask>[1]): Promise<unknown> => {
    const result = await ask(what, args);
    if ("why" in result) throw new Error(result.why);
    return result.data;
  };
  return {
    sql,
    clock: systemClock,
    mta: settings.mta,
    stat: openStatAnswers(asking, systemClock),
    exchangers: openExchangers(settings.mta, systemClock),
  };
}

export interface ReasonTold {
  readonly text: string;
  readonly data: object;
  /** False: the statistics server would have to be asked. */
  readonly known: boolean;
}

export async function reasonOf(deps: WhyDeps, target: string): Promise<ReasonTold> {
  if (/^\d{1,16}$/.test(target)) {
    const id = Number(target);
    if (id < FIRST_MESSAGE) {
      const found = await whyDelivery(deps, id);
      if (found === null) throw new UsageError(`there is no delivery ${target}`);
      return { text: deliveryText(found), data: deliveryWhyAnswer(found), known: found.why.state !== "unknown" };
    }
    const found = await whyMessage(deps, id);
    if (found === null) throw new UsageError(`there is no message ${target}`);
    const text = `Message ${id} (${found.message.status}): ${whyText(found.why)}`;
    return { text, data: messageWhyAnswer(found), known: found.why.state !== "unknown" };
  }
  const named = target
    .slice(target.lastIndexOf("@") + 1)
    .toLowerCase()
    .replace(/\.$/, "");
  // The ledger has A-labels.
  const domain = domainToASCII(named) || named;
  if (!/^[a-z0-9_-]+(\.[a-z0-9_-]+)+$/.test(domain) || domain.length > 253)
    throw new UsageError(`${harmless(target, 100)} is neither the number of a message or delivery nor a domain`);
  const found = await whyDomain(deps, domain);
  const { why, traffic, open, claimed, deliveries } = found;
  return {
    text: domainText(domain, found),
    data: { domain, ...whyAnswer(why), open, claimed, deliveries, site: trafficAnswer(traffic) },
    known: why.state !== "unknown",
  };
}

function domainText(domain: string, { why, traffic, open, claimed, deliveries }: DomainReason): string {
  const where = traffic.exchangers.length > 0 ? ` (${traffic.exchangers.join(", ")})` : "";
  const lines = [`${domain}${where}: ${whyText(why)}`];
  if (open > 0)
    lines.push(
      `Open: ${counted(open, "message")} of ${counted(deliveries, "delivery")}, ${claimed} with an mta (what shares its part with other domains is not counted).`,
    );
  const last = traffic.answer?.summary;
  if (last && last.lastReply !== "") lines.push(`Last reply, ${stamp(last.lastReplyAt)}: ${harmless(last.lastReply)}`);
  return lines.join("\n");
}

function counted(count: number, word: string): string {
  return `${count} ${count === 1 ? word : word.replace(/y$/, "ie")}${count === 1 ? "" : "s"}`;
}

function whyText({ sentence, holds }: Why): string {
  const others = holds.slice(1, 6).map((hold) => {
    const whom = hold.publicId === null ? "" : `public id ${hold.publicId}: `;
    return `  also: ${whom}${sentenceOf(hold)}`;
  });
  return [sentence, ...others].join("\n");
}

function deliveryText({ why, delivery, domains, others, eta }: DeliveryWhy): string {
  const { counters } = delivery;
  const lines = [
    `Delivery ${delivery.id} (${delivery.state}${delivery.name === "" ? "" : `, ${harmless(delivery.name, 100)}`}): ${why.sentence}`,
    `${counters.accepted} accepted: ${counters.sent} sent, ${counters.pending} pending, ${counters.deferred} deferred, ${counters.failed} failed.`,
  ];
  if (eta.basis !== "none")
    lines.push(
      `${eta.at === 0 ? "When it will be through is not known" : `Through about ${stamp(eta.at)}`}: ${eta.text}.`,
    );
  if (domains.length > 0)
    lines.push(
      "",
      ...table([
        ["domain", "open", "with an mta", "why"],
        ...domains.map((one) => [harmless(one.domain, 60), one.open, one.claimed, one.why.sentence]),
      ]),
    );
  if (domains.length > 0 && others > 0) lines.push(`and ${others} for other domains`);
  return lines.join("\n");
}
