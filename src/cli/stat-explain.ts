/**
 * What there is to say of a domain, or of an exchanger that is named as one: where mail to it goes, under which rule and limits, where each of
 * these comes from, and what is at work now. The first half needs no server: the DNS and the files say it. The second is asked of the
 * statistics server if one answers (stat-explain-now.ts). When the DNS does not answer nothing is guessed: a rule for the wrong exchanger
 * would look like an answer.
 */
import { domainToASCII } from "node:url";
import { harmless } from "../model/harmless.ts";
import type { Settings } from "../config/settings.ts";
import { LIMIT_NAMES, type MxRule, type MxRules, matchRule } from "../model/mx-rules.ts";
import { openAffinities } from "../mta/affinities.ts";
import type { Resolver } from "../mta/resolver.ts";
import type { Ask } from "./stat-ask.ts";
import type { Explained, ExplainedExchanger, ExplainedRule } from "./stat-explained.ts";
import { stateNow } from "./stat-explain-now.ts";
import { UsageError } from "./usage.ts";

export interface ExplainDeps {
  readonly settings: Settings;
  readonly rules: MxRules;
  readonly resolver: Pick<Resolver, "route" | "addresses">;
  readonly ask: Ask;
}

export interface ExplainChoice {
  /** null: all those that mail to it may take. */
  readonly publicId: number | null;
  /** The target is an exchanger, not a domain. */
  readonly exchanger: boolean;
}

export async function explain(target: string, choice: ExplainChoice, deps: ExplainDeps): Promise<Explained> {
  const name = nameOf(target);
  if (name === "") throw new UsageError(`${target} is not a name of the DNS`);
  const { route, way, names } = choice.exchanger
    ? {
        route: "site" as const,
        way: "taken as the name of an exchanger (what holds a whole site is shown for a domain of it)",
        names: [name],
      }
    : await exchangersOf(name, deps);
  const exchangers = await Promise.all(names.map((mx) => exchangerOf(mx, deps)));
  const domain = choice.exchanger ? null : name;
  const publicIds = choice.publicId === null ? publicIdsFor(domain, deps.settings) : [choice.publicId];
  const rules = rulesFor(exchangers, publicIds, deps.rules);
  const now = await stateNow(exchangers, rules, deps.ask);
  return { target: name, route, way, exchangers, publicIds, rules, now };
}

/** Whether the DNS said all that was asked, and mail goes there. */
export function isWhole({ route, exchangers }: Explained): boolean {
  return route === "site" && exchangers.every(({ unanswered }) => !unanswered);
}

/** The domain of an address, or the name itself: as the DNS has it, and fit to be shown. */
function nameOf(target: string): string {
  const text = harmless(target.slice(target.lastIndexOf("@") + 1), 255)
    .toLowerCase()
    .replace(/\.$/, "");
  return domainToASCII(text) || text;
}

async function exchangersOf(
  name: string,
  { settings, resolver }: ExplainDeps,
): Promise<{ route: Explained["route"]; way: string; names: string[] }> {
  const { host } = settings.mta.relay;
  if (host !== "")
    return {
      route: "site",
      way: "all mail goes to the relay of the settings (mta.relay.host)",
      names: [host.toLowerCase()],
    };
  const route = await resolver.route(name);
  if (route.kind === "temporary") return { route: "unanswered", way: harmless(route.text), names: [] };
  if (route.kind === "unroutable")
    return { route: "none", way: `${harmless(route.text)} (${route.enhanced})`, names: [] };
  const names = route.exchangers.map((exchanger) => exchanger.name);
  const own = names.length === 1 && names[0] === name;
  return {
    route: "site",
    way: own
      ? "has no MX records: it is its own exchanger"
      : `${names.length} exchanger${names.length === 1 ? "" : "s"}`,
    names,
  };
}

async function exchangerOf(mx: string, { resolver }: ExplainDeps): Promise<ExplainedExchanger> {
  const found = await resolver.addresses(mx);
  if (!("kind" in found)) return { mx, addresses: found, problem: "", unanswered: false };
  return { mx, addresses: [], problem: harmless(found.text), unanswered: found.kind === "temporary" };
}

/** Of all affinities, those whose masks let mail to this domain pass; null: all of them. */
function publicIdsFor(domain: string | null, { mta }: Settings): number[] {
  const affinities = openAffinities(mta.affinities, () => true);
  const ids = mta.affinities.flatMap(({ name, ips }) =>
    (domain === null ? ips : affinities.allowed(name, domain)).map((ip) => ip.publicId),
  );
  return [...new Set(ids)].sort((a, b) => a - b);
}

function rulesFor(
  exchangers: readonly ExplainedExchanger[],
  publicIds: readonly number[],
  rules: MxRules,
): ExplainedRule[] {
  const met = new Map<MxRule, { mx: Set<ExplainedExchanger>; ids: Set<number> }>();
  for (const exchanger of exchangers) {
    for (const id of publicIds) {
      const rule = matchRule(rules, exchanger.mx, id);
      const known = met.get(rule) ?? { mx: new Set(), ids: new Set() };
      known.mx.add(exchanger);
      known.ids.add(id);
      met.set(rule, known);
    }
  }
  return [...met].map(([rule, { mx, ids }]) => {
    const addresses = new Set([...mx].flatMap((one) => (one.addresses.length === 0 ? [one.mx] : one.addresses)));
    const { scope } = rule.limits;
    return {
      id: rule.id,
      origin: rule.origin,
      note: rule.note,
      masks: rule.mx,
      range: rule.publicIds,
      exchangers: [...mx].map((one) => one.mx),
      publicIds: [...ids],
      limits: LIMIT_NAMES.map((name) => ({
        name,
        value: rule.limits[name],
        origin: rule.origins[name] ?? rule.origin,
      })),
      counters: scope === "rule" ? 1 : scope === "ip" ? ids.size : ids.size * addresses.size,
    };
  });
}
