/** What readers did, as the API tells it: words of messages' events, times as RFC 3339, what is not known as null, texts of strangers harmless. */
import type { LinkPeriod, Reactions } from "../db/tracking-reports.ts";
import type { TrackingEvent } from "../db/tracking-events.ts";
import type { ContentLink, Counters } from "../model/delivery.ts";
import { harmless } from "../model/harmless.ts";
import type { Indicators } from "../model/indicators.ts";
import { MOST_USER_AGENT, type TrackingKind } from "../model/tracking.ts";
import { ruleText } from "../model/visitor.ts";

/** Kinds of hits as the API calls them: those of a message's events have the same words there. */
export const EVENT_NAMES = ["opened", "clicked", "unsubscribed", "mirror", "page", "transaction"] as const;
export type EventName = (typeof EVENT_NAMES)[number];

const NAMES: Readonly<Record<TrackingKind, EventName>> = {
  open: "opened",
  click: "clicked",
  unsubscribe: "unsubscribed",
  mirror: "mirror",
  page: "page",
  transaction: "transaction",
};

export function nameOf(kind: TrackingKind): EventName {
  return NAMES[kind];
}

export function kindOf(name: EventName): TrackingKind {
  return (Object.keys(NAMES) as TrackingKind[]).find((kind) => NAMES[kind] === name)!;
}

export function trackingEventAnswer(e: TrackingEvent): object {
  return {
    id: e.id,
    at: e.at.toISOString(),
    type: nameOf(e.kind),
    deliveryId: e.deliveryId || null,
    messageId: e.messageId || null,
    link: e.link || null,
    class: e.class,
    reason: ruleText(e.rule),
    uncounted: e.uncounted,
    hint: harmless(e.hint),
    ip: harmless(e.ip),
    userAgent: harmless(e.userAgent, MOST_USER_AGENT),
    visitor: harmless(e.visitor),
    web:
      e.web === null
        ? null
        : {
            tag: harmless(e.web.tag),
            amount: e.web.amount,
            articles: e.web.articles,
            more: e.web.more.map(([name, value]) => [harmless(name), harmless(value)]),
          },
  };
}

export function reactionsAnswer(deliveryId: number, { all, people }: Reactions, { sent }: Counters): object {
  return { deliveryId, sent, all: withRates(all, sent), people: withRates(people, sent) };
}

/** ops/tracking.md has the formulas. */
function withRates(i: Indicators, sent: number): object {
  const share = (count: number): number => (sent === 0 ? 0 : Math.round((count / sent) * 10_000) / 10_000);
  return {
    ...i,
    reactivity: Math.round(i.reactivity * 10_000) / 10_000,
    openRate: share(i.recipientOpen),
    clickRate: share(i.recipientClick),
    optOutRate: share(i.optOut),
  };
}

interface Hits {
  readonly all: number;
  readonly people: number;
}

export interface Period {
  readonly from: number;
  readonly to: number;
  /** Seconds, 0: the whole. */
  readonly step: number;
}

/** Hits by link, and of those that belong to no link by kind; with sums by category. */
export function linkReactionsAnswer(
  deliveryId: number,
  period: Period,
  links: readonly ContentLink[],
  rows: readonly LinkPeriod[],
): object {
  const known = new Map(links.map((link) => [link.number, link]));
  const byLink = Map.groupBy(
    rows.filter(({ kind, link }) => kind === "click" && link > 0),
    ({ link }) => link,
  );
  const others = Map.groupBy(
    rows.filter(({ kind, link }) => kind !== "click" || link === 0),
    ({ kind }) => kind,
  );
  // Links nobody clicked are told too: that is what one wants to know of them.
  const tracked = links.filter(({ untracked }) => untracked === "").map(({ number }) => number);
  const numbers = [...new Set([...tracked, ...byLink.keys()])].sort((a, b) => a - b);
  return {
    deliveryId,
    from: new Date(period.from).toISOString(),
    to: new Date(period.to).toISOString(),
    step: period.step,
    links: numbers.map((number) => {
      const link = known.get(number);
      return {
        number,
        part: link?.part ?? null,
        url: link?.url ?? null,
        label: link?.label ?? "",
        category: link?.category ?? "",
        ...course(byLink.get(number) ?? [], period.step),
      };
    }),
    categories: [...Map.groupBy([...byLink.values()].flat(), ({ link }) => known.get(link)?.category ?? "")]
      .map(([category, of]) => ({ category, ...sum(of) }))
      .sort((a, b) => b.all - a.all),
    others: [...others].map(([kind, of]) => ({ type: nameOf(kind), ...course(of, period.step) })),
  };
}

function course(rows: readonly LinkPeriod[], step: number): object {
  if (step === 0) return sum(rows);
  const periods = Map.groupBy(rows, ({ period }) => period.getTime());
  return {
    ...sum(rows),
    periods: [...periods].map(([at, of]) => ({ at: new Date(at).toISOString(), ...sum(of) })),
  };
}

function sum(rows: readonly LinkPeriod[]): Hits {
  let people = 0;
  let machines = 0;
  for (const row of rows) {
    people += row.people;
    machines += row.machines;
  }
  return { all: people + machines, people };
}
