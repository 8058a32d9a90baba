/**
 * The second half of `postilion stat explain`: what is at work now, as the statistics server knows it. One question for each exchanger and
 * public id, about all addresses of the exchanger at once: measures are by exchanger name, counters may be by address.
 */
import { harmless } from "../model/harmless.ts";
import { LIMIT_NAMES } from "../model/mx-rules.ts";
import type { Limits } from "../model/traffic.ts";
import type { ExplainAnswer } from "../quota/answers.ts";
import { type Ask, asked } from "./stat-ask.ts";
import type { ExplainedExchanger, ExplainedNow, ExplainedRule, ExplainedState } from "./stat-explained.ts";

/** Twenty exchangers are the most a site has; more than a few public ids are told apart by --public-id. */
const QUESTIONS_MOST = 100;
const AT_ONCE = 8;

interface Question {
  readonly exchanger: ExplainedExchanger;
  readonly publicId: number;
  readonly rule: ExplainedRule;
}

/** The exchangers of one site, most preferred first. Never rejects. */
export async function stateNow(
  exchangers: readonly ExplainedExchanger[],
  rules: readonly ExplainedRule[],
  ask: Ask,
): Promise<ExplainedNow> {
  const site = exchangers.map(({ mx }) => mx).join(",");
  const all = exchangers.flatMap((exchanger) =>
    rules
      .filter((rule) => rule.exchangers.includes(exchanger.mx))
      .flatMap((rule) => rule.publicIds.map((publicId): Question => ({ exchanger, publicId, rule })))
      .toSorted((a, b) => a.publicId - b.publicId),
  );
  const questions = all.slice(0, QUESTIONS_MOST);
  const states: ExplainedState[] = [];
  let at = 0;
  for (let i = 0; i < questions.length; i += AT_ONCE) {
    const some = questions.slice(i, i + AT_ONCE);
    const answers = await Promise.all(
      some.map(({ exchanger: { mx, addresses: ips }, publicId }) =>
        asked<ExplainAnswer>(ask, "explain", { site, mx, ips, publicId }),
      ),
    );
    for (const [n, answer] of answers.entries()) {
      if ("why" in answer) return { problem: answer.why, at: 0, states: [], unasked: all.length };
      at = Math.max(at, answer.data.now);
      states.push(stateOf(some[n]!, answer.data));
    }
  }
  return { problem: "", at, states, unasked: all.length - questions.length };
}

function stateOf({ exchanger: { mx, addresses }, publicId, rule }: Question, answer: ExplainAnswer): ExplainedState {
  const { limit, measures, counters } = answer;
  const counted = new Set(counters.map(({ ip }) => ip));
  return {
    mx,
    publicId,
    changed: changes(limit.ruleLimits, limit.limits),
    hold: limit.hold,
    measures,
    counters,
    uncounted: limit.ruleLimits.scope === "path" ? addresses.filter((ip) => !counted.has(ip)) : [],
    differs: differences(rule, limit),
  };
}

function changes(rule: Limits, now: Limits): ExplainedState["changed"] {
  return LIMIT_NAMES.filter((name) => rule[name] !== now[name]).map((name) => ({ name, value: now[name] }));
}

function differences(rule: ExplainedRule, { rule: id, ruleLimits }: ExplainAnswer["limit"]): string {
  if (id !== rule.id) return `the server goes by rule ${harmless(id, 100)}`;
  const other = rule.limits.filter(({ name, value }) => ruleLimits[name] !== value);
  return other.map(({ name }) => `the server has ${name} ${String(ruleLimits[name])}`).join(", ");
}
