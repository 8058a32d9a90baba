/**
 * How much goes at once under `smooth` rules, in any ten and any sixty seconds: what is attempted, as a receiver sees it, and what is granted
 * as it passes over the wires, less what was given back. Both are bound by the rate, with three portions and what may be in hand besides;
 * machines without server add those of their shares. No bound is known where rules have just changed.
 */
import type { ClientMessage, ServerMessage } from "../../src/quota/messages.ts";
import type { Exchanger, Limits } from "../../src/model/traffic.ts";
import { LENGTHS } from "../../src/quota/counter.ts";
import { HAND_MS } from "../../src/quota/pace.ts";
import type { Knows } from "./knows.ts";
import { type Count, type Ledger, limitOf } from "./ledger.ts";

export interface Bursts {
  attempted(count: Count, at: number): void;
  /** A client says this to the server, or hears it from there. */
  said(machine: number, message: ClientMessage): void;
  heard(machine: number, message: ServerMessage): void;
  /** Its next process numbers requests and connections anew. */
  died(machine: number): void;
  /** Whether so little went lately that the pace cannot be what is waited for; `part` of it is left to others. */
  slack(count: Count, limits: Limits, at: number, part: number): boolean;
}

interface Asked {
  readonly publicId: number;
  readonly exchangers: readonly Exchanger[];
}
interface Granted {
  readonly at: number;
  left: number;
}
interface Conn {
  readonly publicId: number;
  readonly mx: string;
  readonly ip: string;
  grants: Granted[];
}

const SPANS = [10_000, 60_000] as const;
/** Two turns of the slowest rule, and more than the longest span. */
const KEPT_MS = 700_000;
const GRANTS_MS = 100_000;
const SETTLED_MS = 30_000;

export function openBursts(
  ledger: Ledger,
  knows: readonly Knows[],
  now: () => number,
  violation: (kind: string, about: string, text: string) => void,
): Bursts {
  const attempts = new Map<Count, number[]>();
  const grants = new Map<Count, Granted[]>();
  const asked = new Map<string, Asked>();
  const cancelled = new Set<string>();
  const conns = new Map<string, Conn>();

  const rateOf = (limit: number, w: 0 | 1): number => limit / LENGTHS[w];
  const portionOf = (rate: number): number => Math.max(1, Math.floor(rate * 1000));

  /** The most that may go in any `span` ms. */
  function most(count: Count, span: number, at: number): number {
    const from = at - span - HAND_MS - SETTLED_MS;
    const versions = ledger.versions.filter(({ lastAt }) => lastAt >= from);
    const [version] = versions;
    const limits = version === undefined ? null : ledger.limitsOf(version.number, count.rule);
    if (versions.length !== 1 || limits?.pacing !== "smooth") return Number.POSITIVE_INFINITY;
    let least = Number.POSITIVE_INFINITY;
    for (const w of [0, 1] as const) {
      const begun = (time: number): number => limitOf(limits, w, time - (time % LENGTHS[w]));
      const rate = rateOf(Math.max(begun(at), begun(at - span)), w);
      const flow = (part: number): number => part * (span + HAND_MS) + 3 * portionOf(part);
      let sum = flow(rate);
      for (const { members, aloneAt, disturbedAt } of knows)
        if (members > 0 && (aloneAt !== Number.POSITIVE_INFINITY || now() - disturbedAt < span + HAND_MS))
          sum += flow(rate / members);
      least = Math.min(least, sum);
    }
    return Math.floor(least);
  }

  function check(count: Count, at: number, what: string, within: (span: number) => number): void {
    for (const span of SPANS) {
      const bound = most(count, span, at);
      if (bound === Number.POSITIVE_INFINITY) continue;
      const went = within(span);
      if (went > bound)
        violation("a burst", count.name, `${went} messages ${what} in ${span / 1000} s, bound ${bound}`);
    }
  }

  function lately(count: Count, at: number, span: number): number {
    const times = attempts.get(count) ?? [];
    let first = times.length;
    while (first > 0 && (times[first - 1] ?? 0) > at - span) first--;
    return times.length - first;
  }

  function granted(machine: number, message: Extract<ServerMessage, { t: "grant" }>): void {
    const request = `${machine} ${message.id}`;
    const key = `${machine} ${message.conn}`;
    const asking = asked.get(request);
    asked.delete(request);
    // It was on its way when it was no longer wanted: nobody has it.
    if (cancelled.delete(request)) return;
    const exchanger = asking?.exchangers[message.chosen];
    if (asking !== undefined && exchanger !== undefined)
      conns.set(key, { publicId: asking.publicId, ...exchanger, grants: [] });
    const conn = conns.get(key);
    if (conn === undefined) return;
    const { at, messages } = message;
    const count = ledger.count(ledger.nameOf(ledger.versions.length - 1, conn.publicId, conn.mx, conn.ip));
    const grant = { at, left: messages };
    conn.grants = [...conn.grants.slice(-50), grant];
    const list = [...(grants.get(count) ?? []).filter((one) => one.at > at - GRANTS_MS), grant];
    grants.set(count, list);
    const last = Math.max(...list.map((one) => one.at));
    check(count, last, "granted", (span) =>
      list.reduce((sum, one) => (one.at > last - span ? sum + one.left : sum), 0),
    );
  }

  function back(key: string, back: readonly (readonly [at: number, messages: number])[]): void {
    for (const [at, messages] of back) {
      const grant = conns.get(key)?.grants.find((each) => each.at === at && each.left > 0);
      if (grant !== undefined) grant.left = Math.max(0, grant.left - messages);
    }
  }

  return {
    attempted(count, at) {
      if (ledger.most(count.rule, at - 60_000, ({ pacing }) => (pacing === "smooth" ? 1 : 0)) !== 1) return;
      const times = attempts.get(count) ?? [];
      attempts.set(count, times);
      times.push(at);
      if (times.length > 100 && (times[times.length >> 1] ?? 0) < at - KEPT_MS) times.splice(0, times.length >> 1);
      check(count, at, "attempted", (span) => lately(count, at, span));
    },
    said(machine, message) {
      if (message.t === "acquire") asked.set(`${machine} ${message.id}`, message);
      else if (message.t === "cancel") cancelled.add(`${machine} ${message.id}`);
      else if (message.t === "return" || message.t === "release") back(`${machine} ${message.conn}`, message.back);
    },
    heard(machine, message) {
      if (message.t === "grant") granted(machine, message);
    },
    died(machine) {
      for (const keys of [asked, cancelled, conns])
        for (const key of keys.keys()) if (key.startsWith(`${machine} `)) keys.delete(key);
    },
    slack(count, limits, at, part) {
      if (limits.pacing !== "smooth") return true;
      return ([0, 1] as const).every((w) => {
        const limit = limitOf(limits, w, at - (at % LENGTHS[w]));
        if (limit === Number.POSITIVE_INFINITY || limit < 1) return true;
        const rate = rateOf(limit, w);
        const span = Math.max(10_000, (2 * portionOf(rate)) / rate);
        return lately(count, at, span) < (part * rate * span) / 2;
      });
    },
  };
}
