/**
 * Person or machine: what a hit says about who made it. Each decision is a rule with an id that is kept beside the row, a sentence for whoever
 * asks why, and a source for whoever doubts it. A person is what is left when no rule speaks.
 *
 * Two rules need more than the hit itself: `burst` (clicks of one message so close together that nobody reads between them) and `sweep` (one
 * program going through the mail of many). They are found over several hits (model/burst.ts, workflow/sweep.ts).
 */
import { AGENT_RULES } from "./visitor-agents.ts";
import { networkFinder } from "./network.ts";
import { NETWORK_RULES } from "./visitor-networks.ts";
import type { TrackingKind, VisitorClass } from "./tracking.ts";
import type { VisitorRule } from "./visitor-rule.ts";

/** What made a person of a hit: no sign of anything else. */
export const PERSON: VisitorRule = {
  id: "",
  class: "person",
  text: "nothing speaks for a machine",
  source: "",
};

/** A hit up to so long after the message was accepted by its server was not made by a reader. */
export const EARLY_MS = 2000;

const rule = (id: string, made: VisitorClass, text: string, source: string): VisitorRule => ({
  id,
  class: made,
  text,
  source,
});

const TRAP = rule(
  "trap",
  "scanner",
  "it followed a link that no person can see",
  "our own trap link (tracking.trap of a delivery)",
);
const HEAD = rule(
  "head",
  "scanner",
  "it asked for the headers only (HEAD), as link checkers do and browsers do not",
  "RFC 9110 §9.3.2",
);
const PURPOSE = rule(
  "prefetch-header",
  "prefetch",
  "the browser said that it fetched it ahead (Purpose or Sec-Purpose: prefetch)",
  "html.spec.whatwg.org, speculative loading; developer.mozilla.org, Sec-Purpose",
);
const EARLY = rule(
  "early",
  "scanner",
  "it came before the message was delivered, or within two seconds: a gateway looked into it on its way",
  "time of the event sent",
);
const EARLY_PROXY = rule(
  "early-proxy",
  "prefetch",
  "an image proxy fetched it within two seconds of delivery, before anybody could open the mail",
  "time of the event sent",
);
export const BURST = rule(
  "burst",
  "scanner",
  "it is one of several clicks on the message so close together that nobody can have read what is between them",
  "model/burst.ts",
);
export const SWEEP = rule(
  "sweep",
  "scanner",
  "the same program, from the same network, went through the mail of many recipients within seconds",
  "workflow/sweep.ts",
);

/** Every rule there is; ids may stand for several sources. */
export const VISITOR_RULES: readonly VisitorRule[] = [
  PERSON,
  TRAP,
  HEAD,
  PURPOSE,
  EARLY,
  EARLY_PROXY,
  BURST,
  SWEEP,
  ...AGENT_RULES,
  ...NETWORK_RULES,
];

const TEXTS = new Map(VISITOR_RULES.map(({ id, text }) => [id, text]));

/** The sentence of a rule, '' for one this version does not know. */
export function ruleText(id: string): string {
  return TEXTS.get(id) ?? "";
}

/** Why a row is in no sum; column `tracking.uncounted`. */
export const UNCOUNTED = {
  repeated: "it was counted before, less than a minute earlier or for good",
  foreign: "the link belongs to another delivery than the message",
  trap: "it is no link of the content",
} as const;
export type Uncounted = keyof typeof UNCOUNTED;

export interface Hit {
  readonly kind: TrackingKind;
  readonly method: string;
  readonly hint: string;
  /** Epoch ms. */
  readonly at: number;
  /** What `agentRule` and `networkRule` say of it. */
  readonly agent: VisitorRule | null;
  readonly network: VisitorRule | null;
  /** When its message was accepted by a server, epoch ms; 0: not known. */
  readonly sentAt: number;
}

/** The rule of a user agent that is not a person's browser or mail program. */
export function agentRule(userAgent: string): VisitorRule | null {
  return AGENT_RULES.find(({ pattern }) => pattern.test(userAgent)) ?? null;
}

const findNetwork = networkFinder(
  NETWORK_RULES.flatMap((rule) => rule.networks.map((network) => [network, rule] as const)),
);

/** The rule of an address (whole or shortened, '' for none) in a network of machines. */
export function networkRule(ip: string): VisitorRule | null {
  return ip === "" ? null : findNetwork(ip);
}

/** The class of one hit, looked at alone. */
export function classify({ kind, method, hint, at, agent, network, sentAt }: Hit): VisitorRule {
  // To unsubscribe is asked for by POST, which no scanner sends, and providers do it for their users (RFC 8058). It counts whoever asks.
  if (kind === "unsubscribe") return PERSON;
  if (hint === "trap") return TRAP;
  if (method === "HEAD") return HEAD;
  if (hint === "prefetch") return PURPOSE;
  if (agent !== null && agent.class !== "proxy") return agent;
  if (isEarly(at, sentAt)) return agent === null ? EARLY : EARLY_PROXY;
  if (agent !== null) return agent;
  // Apple's people read mail too, and click: only what fetches images there is a machine for certain.
  if (network === null || (network.class === "prefetch" && kind !== "open")) return PERSON;
  return network;
}

/** Was the hit made before the reader could have had the message? */
export function isEarly(at: number, sentAt: number): boolean {
  return sentAt > 0 && at < sentAt + EARLY_MS;
}

/** What an early hit is that was taken for a person's while it was not known when its message was sent. */
export function earlyRule(was: VisitorClass): VisitorRule {
  return was === "proxy" ? EARLY_PROXY : EARLY;
}
