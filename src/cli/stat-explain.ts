/**
 * What there is to say of a domain or an exchanger: where mail to it goes, under which rule and limits, where each of these comes from, and
 * what is at work now. The first half needs no server: the DNS and the files say it. The second is asked of the statistics server if one answers.
 */
import { domainToASCII } from "node:url";
import { harmless } from "../model/harmless.ts";
import type { Settings } from "../config/settings.ts";
import { LIMIT_NAMES, type LimitName, type MxRule, type MxRules, matchRule } from "../model/mx-rules.ts";
import { openAffinities } from "../mta/affinities.ts";
import type { Resolver } from "../mta/resolver.ts";
import type { CounterAnswer, ExplainAnswer, MeasureAnswer } from "../quota/answers.ts";
import type { Hold, Limits } from "../model/traffic.ts";
import type { Ask } from "./stat-ask.ts";
import { UsageError } from "./usage.ts";

export interface Explained {
  readonly target: string;
  /** How the exchangers were found, or why there are none. */
  readonly way: string;
  readonly exchangers: readonly ExplainedExchanger[];
  /** Outgoing IPs that were looked at. */
  readonly publicIds: readonly number[];
  readonly rules: readonly ExplainedRule[];
  readonly now: ExplainedNow;
}

export interface ExplainedExchanger {
  readonly mx: string;
  readonly addresses: readonly string[];
  /** Why there are none; '' when there are. */
  readonly problem: string;
}

/** A rule, and whom of the exchangers and public ids it is for. */
export interface ExplainedRule {
  readonly id: string;
  readonly origin: string;
  readonly note: string;
  readonly masks: readonly string[];
  readonly range: readonly [number, number] | null;
  readonly exchangers: readonly string[];
  readonly publicIds: readonly number[];
  readonly limits: readonly { readonly name: LimitName; readonly value: string | number; readonly origin: string }[];
  /** How many times the limits of the rule are there for these exchangers and public ids: one for each counter of its scope. */
  readonly counters: number;
}

export interface ExplainedNow {
  /** Why nothing is known, '' when a server answered. */
  readonly problem: string;
  /** The server's epoch ms. */
  readonly at: number;
  readonly states: readonly ExplainedState[];
}

export interface ExplainedState {
  readonly mx: string;
  readonly publicId: number;
  /** Limits that are not those of the rule. */
  readonly changed: readonly { readonly name: LimitName; readonly value: string | number }[];
  readonly hold: Hold | null;
  readonly measures: readonly MeasureAnswer[];
  readonly counters: readonly CounterAnswer[];
  /** What the server's rule says differently from the files; '' for nothing: it has not read them since. */
  readonly differs: string;
}

export interface ExplainDeps {
  readonly settings: Settings;
  readonly rules: MxRules;
  readonly resolver: Pick<Resolver, "route" | "addresses">;
  readonly ask: Ask;
}

/** `publicId` null: all those that mail to it may take. */
export async function explain(target: string, publicId: number | null, deps: ExplainDeps): Promise<Explained> {
  const name = nameOf(target);
  if (name === "") throw new UsageError(`${target} is neither a domain nor an exchanger`);
  const { way, names } = await exchangersOf(name, deps);
  const exchangers = await Promise.all(
    names.map(async (mx): Promise<ExplainedExchanger> => {
      const found = await deps.resolver.addresses(mx);
      return "kind" in found
        ? { mx, addresses: [], problem: harmless(found.text) }
        : { mx, addresses: found, problem: "" };
    }),
  );
  const publicIds = publicId === null ? publicIdsFor(name, deps.settings) : [publicId];
  const rules = rulesFor(exchangers, publicIds, deps.rules);
  return {
    target: name,
    way,
    exchangers,
    publicIds,
    rules,
    now: await stateNow(names.join(","), exchangers, rules, deps),
  };
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
): Promise<{ way: string; names: string[] }> {
  const { host } = settings.mta.relay;
  if (host !== "")
    return { way: `all mail goes to the relay of the settings (mta.relay.host)`, names: [host.toLowerCase()] };
  const route = await resolver.route(name);
  if (route.kind !== "site")
    return { way: `${harmless(route.text)}; taken as the name of an exchanger`, names: [name] };
  const names = route.exchangers.map((exchanger) => exchanger.name);
  const own = names.length === 1 && names[0] === name;
  return {
    way: own
      ? "has no MX records: it is its own exchanger"
      : `${names.length} exchanger${names.length === 1 ? "" : "s"}`,
    names,
  };
}

/** Of all affinities, those whose masks let mail to this domain pass. */
function publicIdsFor(domain: string, { mta }: Settings): number[] {
  const affinities = openAffinities(mta.affinities, () => true);
  const ids = mta.affinities.flatMap((affinity) => affinities.allowed(affinity.name, domain).map((ip) => ip.publicId));
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

/** Questions to the server: one for each rule and public id, of its first exchanger. */
const QUESTIONS_MOST = 20;

async function stateNow(
  site: string,
  exchangers: readonly ExplainedExchanger[],
  rules: readonly ExplainedRule[],
  { ask }: ExplainDeps,
): Promise<ExplainedNow> {
  const questions = rules
    .flatMap((rule) => rule.publicIds.map((publicId) => ({ rule, publicId, mx: rule.exchangers[0] ?? "" })))
    .slice(0, QUESTIONS_MOST);
  const states: ExplainedState[] = [];
  let at = 0;
  for (const { rule, publicId, mx } of questions) {
    const ip = exchangers.find((one) => one.mx === mx)?.addresses[0] ?? "";
    const result = await ask("explain", { site, mx, ip, publicId });
    if ("why" in result) return { problem: result.why, at: 0, states: [] };
    const refused = (result.data as { readonly error?: unknown }).error;
    if (refused !== undefined) return { problem: harmless(String(refused)), at: 0, states: [] };
    const answer = result.data as ExplainAnswer;
    at = answer.now;
    states.push({
      mx,
      publicId,
      changed: changes(answer.limit.ruleLimits, answer.limit.limits),
      hold: answer.limit.hold,
      measures: answer.measures,
      counters: answer.counters,
      differs: differences(rule, answer.limit),
    });
  }
  return { problem: "", at, states };
}

function changes(rule: Limits, now: Limits): ExplainedState["changed"] {
  return LIMIT_NAMES.filter((name) => rule[name] !== now[name]).map((name) => ({ name, value: now[name] }));
}

function differences(rule: ExplainedRule, { rule: id, ruleLimits }: ExplainAnswer["limit"]): string {
  if (id !== rule.id) return `the server goes by rule ${harmless(id, 100)}`;
  const other = rule.limits.filter(({ name, value }) => ruleLimits[name] !== value);
  return other.map(({ name }) => `the server has ${name} ${String(ruleLimits[name])}`).join(", ");
}
